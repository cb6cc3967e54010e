"""Inserted identity layers do not change a model, at any place."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inserted_rows import insert

from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.model.rows import absolute
from nas_attn.detector.weights.transfer import transfer

BASES = {"yolov5n": 0.125, "yolov8n-p2": 0.125, "yolo11n": 0.125, "yolo12n": 0.25, "yolo26n": 0.125}  # name -> width


@st.composite
def networks(draw) -> dict[str, Any]:
    """A model dictionary whose rows read any earlier rows, by relative or absolute index."""
    rows: list[list[Any]] = [[-1, 1, "row0", []]]
    for row in range(1, draw(st.integers(2, 12))):
        source = st.one_of(st.just(-1), st.integers(-row, row - 1))
        sources = draw(st.one_of(source, st.lists(source, min_size=1, max_size=3)))
        rows.append([sources, draw(st.integers(1, 3)), f"row{row}", [draw(st.integers(0, 9))]])
    split = draw(st.integers(1, len(rows) - 1))
    return {"nc": 1, "backbone": rows[:split], "head": rows[split:]}


def meaning(network: dict[str, Any]) -> Any:
    """The computation of the last row as nested tuples; inserted rows are skipped."""
    outputs: dict[int, Any] = {-1: "image"}
    for row, (sources, repeats, module, arguments) in enumerate(network["backbone"] + network["head"]):
        inputs = tuple(outputs[s] for s in absolute(sources, row))
        outputs[row] = inputs[0] if module == "nothing" else (module, repeats, tuple(arguments), inputs)
    return outputs[row]


@given(networks(), st.data())
def test_the_rewrite_keeps_what_a_network_computes(network, data):
    rows = network["backbone"] + network["head"]
    chosen = data.draw(st.sets(st.integers(0, len(rows) - 2)))
    new, row_map = insert(network, dict.fromkeys(chosen, ("nothing", [])))
    new_rows = new["backbone"] + new["head"]
    assert meaning(new) == meaning(network)
    assert len(new_rows) == len(rows) + len(chosen)
    assert len(new["backbone"]) == len(network["backbone"]) + sum(r < len(network["backbone"]) for r in chosen)
    for row, (sources, *rest) in enumerate(rows):
        moved, *kept = new_rows[row_map[row]]
        assert kept == rest
        pairs = zip(*(s if isinstance(s, list) else [s] for s in (sources, moved)), strict=True)
        assert all((old == -1) == (now == -1) and (old < 0) == (now < 0) for old, now in pairs)
    for row in chosen:  # all readers of the row now read the inserted row after it
        read = [a for i, r in enumerate(new_rows) for a in absolute(r[0], i) if r[2] != "nothing"]
        assert row_map[row] not in read


@settings(max_examples=6)
@given(st.sampled_from(sorted(BASES)), st.data())
def test_identities_anywhere_in_a_real_detector_are_bit_identical(name, data):
    base = load_base(name, width=BASES[name])
    rows = base.yaml["backbone"] + base.yaml["head"]
    chosen = data.draw(st.sets(st.integers(0, len(rows) - 2), max_size=6))
    new, row_map = insert(base.yaml, dict.fromkeys(chosen, ("nn.Identity", [])))
    original, rewritten = base.build(), build_yaml(new)
    report = transfer(rewritten, original.state_dict(), row_map)
    assert report.ratio == 1
    with torch.no_grad():
        x = torch.rand(1, 3, 64, 96)
        assert torch.equal(rewritten.eval()(x)[0], original.eval()(x)[0])
