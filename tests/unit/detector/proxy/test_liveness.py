"""Silencing a slot: its output is zero, and everything that does not depend on it is unchanged."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nas_attn.detector.blocks import bottlenecks
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.rows import absolute
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import apply
from nas_attn.detector.proxy.liveness import silenced
from nas_attn.detector.weights.initial_weights import build, modules_at
from nas_attn.space import Architecture, Gene

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

GENE = Gene.of("lska", {"k_size": 7})
BASES = ("yolo11n", "yolov8n-p2", "yolo26n-sem")
IMAGE = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))

EDGES = """
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 4]]
  - [-1, 1, Conv, [32, 3, 2]]
  - [-1, 1, C2f, [32, True]]
  - [-1, 1, Conv, [48, 3, 2]]
  - [-1, 1, C2f, [48, True]]
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, C2f, [64, True]]
  - [-1, 1, SPPF, [64, 5]]
head:
  - [-1, 1, nn.Upsample, [null, 4, nearest]]
  - [[-1, 2], 1, Concat, [1]]
  - [-1, 1, Conv, [64, 3, 2]]
  - [[2, 10], 1, Detect, [nc]]
"""


class Detector:
    """A built model with its rewrite; `run` returns the outputs and inputs of all rows."""

    def __init__(self, base, slots, filled: Architecture) -> None:
        self.base, self.slots, self.filled = base, {s.name: s for s in slots}, filled
        self.done = apply(base, slots, filled)
        self.model, _ = build(base, slots, filled, seed=4)
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if name.endswith("bn.bias"):
                    tensor.normal_()  # a silent convolution is not a silent row
        self.model.eval()

    def run(self, *silent: str) -> tuple[list, list]:
        """Outputs and inputs of all rows, with slots silenced."""
        outputs, inputs = {}, {}

        def keep(row, _module, taken, given):
            outputs[row], inputs[row] = given, taken[0]

        with torch.no_grad():
            contexts = [silenced(self.model, self.base.rows, self.slots[name], self.done) for name in silent]
            for context in contexts:
                context.__enter__()
            hooks = [m.register_forward_hook(partial(keep, i)) for i, m in enumerate(self.model.model)]
            self.model(IMAGE)
            for hook in hooks:
                hook.remove()
            for context in contexts:
                context.__exit__(None, None, None)
        return [outputs[i] for i in range(len(outputs))], [inputs[i] for i in range(len(inputs))]

    def downstream(self, rows: set[int]) -> set[int]:
        """The given rows, and all rows of the built model that depend on them."""
        built = self.done.yaml["backbone"] + self.done.yaml["head"]
        found = set(rows)
        for row, content in enumerate(built):
            if found & set(absolute(content[0], row)):
                found.add(row)
        return found


def flat(value) -> list[torch.Tensor]:
    """The tensors in nested lists, without those in dictionaries, which heads add in training."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for v in value for t in flat(v)] if isinstance(value, list | tuple) else []


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(flat(first), flat(second), strict=True))


@pytest.fixture(scope="module")
def detectors():
    """A function (base, filled) -> a detector; each is built once."""
    known = {}

    def get(name: str, filled: bool) -> Detector:
        if (name, filled) not in known:
            base = load_base(name, nc=2, width=0.125)
            slots = all_slots(base)
            genes = {s.name: GENE for s in slots} if filled else {}
            known[name, filled] = Detector(base, slots, Architecture.of(genes))
        return known[name, filled]

    return get


def taken(detector: Detector, name: str) -> list[tuple[int, int]]:
    """(built row, index of its input) for each edge that a slot outside blocks lies on."""
    slot, rows = detector.slots[name], detector.base.rows
    readers = slot.readers or [r for r, row in enumerate(rows) if slot.row in absolute(row[0], r)]
    return [
        (detector.done.row_map[reader], i)
        for reader in readers
        for i, source in enumerate(absolute(rows[reader][0], reader))
        if source == slot.row
    ]


NAMES = [(b, s) for b in BASES for s in (s.name for s in all_slots(load_base(b, nc=2, width=0.125)))]


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize(("base", "name"), NAMES)
def test_nothing_but_zeros_leaves_a_slot_and_nothing_else_changes(base, name, filled, detectors):
    detector = detectors(base, filled)
    slot = detector.slots[name]
    intact, _ = detector.run()
    silent, inputs = detector.run(name)
    if slot.inside:
        touched = {detector.done.row_map[slot.row]}
    elif filled:
        touched = {detector.done.places[name]}
        assert not silent[detector.done.places[name]].any()
    else:
        edges = taken(detector, name)
        assert edges
        for row, i in edges:
            given = inputs[row] if isinstance(inputs[row], list | tuple) else [inputs[row]]
            assert not given[i].any() and all(other.any() for j, other in enumerate(given) if j != i)
        touched = {row for row, _ in edges} if slot.readers else {detector.done.outputs[slot.row]}
    reached = detector.downstream(touched)
    assert all(same(silent[row], intact[row]) for row in range(len(intact)) if row not in reached)
    assert len(reached) < len(intact)
    # the head of semantic segmentation reads its second map only while it is trained
    assert same(silent[-1], intact[-1]) == ((base, name) == ("yolo26n-sem", "p4.head"))
    again, _ = detector.run()
    assert all(map(same, again, intact))


@pytest.mark.parametrize("filled", [False, True])
def test_inside_a_block_the_branch_is_silent(filled, detectors):
    """With `insert`, the bottleneck returns only its shortcut. With `replace`, batch norm and activation get zeros."""
    detector = detectors("yolo11n", filled)
    for mode in ("insert", "replace"):
        slot = detector.slots[f"inner.p5.{mode}"]
        block = detector.model.model[detector.done.row_map[slot.row]]
        inside = [b for _, _, b in bottlenecks(block)]
        seen = []

        def keep(module, given, output, seen=seen):
            seen.append((given[0], output))

        hooks = [b.register_forward_hook(keep) for b in inside]
        hooks += [b.cv2.bn.register_forward_hook(keep) for b in inside]
        with torch.no_grad(), silenced(detector.model, detector.base.rows, slot, detector.done):
            detector.model(IMAGE)
        for hook in hooks:
            hook.remove()
        norms, branches = seen[0::2], seen[1::2]
        assert len(norms) == len(branches) == slot.sites == 2
        for (x, y), bottleneck in zip(branches, inside, strict=True):
            assert torch.equal(x, y) == (mode == "insert" and bottleneck.add)
        if mode == "replace":
            assert not any(given.any() for given, _ in norms)
        else:
            assert all(given.any() for given, _ in norms)


def test_an_edge_into_the_head_leaves_the_bottom_up_path(detectors):
    detector = detectors("yolo11n", False)
    intact, _ = detector.run()
    edge, inputs = detector.run("p3.head")
    assert all(map(same, edge[:-1], intact[:-1])) and not same(edge[-1], intact[-1])
    assert [bool(x.any()) for x in inputs[-1]] == [False, True, True]
    whole, _ = detector.run("p3")
    assert not same(whole[17], intact[17]) and not same(whole[19], intact[19])


def test_an_edge_that_is_filled_answers_the_silence_of_its_row(detectors):
    """The output of `p3` is zero, and the module on the edge after it computes its answer to zeros."""
    base = load_base("yolo11n", nc=2, width=0.125)
    slots = all_slots(base)
    detector = Detector(base, slots, Architecture.of({"p3.head": Gene.of("conv")}))
    module = modules_at(detector.model, detector.slots["p3.head"], detector.done)[0]
    _, inputs = detector.run("p3")
    zeros = torch.zeros_like(inputs[detector.done.places["p3.head"]])
    assert not inputs[detector.done.places["p3.head"]].any()
    with torch.no_grad():
        assert torch.equal(inputs[-1][0], module(zeros)) and inputs[-1][0].any()


def test_several_at_once(detectors):
    detector = detectors("yolo11n", False)
    _, inputs = detector.run("p3.head", "p4.head", "p5")
    assert not any(x.any() for x in inputs[-1])


@pytest.mark.parametrize("lateral", ["lateral.p3=none", "lateral.p3=conv"])
@pytest.mark.parametrize("others", ["p3.head=conv", "p3=conv p3.head=conv", "p3=conv", "sppf.pre=conv"])
def test_a_set_of_edges_is_silent_alike_filled_or_not(others, lateral, tmp_path):
    """The output of the slot is zero, and a module after it on one of its edges computes its answer to zeros."""
    path = tmp_path / "edges.yaml"
    path.write_text(EDGES)
    base = load_base(str(path))
    slots = all_slots(base)
    assert {s.name: s.readers for s in slots}["lateral.p3"] == (9, 11)  # neck and head, without row 3
    detector = Detector(base, slots, Architecture.parse(f"{others} {lateral}"))
    intact, _ = detector.run()
    silent, inputs = detector.run("lateral.p3")
    assert not inputs[detector.done.row_map[9]][1].any()
    if "p3.head" in others:
        behind = detector.done.places["p3.head"]
        assert not inputs[behind].any() and inputs[-1][0].any() and torch.equal(inputs[-1][0], silent[behind])
    else:
        assert not inputs[-1][0].any()
    backbone = range(detector.done.row_map[3], detector.done.row_map[7] + 1)
    assert all(same(silent[row], intact[row]) for row in backbone)
