"""The start of the neck, and its slots: found from the graph, not from the YAML's two sections."""

from __future__ import annotations

import pytest
import yaml

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import all_slots

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

BACKBONE = [
    [-1, 1, "Conv", [16, 3, 4]],
    [-1, 1, "Conv", [32, 3, 2]],
    [-1, 1, "C2f", [32, True]],  # 2, stride 8
    [-1, 1, "Conv", [48, 3, 2]],
    [-1, 1, "C2f", [48, True]],  # 4, stride 16
    [-1, 1, "Conv", [64, 3, 2]],
    [-1, 1, "C2f", [64, True]],
    [-1, 1, "SPPF", [64, 5]],  # 7, stride 32
]
UP = [-1, 1, "nn.Upsample", [None, 2, "nearest"]]
TOP_DOWN = [
    UP,
    [[-1, 4], 1, "Concat", [1]],
    [-1, 1, "C2f", [48]],
    UP,
    [[-1, 2], 1, "Concat", [1]],
    [-1, 1, "C2f", [32]],
]


@pytest.fixture
def split(tmp_path):
    """A function (rows, number of rows under `backbone`) -> name -> slot of the base that it writes."""

    def load(rows, cut, **keys):
        path = tmp_path / "mine.yaml"
        content = {"nc": 2, **keys, "backbone": rows[:cut], "head": rows[cut:]}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return {s.name: s for s in all_slots(load_base(str(path)))}

    return load


def places(slots, kind: str) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Each name of the slots of one kind -> (row, readers)."""
    found = {name: (s.row, s.readers) for s in slots.values() for name in (s.name, *s.also)}
    return {name: place for name, place in found.items() if name.startswith(kind)}


@pytest.mark.parametrize(
    ("name", "cuts"), [("yolo11n", (5, 7, 9, 10, 13)), ("yolov5n", (8, 11, 15)), ("yolo26n-sem", (7, 12))]
)
def test_a_shipped_detector_cut_elsewhere(name, cuts, split):
    shipped = load_base(name)
    keys = {k: v for k, v in shipped.yaml.items() if k not in ("backbone", "head", "scale")}
    wanted = {s.name: s for s in all_slots(shipped)}
    for cut in cuts:
        assert split([list(row) for row in shipped.rows], cut, **keys) == wanted


NECKS = {  # rows after the backbone, and the place from which the neck takes the deepest map
    "plain": ([], (7, ())),
    "block": ([[-1, 1, "C2f", [64, True]]], (8, ())),
    "projection": ([[-1, 1, "Conv", [64, 1, 1]]], (7, ())),
    "encoder": ([[-1, 1, "Conv", [64, 1, 1]], [-1, 1, "AIFI", [64, 4]], [-1, 1, "Conv", [64, 1, 1]]], (7, ())),
}


@pytest.mark.parametrize("name", NECKS)
@pytest.mark.parametrize("cut", [1, 3, 4, 6, 7, 8, 9, 11, -1])
def test_the_section_does_not_matter(name, cut, split):
    between, deepest = NECKS[name]
    rows = [*BACKBONE, *between, *TOP_DOWN]
    last = len(rows)
    slots = split([*rows, [[last - 1, last - 4], 1, "Detect", ["nc"]]], cut)
    assert places(slots, "lateral") == {
        "lateral.p3": (2, (last - 2,)), "lateral.p4": (4, (last - 5,)), "lateral.p5": deepest,
    }  # fmt: skip
    assert places(slots, "td") == {"td.p3": (last - 1, ()), "td.p4": (last - 4, ())}
    assert places(slots, "up") == {"up.p5": (last - 7, ()), "up.p4": (last - 4, (last - 3,))}
    assert places(slots, "fuse") == {
        "fuse.p3": (last - 2, ()), "fuse.td.p3": (last - 2, ()),
        "fuse.p4": (last - 5, ()), "fuse.td.p4": (last - 5, ()),
    }  # fmt: skip
    assert places(slots, "backbone") == {"backbone.p3": (2, ()), "backbone.p4": (4, ()), "backbone.p5": deepest}
    assert places(slots, "down") == {}


@pytest.mark.parametrize("cut", [2, 7, 8, 9, 11, 12])
def test_projections_of_every_level_before_the_first_upsampling(cut, split):
    """As in a feature pyramid network: the projections read the outputs of the backbone."""
    projections = [[2, 1, "Conv", [32, 1, 1]], [4, 1, "Conv", [32, 1, 1]], [7, 1, "Conv", [32, 1, 1]]]
    rows = [*BACKBONE, *projections, UP, [[-1, 9], 1, "Concat", [1]], [-1, 1, "C2f", [32]]]
    rows += [UP, [[-1, 8], 1, "Concat", [1]], [-1, 1, "C2f", [32]], [[16, 13], 1, "Detect", ["nc"]]]
    assert places(split(rows, cut), "lateral") == {
        "lateral.p3": (2, (8,)), "lateral.p4": (4, (9,)), "lateral.p5": (7, ()),
    }  # fmt: skip


def test_two_steps_of_upsampling(split):
    rows = [*BACKBONE, [-1, 1, "Conv", [64, 1, 1]], UP, UP, [[-1, 2], 1, "Concat", [1]], [-1, 1, "C2f", [32]]]
    for cut in (5, 8, 10):
        slots = split([*rows, [[12, 4], 1, "Detect", ["nc"]]], cut)
        assert places(slots, "lateral") == {"lateral.p3": (2, (11,)), "lateral.p4": (4, (13,)), "lateral.p5": (7, ())}
        assert places(slots, "up") == {"up.p5": (8, ())}


def test_a_backbone_of_convolutions_ends_at_the_upsampling(split):
    rows = [*BACKBONE[:5], [-1, 1, "Conv", [64, 3, 2]], [-1, 1, "Conv", [64, 3, 1]]]
    rows += [[-1, 1, "Conv", [64, 3, 1]], *TOP_DOWN, [[13, 10], 1, "Detect", ["nc"]]]
    for cut in (2, 6, 8, 10):
        assert places(split(rows, cut), "lateral")["lateral.p5"] == (7, ())


STEM = [[-1, 1, "Conv", [16, 3, 4]], [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [-1, 1, "Conv", [16, 3, 2]]]


def shifted(rows, by: int) -> list:
    """The rows, with every absolute source increased by `by`."""
    many = [[s if s < 0 else s + by for s in row[0]] if isinstance(row[0], list) else row[0] for row in rows]
    return [[sources, *row[1:]] for sources, row in zip(many, rows, strict=True)]


def test_an_upsampling_in_the_stem_is_no_neck(split):
    rows = [*STEM, *BACKBONE[1:], *shifted([*TOP_DOWN, [[13, 10], 1, "Detect", ["nc"]]], 2)]
    for cut in (4, 10, 11, -1):
        slots = split(rows, cut)
        assert places(slots, "lateral") == {"lateral.p3": (4, (14,)), "lateral.p4": (6, (11,)), "lateral.p5": (9, ())}
        assert places(slots, "td") == {"td.p3": (15, ()), "td.p4": (12, ())}
        assert places(slots, "up") == {"up.p5": (9, ()), "up.p4": (12, (13,))}
        assert places(slots, "backbone") == {"backbone.p3": (4, ()), "backbone.p4": (6, ()), "backbone.p5": (9, ())}


def test_without_upsampling_the_section_tells(split):
    """A neck without joins looks like a backbone."""
    for stem, by in ((BACKBONE[:1], 0), (STEM, 2)):
        rows = [*stem, *BACKBONE[1:], [-1, 1, "C2f", [64]], [[2 + by, 4 + by, 8 + by], 1, "Detect", ["nc"]]]
        assert places(split(rows, 8 + by), "lateral") == {
            "lateral.p3": (2 + by, (9 + by,)), "lateral.p4": (4 + by, (9 + by,)), "lateral.p5": (7 + by, ()),
        }  # fmt: skip
        slots = split(rows, 9 + by)
        assert places(slots, "lateral")["lateral.p5"] == (8 + by, ())
        assert not any(places(slots, kind) for kind in ("down", "up", "fuse"))


BOTTOM_UP = [[-1, 1, "Conv", [32, 3, 2]], [[-1, 10], 1, "Concat", [1]], [-1, 1, "C2f", [48]]]
AGAIN = [
    UP,
    [[-1, 13], 1, "Concat", [1]],
    [-1, 1, "C2f", [32]],  # 19
    [-1, 1, "Conv", [32, 3, 2]],
    [[-1, 16], 1, "Concat", [1]],
    [-1, 1, "C2f", [48]],  # 22
]


def test_of_two_paths_the_first_is_top_down_and_the_last_bottom_up(split):
    once = [*BACKBONE, *TOP_DOWN, *BOTTOM_UP]
    slots = split([*once, [[13, 16], 1, "Detect", ["nc"]]], 8)
    assert places(slots, "down") == {"down.p3": (13, (14,))}
    assert places(slots, "fuse") == {
        "fuse.p3": (12, ()), "fuse.td.p3": (12, ()), "fuse.p4": (15, ()), "fuse.td.p4": (9, ()),
    }  # fmt: skip
    slots = split([*once, *AGAIN, [[19, 22], 1, "Detect", ["nc"]]], 8)
    assert places(slots, "td") == {"td.p4": (10, ()), "td.p3": (13, ())}
    assert places(slots, "up") == {"up.p5": (7, ()), "up.p4": (10, (11,))}
    assert places(slots, "down") == {"down.p3": (19, (20,))}
    assert places(slots, "fuse") == {
        "fuse.p3": (18, ()), "fuse.p4": (21, ()), "fuse.td.p4": (9, ()), "fuse.td.p3": (12, ()),
    }  # fmt: skip


def test_any_row_that_makes_a_map_smaller_is_a_down_sampling(split):
    for smaller in (["nn.MaxPool2d", [2, 2]], ["nn.AvgPool2d", [2]], ["AConv", [32]], ["GhostConv", [32, 3, 2]]):
        rows = [*BACKBONE, *TOP_DOWN, [-1, 1, *smaller], *BOTTOM_UP[1:], [[13, 16], 1, "Detect", ["nc"]]]
        assert places(split(rows, 8), "down") == {"down.p3": (13, (14,))}


def test_a_join_that_two_rows_read_has_no_fusion_block(split):
    rows = [*BACKBONE, *TOP_DOWN[:2], [-1, 1, "C2f", [48]], [-2, 1, "C2f", [48]], [[-1, -2], 1, "Concat", [1]]]
    slots = split([*rows, [-1, 1, "C2f", [48]], [[2, 13, 7], 1, "Detect", ["nc"]]], 8)
    assert places(slots, "td") == {}
    assert places(slots, "p4") == {"p4": (13, ()), "p4.head": (13, ())}
