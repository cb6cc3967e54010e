"""Architectures written in the style of community YAMLs are recovered by `adopt`, even with a wrong row number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas_attn.adoption.adopt import adopt
from nas_attn.attention import registry
from nas_attn.detector.model.rows import PREFIX, absolute
from nas_attn.detector.neck.surgery import apply
from nas_attn.space import Architecture, Gene

BASES = ("yolov5n", "yolov8n", "yolo11n", "yolov10n", "yolo12n", "yolov8n-p2", "yolo11n-seg", "yolo26n")
KINDS = ("td.", "sppf.", "down.", "up.", "fuse.", "backbone.")  # slots at which community YAMLs insert attention
ALIASES = {
    "acmix": "ACmix",
    "cbam": "CBAMBlock",
    "coord": "nas_attn.CoordinateAttention",  # `CoordAtt` is the published class, which has a minimum width
    "eca": "ECALayer",
    "efficient_attention": "CloAttention",
    "lska": "lska",
    "se": "SEAttention",
    "shuffle": "ShuffleAttention",
    "simam": "SimAM",
}


@pytest.fixture(scope="module")
def known():
    """Name -> (base, slots of these kinds), found once per base."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import all_slots

    found: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in found:
            base = load_base(name)
            slots = all_slots(base)
            found[name] = base, slots, [s for s in slots if "." not in s.name or s.name.startswith(KINDS)]
        return found[name]

    return get


def genes(slot: Any) -> st.SearchStrategy[Gene]:
    """Modules with default settings, as in articles, that fit the slot."""
    fits = []
    for name in ALIASES:
        entry = registry.get(name)
        size = slot.map_size(640)
        if entry.refusal(slot.channels, size, size, entry.defaults()) is None:
            fits.append(Gene.of(name, entry.defaults()))
    return st.sampled_from(fits)


def as_community(base: Any, rewritten: Any, architecture: Architecture, width: bool, slip: tuple[int, int, int] | None):
    """The text of a YAML with bare names, empty or unscaled arguments, the comments of the base, and one mistake."""
    import yaml

    model = rewritten.yaml
    old = {new: row for row, new in rewritten.row_map.items()}
    slot_of = {row: slot for slot, row in rewritten.places.items()}
    lines = ["nc: 80", f"scales: {yaml.safe_dump(model['scales'], default_flow_style=True).strip()}"]
    lines += [f"{k}: {model[k]}" for k in ("reg_max", "end2end", "activation") if k in model]
    number = 0
    for part in ("backbone", "head"):
        lines.append(f"{part}:")
        for sources, repeats, module, arguments in model[part]:
            if slip and slip[0] == number:
                sources = [s if j != slip[1] else slip[2] for j, s in enumerate(sources)]
            if str(module).startswith(PREFIX):
                module = ALIASES[architecture[slot_of[number]].module]
                scaled = next((a for a in arguments if isinstance(a, int) and a >= 16), None)
                arguments = [round(scaled / model["scales"][base.scale][1])] if width and scaled else []
            row = yaml.safe_dump([sources, repeats, module, arguments], default_flow_style=True, width=999).strip()
            lines.append(f"  - {row}" + (f" # {old[number]}" if number in old and old[number] % 3 == 0 else ""))
            number += 1
    return "\n".join(lines) + "\n"


def slips(rewritten: Any) -> list[tuple[int, int, int]]:
    """(row, position, wrong row): one absolute row number of a Concat is off by one, so it reads another map."""
    rows = rewritten.yaml["backbone"] + rewritten.yaml["head"]
    old = {new: row for row, new in rewritten.row_map.items()}

    def root(row: int) -> int:
        while row not in old:
            row = absolute(rows[row][0], row)[0]
        return old[row]

    return [
        (n, j, s + step)
        for n, (sources, _, module, _) in enumerate(rows)
        if module == "Concat"
        for j, s in enumerate(sources)
        for step in (-1, 1)
        if s > 0 and s + step < n and root(s + step) != root(s)
    ]


@settings(max_examples=16, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_a_community_writes_comes_back(data, known, tmp_path):
    base, slots, in_line = known(data.draw(st.sampled_from(BASES)))
    chosen = data.draw(st.lists(st.sampled_from(in_line), min_size=1, max_size=3, unique_by=lambda s: s.name))
    architecture = Architecture.of({s.name: data.draw(genes(s)) for s in chosen})
    rewritten = apply(base, slots, architecture)
    edges = any(s.readers for s in chosen)  # a row may skip attention on purpose or by mistake
    slip = data.draw(st.sampled_from([None, *([] if edges else slips(rewritten))]))
    file = tmp_path / "article.yaml"
    file.write_text(as_community(base, rewritten, architecture, data.draw(st.booleans()), slip))
    found = adopt(file, scale=base.scale)
    assert found.known and found.base.yaml == base.yaml
    assert found.architecture == architecture
    assert apply(found.base, found.slots, found.architecture).yaml == rewritten.yaml
    moved = [r for r in found.repairs if r.row is not None]
    assert [r.row for r in moved] == ([slip[0]] if slip else [])
    assert not [s for s in found.suspicions if s.kind in ("join", "head", "unread", "place", "base")]
    assert any(s.kind == "bypass" for s in found.suspicions) == edges
