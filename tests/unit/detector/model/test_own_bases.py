"""Detectors that a user wrote: heads, necks and rows that Ultralytics does not ship, and mistakes in them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
import yaml

from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.model.rows import Insertion, rewrite
from nas_attn.detector.neck.slots import all_slots, canonical, find_slots, named
from nas_attn.detector.neck.surgery import apply, architecture_yaml
from nas_attn.detector.weights import initial_weights
from nas_attn.detector.weights.initial_weights import build
from nas_attn.errors import SlotRefused, UnknownName, UserError
from nas_attn.space import Architecture, Gene

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

SCALED = Gene.of("lska", {"k_size": 7, "residual": "scaled"})
BACKBONE = [
    [-1, 1, "Conv", [16, 3, 2]],
    [-1, 1, "Conv", [16, 3, 2]],
    [-1, 1, "Conv", [32, 3, 2]],
    [-1, 2, "C2f", [32, True]],  # 3, stride 8
    [-1, 1, "Conv", [48, 3, 2]],
    [-1, 1, "C2f", [48, True]],  # 5, stride 16
]
HEAD = [
    [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
    [[-1, 3], 1, "Concat", [1]],
    [-1, 1, "C2f", [32]],  # 8, stride 8
    [-1, 1, "Conv", [32, 3, 2]],
    [[-1, 5], 1, "Concat", [1]],
    [-1, 1, "C2f", [48]],  # 11, stride 16
    [[8, 11], 1, "Detect", ["nc"]],
]
PLAIN = {"nc": 2, "backbone": BACKBONE, "head": HEAD}


@pytest.fixture
def own(tmp_path):
    """A function that writes a changed model dictionary and loads it as a base."""

    def load(changes=None, name="mine.yaml", **keys):
        content = {**copy.deepcopy(PLAIN), **keys}
        rows = content["backbone"] + content["head"]
        for row, new in (changes or {}).items():
            rows[row][:] = new
        (tmp_path / name).write_text(yaml.safe_dump(content, sort_keys=False))
        return load_base(str(tmp_path / name))

    return load


def places(base) -> dict[str, tuple[int, int, int]]:
    return {n: (s.row, s.channels, s.stride) for s in all_slots(base) for n in (s.name, *s.also)}


def assert_identity_everywhere(base) -> None:
    """Every slot that can hold an identity is filled with one, and the output does not change."""
    slots = all_slots(base)
    torch.manual_seed(3)
    plain = base.build()
    filled = Architecture.of({s.name: SCALED for s in slots if not s.name.endswith(".replace")})
    model, report = build(base, slots, filled, 0, plain.state_dict())
    assert (report.ratio, report.left) == (1, ())
    with torch.no_grad():
        x = torch.rand(1, 3, 64, 96)
        assert torch.equal(model.eval()(x)[0], plain.eval()(x)[0])


def test_a_small_detector(own):
    base = own()
    assert places(base) == {
        "p3": (8, 32, 8), "td.p3": (8, 32, 8), "p4": (11, 48, 16), "p4.head": (11, 48, 16), "p3.head": (8, 32, 8),
        "lateral.p3": (3, 32, 8), "lateral.p4": (5, 48, 16), "backbone.p3": (3, 32, 8), "backbone.p4": (5, 48, 16),
        "down.p3": (8, 32, 8), "up.p4": (5, 48, 16),
        "fuse.p3": (7, 80, 8), "fuse.td.p3": (7, 80, 8), "fuse.p4": (10, 80, 16),
        "inner.p3.insert": (8, 16, 8), "inner.p3.replace": (8, 16, 8),
        "inner.p4.insert": (11, 24, 16), "inner.p4.replace": (11, 24, 16),
    }  # fmt: skip
    assert_identity_everywhere(base)


def test_a_head_that_lists_its_inputs_in_another_order(own):
    base = own({12: [[11, 8], 1, "Detect", ["nc"]]})
    assert places(base) == places(own())
    assert base.build().stride.tolist() == [16, 8]
    assert_identity_everywhere(base)


def test_relative_indices(own):
    base = own({7: [[-1, -4], 1, "Concat", [1]], 10: [[-1, -5], 1, "Concat", [1]], 12: [[-4, -1], 1, "Detect", ["nc"]]})
    assert places(base) == places(own())
    assert_identity_everywhere(base)


@pytest.mark.parametrize("split", [7, 12])
def test_a_neck_that_stands_under_backbone(own, split):
    rows = BACKBONE + HEAD
    base = own(backbone=rows[:split], head=rows[split:])
    assert places(base) == places(own())
    assert_identity_everywhere(base)


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo11n", "yolo12n", "yolov6n", "yolov3-tiny", "yolov8n-p6"])
def test_where_the_neck_begins_does_not_depend_on_the_section(name, own):
    """The same network, with every row except the last under `backbone`."""
    shipped = load_base(name)
    rows = [list(row) for row in shipped.rows]
    keys = {k: v for k, v in shipped.yaml.items() if k not in ("backbone", "head", "scale")}
    assert all_slots(own(backbone=rows[:-1], head=rows[-1:], **keys)) == all_slots(shipped)


def test_repeated_rows_have_no_room_inside(own):
    """Ultralytics repeats a module without a repeats argument as a sequence, which is one row."""
    base = own({3: [-1, 2, "RepNCSPELAN4", [32, 32, 16, 1]]}, head=[*HEAD[:6], [[3, 11], 1, "Detect", ["nc"]]])
    found = places(base)
    assert (found["p3"], found["td.p3"]) == ((3, 32, 8), (8, 32, 8))
    assert "inner.p3.insert" not in found and "inner.p4.insert" in found
    assert_identity_everywhere(base)


def test_repeats_of_a_block_are_its_bottlenecks(own):
    slots = {s.name: s for s in all_slots(own({8: [-1, 3, "C2f", [32]]}))}
    assert slots["inner.p3.insert"].sites == slots["inner.p3.replace"].sites == 3
    assert_identity_everywhere(own({8: [-1, 3, "C2f", [32]]}))


def test_a_backbone_row_that_feeds_the_head_itself(own):
    """Its edges into neck and head are one slot, and the edge into the head alone is another slot."""
    base = own(head=[*HEAD[:3], [[8, 5], 1, "Detect", ["nc"]]])
    slots = {s.name: s for s in all_slots(base)}
    assert slots["p4"].row == 5 and slots["p4.head"].readers == (9,)
    assert slots["p4"].also == ("lateral.p4", "backbone.p4")
    assert_identity_everywhere(base)


def test_an_edge_inside_a_set_of_edges_is_filled_behind_it(own):
    """The backbone, the neck and the head read row 3: each inserted row has its own readers."""
    base = own(head=[*HEAD[:6], [[3, 11], 1, "Detect", ["nc"]]])
    slots = all_slots(base)
    model, row_map = architecture_yaml(base, slots, Architecture.parse("p3=eca lateral.p3=eca p3.head=eca"))
    rows, eca = model["backbone"] + model["head"], "nas_attn.ECAAttention"
    assert [(i, r[0], r[2]) for i, r in enumerate(rows[:8])][3:] == [
        (3, -1, "C2f"), (4, -1, eca), (5, -1, eca), (6, -1, eca), (7, -3, "Conv"),
    ]  # fmt: skip
    assert rows[row_map[7]][0] == [-1, 5] and rows[row_map[12]][0][0] == 6
    assert_identity_everywhere(base)


def test_the_name_of_the_file_means_nothing(own):
    base = own(name="my best.detector-v2.yaml")
    assert (base.name, base.scale) == ("my best.detector-v2", "n")
    assert places(base) == places(own())


def test_a_yaml_of_ours_is_a_base_whose_places_are_still_found(own):
    """Its attention stays, and more attention can be added."""
    base = own()
    text = "p4=lska(k_size=7) inner.p3.insert=eca"
    found, row_map = architecture_yaml(base, all_slots(base), Architecture.parse(text))
    again = own(**found)
    slots = places(again)
    assert slots["p3"] == (row_map[8] + 1, 32, 8) and slots["p4"] == (row_map[11] + 1, 48, 16)
    assert slots["td.p3"] == slots["p3"] and slots["lateral.p4"] == (5, 48, 16)
    assert_identity_everywhere(again)


@pytest.mark.parametrize(
    ("filled", "moved"),
    [
        ("down.p3", {"down.p3"}),
        ("up.p4", {"up.p4", "lateral.p4"}),  # the last map of the backbone that the neck reads
        ("fuse.p3", {"fuse.p3", "fuse.td.p3"}),
        ("fuse.p4", {"fuse.p4"}),
        ("backbone.p3", {"backbone.p3", "lateral.p3"}),
        ("lateral.p3", {"lateral.p3"}),  # an edge into the neck is no part of the backbone
        ("lateral.p4", {"lateral.p4", "backbone.p4", "up.p4"}),
    ],
)
def test_places_lie_behind_the_attention_that_a_yaml_of_ours_holds(filled, moved, own):
    base = own()
    found, row_map = architecture_yaml(base, all_slots(base), Architecture.parse(f"{filled}=eca"))
    again = own(**found)
    module = next(i for i, row in enumerate(again.rows) if row[2] == "nas_attn.ECAAttention")
    wanted = {n: (module if n in moved else row_map[row], *size) for n, (row, *size) in places(base).items()}
    assert places(again) == wanted
    assert_identity_everywhere(again)


# guards

NEWER = {"c3k2": [-1, 1, "C3k2", [32, True]], "a2c2f": [-1, 1, "A2C2f", [64, False, -1]]}


@pytest.mark.parametrize("block", NEWER)
@pytest.mark.parametrize("mode", ["insert", "replace"])
def test_the_only_newer_block_cannot_be_opened(block, mode, own):
    """Ultralytics gives a model with a newer block another head, and does not count our subclasses as such."""
    base = own({8: NEWER[block]})
    slots = all_slots(base)
    build(base, slots, Architecture.parse("p3=eca p3.head=eca"), 0)
    build(base, slots, Architecture.parse(f"inner.p4.{mode}=eca"), 0)
    with pytest.raises(SlotRefused, match=rf"head in its older form.*got inner\.p3\.{mode}"):
        build(base, slots, Architecture.parse(f"inner.p3.{mode}=eca"), 0)


def test_a_newer_block_beside_it_keeps_the_head(own):
    base = own({3: [-1, 1, "C3k2", [32, True]], 8: NEWER["c3k2"]})
    build(base, all_slots(base), Architecture.parse("inner.p3.insert=eca inner.p3.replace=eca"), 0)


@pytest.mark.parametrize("kept", [True, False])
def test_end_to_end_must_stay(kept, own, monkeypatch):
    base = own(end2end=kept)
    build(base, all_slots(base), Architecture.parse("p3=eca"), 0)

    def flipped(*arguments):
        done = apply(*arguments)
        return replace(done, yaml={**done.yaml, "end2end": not kept})

    monkeypatch.setattr(initial_weights, "apply", flipped)
    says = "no such tensor in the model" if kept else "no such tensor in the base"
    with pytest.raises(SlotRefused, match=rf"must not change any other layer.*one2one_cv\d\..*{says}"):
        build(base, all_slots(base), Architecture.parse("p3=eca"), 0)


def test_a_switch_without_tensors_must_stay(own, monkeypatch):
    def switched(model_yaml):
        model = build_yaml(model_yaml)
        model.end2end = len(model.model) > 13
        return model

    base = own(end2end=True)
    monkeypatch.setattr(initial_weights, "build_yaml", switched)
    with pytest.raises(SlotRefused, match=r"end2end True \(the base has False\)"):
        build(base, all_slots(base), Architecture.parse("p3=eca"), 0)


def test_only_convolutions_that_were_replaced_may_go_missing(own, monkeypatch):
    base = own()
    slots = [replace(s, inside=replace(s.inside, sites=0)) if s.inside else s for s in all_slots(base)]
    with pytest.raises(SlotRefused, match=r"model\.8\.m\.0\.cv2\.conv\.weight: no such tensor in the model"):
        build(base, slots, Architecture.parse("inner.p3.replace=eca"), 0)


# clear messages for mistakes


def test_a_slot_that_the_base_lacks(own):
    base = own()
    slots = all_slots(base)
    for wanted, says in (("td.p4", r"Did you mean 'td\.p3'"), ("p3.heads", "Did you mean 'p3.head'")):
        with pytest.raises(UnknownName, match=says) as caught:
            named(slots, [wanted], "base model 'mine'")
        assert all(s.name in str(caught.value) for s in slots) and "mine" in str(caught.value)
    with pytest.raises(UnknownName, match="slot"):
        canonical(Architecture.parse("sppf.pre=eca"), slots)


def test_patterns_match_every_name_of_a_place(own):
    slots = all_slots(own())

    def found(*wanted):
        return [s.name for s in named(slots, wanted)]

    assert found("p?") == ["p3", "p4"]
    assert found("td.*") == ["p3"]
    assert found("*.head") == ["p4", "p3.head"]
    assert found("inner.*.insert", "p4.head") == ["p4", "inner.p3.insert", "inner.p4.insert"]
    with pytest.raises(UnknownName):
        found("sppf.*")


def test_a_place_named_twice(own):
    slots = all_slots(own())
    with pytest.raises(UserError, match=r"named once.*'p3' twice, also as 'td\.p3'"):
        canonical(Architecture.parse("p3=eca td.p3=lska"), slots)
    assert str(canonical(Architecture.parse("td.p3=eca"), slots)) == "p3=eca"


def test_insertions_that_share_some_readers():
    model = {"nc": 2, "backbone": BACKBONE, "head": [[[3, 5], 1, "Detect", ["nc"]]]}
    shared = [Insertion("a", ("X", []), (4, 6)), Insertion("b", ("Y", []), (6, 7))]
    with pytest.raises(SlotRefused, match="b shares a part of its readers"):
        rewrite({**model, "head": [[3, 1, "Conv", [8]], [3, 1, "Conv", [8]], *model["head"]]}, {3: shared})


def test_inputs_of_one_stride(own):
    with pytest.raises(UserError, match=r"must have different strides.*\[8, 8\].*mine"):
        find_slots(own({12: [[8, 3], 1, "Detect", ["nc"]]}))


def test_a_scale_that_the_yaml_does_not_define(own, tmp_path):
    scales = {"s": [1, 1, 64], "m": [1, 1, 64]}
    own(name="yolo1s.yaml", scales=scales)
    with pytest.raises(UnknownName, match=r"scale must be a known one, but got 'x' .*yolo1x.* Known: m, s"):
        own(name="yolo1x.yaml", scales=scales)


def test_a_yaml_without_a_head(own):
    with pytest.raises(UserError, match="must have `nc`, `backbone` and `head`"):
        own(head=[])
    with pytest.raises(UserError, match="must end in one of"):
        own({12: [-1, 1, "Conv", [8]]})
