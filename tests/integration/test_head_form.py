"""Slots inside blocks that decide the form of the head: they are refused before any model is built."""

from __future__ import annotations

from itertools import combinations

import pytest
import yaml

from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.model.head_form import NEWER_BLOCKS, TWO_FORMS, check_head, keeps_head, unusable_slots
from nas_attn.detector.model.rows import rewrite, stated
from nas_attn.detector.neck.description import describe
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import apply
from nas_attn.errors import ConfigError, SlotRefused
from nas_attn.space import Architecture
from nas_attn.study.config import StudyConfig
from nas_attn.study.inputs import resolve

HEADS = {"Segment": ["nc", 8, 16], "Segment26": ["nc", 8, 16], "Pose": ["nc", [5, 3]], "OBB": ["nc", 1]}


@pytest.fixture
def written(tmp_path):
    """A function that writes a detector with the given blocks after its two joins, and returns the file."""

    def write(p4="C3k2", p3="C3k2", head="Detect", first="C2f"):
        content = {
            "nc": 3,
            "kpt_shape": [5, 3],
            "backbone": [
                [-1, 1, "Conv", [16, 3, 2]],
                [-1, 1, "Conv", [16, 3, 2]],
                [-1, 1, "Conv", [32, 3, 2]],
                [-1, 1, first, [32]],  # 3, stride 8
                [-1, 1, "Conv", [48, 3, 2]],
            ],
            "head": [
                [-1, 1, p4, [48]],  # 5, stride 16
                [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
                [[-1, 3], 1, "Concat", [1]],
                [-1, 1, p3, [32]],  # 8, stride 8
                [[8, 5], 1, head, HEADS.get(head, ["nc"])],
            ],
        }
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def inner(base):
    return [s for s in all_slots(base) if s.inside and s.inside.mode == "insert"]


@pytest.mark.parametrize("head", ["Detect", "v10Detect", "Segment", "Segment26", "Pose", "OBB"])
@pytest.mark.parametrize(
    ("p4", "p3", "first"), [("C3k2", "C3k2", "C2f"), ("C2f", "C3k2", "C2f"), ("C2f", "C3k2", "C3k2"), ("C2f",) * 3]
)
def test_the_rule_says_what_the_parser_does(head, p4, p3, first, written):
    """For each set of filled blocks, the built head has the base's tensors if and only if the rule says so."""

    def tensors(model):
        return {k: t.shape for k, t in model.model[-1].state_dict().items()}

    base = load_base(str(written(p4, p3, head, first)))
    slots, wanted = inner(base), tensors(base.build())
    assert [s.name for s in slots] == ["inner.p3.insert", "inner.p4.insert"]
    for filled in (c for n in range(3) for c in combinations(slots, n)):
        blocks = {s.row: stated(("nas_attn." + s.inside.block, [[*s.inside.arguments], []]), s.inside.arguments[1])
                  for s in filled}  # fmt: skip
        built = tensors(build_yaml(rewrite(base.yaml, {}, blocks).yaml))
        assert keeps_head(base, filled) == (built == wanted), [s.name for s in filled]


def test_the_rule_knows_the_parsers_names():
    from ultralytics.nn import tasks

    assert all(hasattr(tasks, name) for name in (*NEWER_BLOCKS, *TWO_FORMS))


def test_each_may_be_filled_but_not_all(written):
    base = load_base(str(written()))
    slots = all_slots(base)
    assert not unusable_slots(base, slots)
    for text in ("inner.p3.insert=eca inner.p3.replace=eca p4=eca", "inner.p4.insert=eca inner.p3.insert=none"):
        apply(base, slots, Architecture.parse(text))
    with pytest.raises(SlotRefused, match=r"head.*inner\.p3\.insert, inner\.p3\.replace, inner\.p4\.insert") as caught:
        apply(base, slots, Architecture.parse("inner.p3.insert=eca inner.p3.replace=eca inner.p4.insert=eca"))
    assert "Leave out inner.p4.insert, or inner.p3.insert and inner.p3.replace." in str(caught.value)
    check_head(base, [s for s in slots if "p4" not in s.name])


def test_a_slot_that_alone_changes_the_head_is_not_offered(written):
    base = load_base(str(written(p4="C2f")))
    assert sorted(unusable_slots(base, all_slots(base))) == ["inner.p3.insert", "inner.p3.replace"]
    drawn = [s["name"] for row in describe(base)["rows"] for s in row["slots"]]
    assert [name for name in drawn if "inner" in name] == ["inner.p4.insert", "inner.p4.replace"]
    assert {"p3", "p4", "lateral.p3"} <= {*drawn}
    assert describe(base, ["inner.*"])["rows"][8]["slots"] == []
    with pytest.raises(SlotRefused, match=r"head.*inner\.p3\.insert"):
        describe(base, ["p3", "inner.p3.insert"])


def refused(config):
    with pytest.raises(ConfigError) as caught:
        resolve(config, lambda text: None)
    return str(caught.value)


def test_a_study_of_such_slots_is_refused_before_it_trains(written, tiny_data):
    both = StudyConfig(model=str(written()), data=str(tiny_data), slots=["inner.p4.insert", "inner.p3.insert"])
    assert "Leave out inner.p4.insert, or inner.p3.insert." in refused(both)
    assert "Leave out inner.p4" in refused(both.model_copy(update={"slots": ["inner.*"]}))
    one = both.model_copy(update={"slots": ["inner.p3.*", "p4"]})
    assert [s.name for s in resolve(one, lambda text: None).slots] == ["p4", "inner.p3.insert", "inner.p3.replace"]


def test_a_study_leaves_out_by_a_pattern_what_it_refuses_by_name(written, tiny_data):
    config = StudyConfig(model=str(written(p4="C2f")), data=str(tiny_data), space="placement")
    found = [s.name for s in resolve(config, lambda text: None).slots]
    assert "inner.p4.insert" in found and not any("inner.p3" in name for name in found)
    for slots in (["p3", "inner.p3.replace"], ["inner.p3.*"]):
        assert "got inner.p3.replace" in refused(config.model_copy(update={"slots": slots}))


@pytest.mark.parametrize("line", [["cost"], ["export", "-o", "best.yaml", "--architecture"]])
def test_commands_refuse_such_an_architecture(line, written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = "inner.p3.insert=eca inner.p4.insert=simam"
    assert run([*line, text, "--model", str(written()), "--imgsz", "64"]) == 2
    assert "Leave out inner.p4.insert, or inner.p3.insert." in capsys.readouterr().err
    assert not (tmp_path / "best.yaml").exists()


def test_an_empty_gene_changes_no_head(written, capsys):
    line = ["cost", "inner.p3.insert=eca inner.p4.insert=none", "--imgsz", "64"]
    assert run([*line, "--model", str(written())]) == 0
