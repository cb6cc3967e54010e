"""`ablate --base`: an architecture names its own modules and settings; swaps come from the space."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from module_files import GOOD, clean, write

from nas_attn.ablation.plan.prepare import prepare_ablation
from nas_attn.ablation.plan.settings import load_request
from nas_attn.ablation.record import record_plan
from nas_attn.cli.app import run
from nas_attn.errors import UserError
from nas_attn.study.folder import RunFolder

__all__ = ["clean", "write"]  # fixtures
SMALL = {"model": "yolo11n.yaml", "width": 0.0625, "imgsz": 64, "final_imgsz": 128, "epochs": 1, "device": "cpu"}


@pytest.fixture
def planned(tmp_path, tiny_data):
    """A function (architecture, fields of the ablation, options of the study) -> the plan of an ablation."""

    def plan(base: str, given: dict | None = None, **options):
        request = load_request(
            "new", {"base": base, "kinds": ["swap"], **(given or {})}, {**SMALL, "data": str(tiny_data), **options},
            runs=tmp_path / "runs",
        )  # fmt: skip
        return prepare_ablation(request, lambda text: None)

    return plan


def test_a_module_that_the_space_does_not_have(planned):
    plan = planned("p3=cbam", {"arms": ["p3=se"]}, modules={"lska": {"k_size": [7]}, "acmix": {"head": [2]}})
    arms = {a.name: str(a.architecture) for a in plan.design.arms}
    assert plan.full["p3"].module == "cbam" and arms["full"] == str(plan.full)
    swapped = {a.architecture["p3"].module for a in plan.design.arms if "swap" in a.kinds}
    assert swapped == {"lska", "acmix", "conv"}, "what it is swapped for comes from the space"
    assert {"base", "full", "conv in place of attention"} < set(arms) and any(n.startswith("p3=se(") for n in arms)
    assert plan.costs["full"]["gmacs"] > plan.costs["base"]["gmacs"]
    assert plan.full not in plan.study.space and "cbam" not in str(plan.study.header["aliases"])


def test_settings_that_the_space_does_not_have(planned):
    modules = {"lska": {"k_size": [7]}, "conv": None}
    plan = planned("p3=lska(k_size=11)", {"kinds": ["sweep"]}, modules=modules)
    assert str(plan.full) == "p3=lska(k_size=11)"
    assert [str(a.architecture) for a in plan.design.arms if "sweep" in a.kinds] == ["p3=lska(k_size=7)"]
    assert plan.study.space.fingerprint() == planned("p3=lska(k_size=7)", modules=modules).study.space.fingerprint()


def test_a_module_of_a_file_that_the_space_leaves_out_is_kept(planned, write, tmp_path):
    plan = planned("p3=mine", module_files=[str(write(GOOD))], modules={"conv": None})
    assert set(plan.header["fingerprints"]["modules"]) == {"mine"}
    folder = RunFolder(tmp_path / "kept")
    folder.create()
    record_plan(plan, folder)
    assert [f.name for f in folder.modules()] == ["mine.py"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("p3=conv(groups=64)", {}, "cannot be used at p3: `groups`"),
        ("p3=cbam p4=none", {"start": "base"}, "residual=scaled"),
        ("p3=cbamm", {}, "Did you mean 'cbam'"),
        ("p3=cbam(reduction=3)", {}, "must be one of"),
        ("p3=cbam p5=se", {"slots": ["p3", "p4"]}, "the study's slots"),
    ],
)
def test_what_cannot_stand_is_still_refused(planned, text, options, words):
    with pytest.raises(UserError, match=words):
        planned(text, **options)


def test_a_module_that_changes_the_shape_is_refused(planned, write):
    bad = write(GOOD.replace("return x +", "return x[:, :, ::2] +").replace("self.conv(x)", "self.conv(x)[:, :, ::2]"))
    with pytest.raises(UserError, match=r"keep the shape of its map.*`mine\(k_size=5\)` at p3"):
        planned("p3=mine", module_files=[str(bad)], modules={"conv": None})


def test_by_the_command_line(tiny_data, tmp_path, monkeypatch, capfd):
    """All commands that take an architecture accept the text that `adopt` prints."""
    monkeypatch.chdir(tmp_path)
    printed = "p3=cbam p4=none p5=none"
    size = ("--width", "0.0625", "--imgsz", "64")
    assert run(["cost", printed, *size]) == 0
    assert run(["export", "--architecture", printed, *size, "-o", "best.yaml"]) == 0
    assert "nas_attn.CBAM" in Path("best.yaml").read_text()
    command = ["ablate", "new", "--base", printed, "--data", str(tiny_data), "--imgsz", "64", "--epochs", "1"]
    capfd.readouterr()
    assert run([*command, "--kinds", "swap", "--no-controls", "--plan", "--json", "--device", "cpu"]) == 0
    arms = {a["name"]: a["architecture"] for a in json.loads(capfd.readouterr().out)["arms"]}
    assert arms["full"].startswith("p3=cbam(") and len(arms) > 3
