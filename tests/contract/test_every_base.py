"""Every detector that the installed Ultralytics ships, and every scale of two families: slots, building, transfer.

Detectors with more than 30 million parameters take seconds each. `--soak` is the share of them that runs (a tenth by
default), and the share of slots that are filled one at a time.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from known_bases import DETECTORS, SLOTS, slots_of, written

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.detector.model.base_model import BaseModel, build_yaml, load_base
from nas_attn.detector.model.rows import Insertion, absolute, rewrite, stated
from nas_attn.detector.model.shipped_models import detectors
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import apply
from nas_attn.detector.weights.initial_weights import build
from nas_attn.detector.weights.transfer import REPLACED, transfer
from nas_attn.space import Architecture, Gene, Slot
from nas_attn.space.slot import INSERT, REPLACE

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

SCALES = [f"{family}{scale}" for family in ("yolo11", "yolov8") for scale in "smlx"]
SLOW = {"yolo11x", "yolov8l", "yolov8x"}  # and all with more than 30 million parameters in `DETECTORS`
SCALED = Gene.of("lska", {"k_size": 7, "residual": "scaled"})  # x + g·γ·f(x) with γ = 0: exactly the identity


def is_slow(name: str) -> bool:
    return name in SLOW or DETECTORS.get(STEMS.get(name, name), (0, 0))[1] > 30_000_000


# name at scale n -> stem of its YAML
STEMS = dict(zip(detectors(), detectors(""), strict=True))


def pytest_generate_tests(metafunc):
    if "walked" in metafunc.fixturenames:
        names = [*STEMS, *SCALES]
        slow = [n for n in names if is_slow(n)]
        chosen = random.Random(0).sample(slow, max(1, round(metafunc.config.getoption("--soak") * len(slow))))
        walked = [
            pytest.param(n, marks=pytest.mark.slow) if n in slow else n
            for n in names
            if n not in set(slow) - set(chosen)
        ]
        metafunc.parametrize("walked", walked, indirect=True, scope="module")


@dataclass
class Walked:
    """A base, its slots, and a built model whose weights differ from initial ones."""

    base: BaseModel
    slots: tuple[Slot, ...]
    model: Any

    @property
    def state(self) -> dict[str, torch.Tensor]:
        return self.model.state_dict()

    def outputs(self, model: Any, *, training: bool) -> list[torch.Tensor]:
        """All tensors in the output of a model; each call draws the same random numbers."""
        side = max(64, *(s.stride for s in self.slots))
        model.train(training)
        torch.manual_seed(5)
        x = torch.rand(2, 3, side, side + max(32, *(s.stride for s in self.slots)))
        for name in ("txt_feats", "pe"):  # of World and YOLOE; random in a new model
            if hasattr(self.model, name):
                setattr(model, name, getattr(self.model, name))
        with torch.no_grad():
            return list(tensors(model(x)))


def tensors(value: Any):
    """The tensors in nested lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from tensors(one)


def assert_same(first: list[torch.Tensor], second: list[torch.Tensor]) -> None:
    assert len(first) == len(second) > 0
    assert all(torch.equal(a, b) and torch.isfinite(a).all() for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def walked(request):
    base = load_base(request.param)
    torch.manual_seed(11)
    model = base.build()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bn.bias")):
                tensor.normal_(std=0.1)
    return Walked(base, all_slots(base, model), model)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def added(slots, gene: Gene) -> int:
    """The parameters that a gene adds if it is at each of the slots."""
    entry = registry.get(gene.module)
    return sum(
        slot.sites
        * (parameters(build_module(entry, slot.channels, gene.as_dict())) + (slot.inside.weights if slot.inside else 0))
        for slot in slots
    )


def of_mode(slots, mode: str | None) -> list[Slot]:
    """The slots of that mode; if `mode` is None, the slots outside blocks."""
    return [s for s in slots if (s.inside.mode if s.inside else None) == mode]


def test_the_head_and_the_size(walked):
    known = DETECTORS.get(STEMS.get(walked.base.name, ""))
    in_line = [s for s in walked.slots if "." not in s.name]
    if known:
        rows, size, delta, total = known
        assert list(walked.model.model[-1].f) == list(rows)
        assert sorted(s.row for s in in_line) == sorted(rows)
        assert (parameters(walked.model), len(walked.state)) == (size, total)
        assert added(in_line, Gene.of("lska", {"k_size": 7, "residual": "none"})) == delta
    assert [s.stride for s in in_line] == sorted({s.stride for s in in_line})
    assert all(s.name == f"p{s.stride.bit_length() - 1}" for s in in_line)
    names = [n for s in walked.slots for n in (s.name, *s.also)]
    assert len(names) == len(set(names))
    assert {f"{s.name}.head" for s in in_line} <= set(names)
    assert all(Slot.of(s.as_list()) == s for s in walked.slots)


def test_every_slot_filled_with_an_identity_is_the_base_bit_for_bit(walked):
    """Also for World and YOLOE: without text features, they use the default ones of the model."""
    slots = [s for s in walked.slots if s not in of_mode(walked.slots, REPLACE)]
    filled = Architecture.of({s.name: SCALED for s in slots})
    model, report = build(walked.base, walked.slots, filled, seed=0, weights=walked.state)
    assert (report.moved, report.left) == (len(walked.state), ())
    assert parameters(model) == parameters(walked.model) + added(slots, SCALED)
    plain = copy.deepcopy(walked.model)  # training changes running statistics
    for training in (False, True):
        assert_same(walked.outputs(model, training=training), walked.outputs(plain, training=training))


def test_replaced_convolutions_are_all_that_is_left_behind(walked):
    slots = of_mode(walked.slots, REPLACE)
    filled = Architecture.of({s.name: SCALED for s in slots})
    model, report = build(walked.base, walked.slots, filled, seed=0, weights=walked.state)
    assert len(report.left) == sum(s.sites for s in slots)
    assert all(REPLACED.search(key) for key, _ in report.left)
    assert parameters(model) == parameters(walked.model) + added(slots, SCALED)
    assert all(torch.isfinite(t).all() for t in walked.outputs(model, training=False))


def test_every_edge_passes_the_slots_that_lie_on_it_and_no_other(walked):
    """Identities could not show this: an edge that wrongly feeds the bottom-up path too would change nothing."""
    done = apply(walked.base, walked.slots, Architecture.of({s.name: SCALED for s in walked.slots}))
    outside = of_mode(walked.slots, None)
    slot_at = {done.places[s.name]: s.name for s in outside}
    rows = done.yaml["backbone"] + done.yaml["head"]
    for reader, row in enumerate(walked.base.rows):
        now = absolute(rows[done.row_map[reader]][0], done.row_map[reader])
        for source, at in zip(absolute(row[0], reader), now, strict=True):
            met = []
            while at in slot_at:
                met.append(slot_at[at])
                (at,) = absolute(rows[at][0], at)
            lie_there = [s for s in outside if s.row == source and (not s.readers or reader in s.readers)]
            assert sorted(met) == sorted(s.name for s in lie_there), (source, reader)
            is_block = at > 0 and rows[at][2] == "Index" and str(rows[at - 1][2]).startswith("nas_attn.")
            assert at - is_block == done.row_map.get(source, -1), (source, reader)


def test_rows_that_do_nothing_change_nothing(walked):
    """The rewrite itself: `nn.Identity` at every slot, and every block with inner slots in our form, but empty."""
    inserts: dict[int, list[Insertion]] = {}
    for slot in of_mode(walked.slots, None):
        inserts.setdefault(slot.row, []).append(Insertion(slot.name, ("nn.Identity", []), slot.readers))
    blocks = {
        s.row: stated((f"nas_attn.{s.inside.block}", [list(s.inside.arguments), []]), s.inside.arguments[1])
        for s in of_mode(walked.slots, INSERT)
    }
    done = rewrite(walked.base.yaml, inserts, blocks)
    model = build_yaml(done.yaml)
    assert transfer(model, walked.state, done.row_map).ratio == 1
    assert len(model.state_dict()) == len(walked.state)
    assert_same(walked.outputs(model, training=False), walked.outputs(copy.deepcopy(walked.model), training=False))


def test_one_slot_at_a_time(walked, soak):
    if soak < 1 and parameters(walked.model) > 5_000_000:
        return  # smaller models have the same kinds of slots
    rng = random.Random(walked.base.name)
    for slot in rng.sample(walked.slots, max(1, round(soak * len(walked.slots)))):
        replaces = slot.inside is not None and slot.inside.mode == REPLACE
        model, report = build(walked.base, walked.slots, Architecture.of({slot.name: SCALED}), 0, walked.state)
        assert parameters(model) == parameters(walked.model) + added([slot], SCALED), slot.name
        assert len(report.left) == (slot.sites if replaces else 0), slot.name
        if not replaces:
            plain = walked.outputs(copy.deepcopy(walked.model), training=False)
            assert_same(walked.outputs(model, training=False), plain)


@pytest.mark.parametrize("name", [n for n in SLOTS if n != "yolov9e"])
def test_slots_as_a_person_finds_them(name):
    assert sorted(map(written, all_slots(load_base(name)))) == sorted(slots_of(name))


def test_slots_of_a_backbone_with_two_branches(soak):
    if soak == 1:
        assert sorted(map(written, all_slots(load_base("yolov9e")))) == sorted(slots_of("yolov9e"))


def test_the_whole_package_is_walked():
    """Otherwise a forgotten YAML would not be noticed."""
    from nas_attn.detector.model.model_yaml import read_yaml
    from nas_attn.detector.model.shipped_models import packaged

    heads = {name: read_yaml(path)["head"][-1][2] for name, path in packaged().items()}
    assert set(STEMS.values()) == {name for name, head in heads.items() if head != "Classify"}
