"""The starts of a study for genes in place of a trained convolution, which no gene can leave unchanged."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import all_slots
from nas_attn.errors import ConfigError, UserError
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture
from nas_attn.study.config import StudyConfig
from nas_attn.study.folder import RunFolder
from nas_attn.study.prepare import prepare
from nas_attn.study.space_files import chosen_slots, load_space

ONE = Fidelity(1, 64)
SCALED = "lska(k_size=7,residual=scaled)"


@pytest.fixture(scope="module")
def slots():
    return all_slots(load_base("yolo11n", nc=3, width=0.125))


def names(found):
    return [s.name for s in found]


def test_a_pattern_leaves_them_out_at_start_base(slots):
    content = load_space("placement")
    without = [n for n in names(slots) if not n.endswith(".replace")]
    assert names(chosen_slots(StudyConfig(start="base"), content, slots)) == without
    assert names(chosen_slots(StudyConfig(start="base", slots=["inner.p3.*"]), content, slots)) == ["inner.p3.insert"]
    assert names(chosen_slots(StudyConfig(), content, slots)) == names(slots)


@pytest.mark.parametrize("wanted", [["p3", "inner.p3.replace"], ["inner.*.replace"]])
def test_named_at_start_base_they_are_refused(wanted, slots):
    with pytest.raises(ConfigError, match=r"start `base`.*inner\.p3\.replace.*inner\.p3\.insert"):
        chosen_slots(StudyConfig(start="base", slots=wanted), {}, slots)
    with pytest.raises(ConfigError, match=r"start `base`.*inner\.p3\.replace"):
        chosen_slots(StudyConfig(start="base"), {"slots": ["p3", "inner.p3.replace"]}, slots)


def test_no_run_from_the_base_takes_one(tmp_path, monkeypatch):
    (tmp_path / "base.pt").touch()
    evaluator = ProxyEvaluator(
        model="yolo11n", width=0.125, data="none", nc=3, start="base", base_file=str(tmp_path / "base.pt")
    )
    evaluator.check(ONE, Architecture.parse(f"inner.p3.insert={SCALED} inner.p3.replace=none p4={SCALED}"))
    wrong = Architecture.parse(f"p4={SCALED} inner.p3.replace={SCALED}")
    with pytest.raises(UserError, match=r"start `base`.*inner\.p3\.replace.*inner\.p3\.insert"):
        evaluator.check(ONE, wrong)
    dataclasses.replace(evaluator, start="weights", weights=str(tmp_path / "base.pt")).check(ONE, wrong)


def test_a_study_from_weights_says_what_is_lost(tiny_data, tmp_path):
    torch.save({"model": load_base("yolo11n", nc=3, width=0.125).build(), "ema": None}, tmp_path / "w.pt")
    config = StudyConfig(
        model="yolo11n", width=0.125, data=str(tiny_data), start="weights", weights=str(tmp_path / "w.pt"),
        imgsz=64, final_imgsz=64, slots=["p3", "inner.p5.*"], modules={"eca": None}, device="cpu",
    )  # fmt: skip
    said: list[str] = []
    plan = prepare(config, RunFolder(tmp_path / "run"), said.append)
    (note,) = (n for n in plan.header["notes"] if "replace" in n)
    assert note.startswith("inner.p5.replace: ") and "2 trained 3x3 convolutions" in note and note in said

    scratch = config.model_copy(update={"start": "scratch", "weights": None})
    assert not any("replace" in n for n in prepare(scratch, RunFolder(tmp_path / "two"), said.append).header["notes"])
