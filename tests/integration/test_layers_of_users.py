"""Own layers of a user, from an article's YAML to a checkpoint that plain Ultralytics trains without the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from layer_files import NAM, SPD
from module_files import registry_as_before

import nas_attn
import nas_attn as na
from nas_attn.errors import StudyChanged
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study import read_study

ROOT = Path(nas_attn.__file__).parent.parent
THEIRS = """\
nc: 80
scales:
  n: [0.33, 0.25, 1024]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, SPDConv, [256]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, NormGate, [1024]]
  - [-1, 1, SPPF, [1024, 5]] # 9
head:
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]] # 12
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]] # 15
  - [-1, 1, SPDConv, [256]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]] # 18
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]] # 21
  - [[15, 18, 21], 1, Detect, [nc]]
"""
FILES = ("--layers", "spd.py", "--layers", "nam.py")
SHORT = ("--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory, nas) -> Path:
    """A folder with the user's files, and with base.yaml, the adopted article."""
    folder = tmp_path_factory.mktemp("layers")
    (folder / "spd.py").write_text(SPD)
    (folder / "nam.py").write_text(NAM)
    (folder / "theirs.yaml").write_text(THEIRS)
    said = json.loads(nas(folder, "adopt", "theirs.yaml", *FILES, "-o", "base.yaml", "--nc", 3, "--json").out)
    assert [one["row"] for one in said["layers"]] == [3, 17] and said["rows"][0]["module"] == "NormGate"
    assert [r["row"] for r in said["repairs"]] == [18, 21, 23]
    return folder


@pytest.fixture(scope="module")
def searched(home, write_study, nas) -> Path:
    """The study `own`, by worker processes: the controls, and one trial with a module beside the layers."""
    changes = {"trials": 3, "seed": 1, "sampler": "random", "epochs": 1, "control_seeds": 1, "jobs": 2}
    study = {
        "model": "base.yaml",
        "layers": ["spd.py", "nam.py"],
        "modules": {"se": {"rd_ratio": [0.25]}},
        "width": None,
    }
    write_study(home / "own.yaml", **changes, **study)
    nas(home, "search", "own.yaml", "--json")
    return home


@pytest.fixture(scope="module")
def exported(searched, nas) -> Path:
    """best.yaml of the trial with the module; the user's files are not there any more."""
    view = read_study(searched / "runs" / "own")
    number = next(t.number for t in view.trials if "=se(" in str(t.architecture))
    elsewhere = searched / "elsewhere"
    elsewhere.mkdir()
    for name in ("spd.py", "nam.py"):
        (searched / name).rename(elsewhere / name)
    nas(searched, "export", "own", "--pick", f"trial:{number}", "-o", "best.yaml")
    nas(searched, "export", "own", "--pick", f"trial:{number}", "--bundle", "bundle", "--no-onnx")
    for name in ("spd.py", "nam.py"):
        (elsewhere / name).rename(searched / name)
    return searched / "best.yaml"


@pytest.fixture(scope="module")
def trained(exported, tiny_data, nas) -> Path:
    """The checkpoint of one epoch of `train best.yaml`."""
    done = nas(exported.parent, "train", "best.yaml", *FILES, "--data", tiny_data, *SHORT, "--json")
    assert "NAS_ATTN_LAYERS must name the files of --layers" in done.err
    return Path(json.loads(done.out)["runs"][0]["checkpoint"])


def test_the_article_is_costed_and_drawn_as_it_is_and_as_it_was_adopted(home, nas):
    for model in ("theirs.yaml", "base.yaml"):
        given = (*FILES, "--model", model, "--json")
        costs = json.loads(nas(home, "cost", "p3=se", "--nc", 3, "--imgsz", 64, *given).out)["costs"]
        assert costs[1]["params_m"] > costs[0]["params_m"] > 3
    drawn = json.loads(nas(home, "slots", *FILES, "--model", "base.yaml", "--json").out)
    slots = {slot["name"]: row["index"] for row in drawn["rows"] for slot in row["slots"]}
    assert (slots["p3"], slots["p4"], slots["p5"], slots["sppf.pre"]) == (17, 20, 23, 10)
    said = nas(home, "cost", "--model", "base.yaml", "--layers", "spd.py", code=2).err
    assert "'NormGate'" in said and "--layers FILE" in said


def test_the_files_are_refused_in_each_others_place(home, nas):
    assert "give it with --layers" in nas(home, "cost", "--modules", "spd.py", code=2).err
    (home / "mine.py").write_text(
        "from torch import nn\nfrom nas_attn.attention import attention\n\n\n"
        "@attention('mine')\nclass Mine(nn.Module):\n    def __init__(self, dim: int):\n        super().__init__()\n"
        "        self.c = nn.Conv2d(dim, dim, 1)\n\n    def forward(self, x):\n        return self.c(x)\n"
    )
    assert "with --modules" in nas(home, "cost", "--layers", "mine.py", code=2).err


def test_workers_trained_it_and_the_run_folder_keeps_the_files(searched):
    view = read_study(searched / "runs" / "own")
    assert [t.state for t in view.trials] == ["complete"] * 3
    kept = sorted(p.read_text() for p in (searched / "runs" / "own" / "modules").glob("*/*.py"))
    assert kept == sorted([SPD, NAM]) and set(view.header["fingerprints"]["layers"]) == {"SPDConv", "NormGate"}
    assert view.header["fingerprints"]["modules"] == {}


def test_an_edited_file_is_another_study(searched, nas):
    changed = searched / "changed" / "spd.py"
    changed.parent.mkdir()
    changed.write_text(SPD.replace("relu", "tanh"))
    files = ("--layers", changed, "--layers", "nam.py")
    said = nas(searched, "search", "own.yaml", *files, code=2).err
    assert "must stay the same search" in said and "source of layer `SPDConv`" in said and "NormGate" not in said
    nas(searched, "search", "own.yaml")  # with its own files it continues


def test_the_export_names_what_it_needs_and_its_bundle_is_whole(exported, nas):
    text = exported.read_text()
    rows = [row[2:] for part in ("backbone", "head") for row in yaml.safe_load(text)[part]]
    assert (
        ["nas_attn.SPDConv", [32, 64]] in rows and ["Index", [64, 0]] in rows and ["nas_attn.NormGate", [256]] in rows
    )
    assert "Needs the layer `SPDConv` from spd.py" in text and "--layers runs/own/modules/" in text
    bundle = exported.parent / "bundle"
    card = json.loads((bundle / "card.json").read_text())
    assert {one["name"]: one["source"] for one in card["layers"]} == {
        "SPDConv": "modules/spd.py", "NormGate": "modules/nam.py"}  # fmt: skip
    assert "not declared" in card["licences"]["SPDConv"]
    checked = nas(exported.parent, "export", "--verify", "bundle").out
    assert "FAIL" not in checked and "ok    modules" in checked and "ok    weights" in checked


def test_a_checkpoint_starts_other_trainings(trained, tiny_data, nas):
    """As weights of its base, and as the base of another study, without the files of the layers."""
    home = trained.parents[4]
    given = ("--data", tiny_data, *SHORT, "-o", "runs/second")
    said = nas(home, "train", "bundle/base.yaml", *FILES, "--weights", trained, *given).err
    assert "tensors transferred" in said and "no place in the model" not in said
    lines = said[said.index("tensors transferred") :].splitlines()[:3]
    assert not any("model.3." in line or "model.10." in line for line in lines), lines  # layers lose nothing
    drawn = json.loads(nas(home, "slots", "--model", trained, "--json").out)
    assert [row["module"] for row in drawn["rows"]][3:5] == ["nas_attn.SPDConv", "Index"]


PLAIN = """
import sys, json
from ultralytics import YOLO
assert "nas_attn" not in sys.modules
model = YOLO({best!r})
kind = type(model.model.model[3])
model.train(data={data!r}, epochs=1, imgsz=64, batch=4, device="cpu", workers=0, plots=False, verbose=False, amp=False,
            project={out!r}, name="again")
again = YOLO({out!r} + "/again/weights/last.pt").model
assert type(again.model[3]) is kind and again.model[3].conv.conv.weight.shape == (64, 128, 3, 3)
print(json.dumps([kind.__name__, kind.__module__]))
"""
FROM_YAML = """
import nas_attn
from ultralytics import YOLO
model = YOLO({best!r})
model.train(data={data!r}, epochs=1, imgsz=64, batch=4, device="cpu", workers=0, plots=False, verbose=False, amp=False,
            project={out!r}, name="new")
print(type(model.model.model[3]).__name__)
"""


def plain(folder: Path, code: str, **env: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_plain_ultralytics_trains_the_checkpoint_and_the_yaml(trained, exported, tiny_data, tmp_path):
    (tmp_path / "best.pt").write_bytes(trained.read_bytes())
    done = plain(tmp_path, PLAIN.format(best=str(tmp_path / "best.pt"), data=str(tiny_data), out=str(tmp_path)))
    assert done.returncode == 0, done.stderr[-3000:]
    name, module = json.loads(done.stdout.splitlines()[-1])
    assert name == "SPDConv" and module.startswith("nas_attn_user_spd_")
    code = FROM_YAML.format(best=str(exported), data=str(tiny_data), out=str(tmp_path))
    files = os.pathsep.join(str(exported.parent / name) for name in ("spd.py", "nam.py"))
    done = plain(tmp_path, code, NAS_ATTN_LAYERS=files)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "SPDConv", done.stderr[-3000:]


# ---- in Python, without training


def test_python_takes_the_files_and_a_study_without_layers_has_no_word_of_them(home, tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = [home / "spd.py", home / "nam.py"]
    with registry_as_before():
        assert na.adopt(home / "theirs.yaml", layers=files, nc=3).found.layers
        assert na.slots(home / "base.yaml", layers=files)[0].name == "p3"
        assert na.cost_of("p3=se", model=home / "base.yaml", layers=files, nc=3, imgsz=64).params_m > 3
        quick = {"data": str(tiny_data), "trials": 3, "modules": {"se": None}, "imgsz": 64, "final_imgsz": 64,
                 "evaluator": SyntheticEvaluator(), "engine": na.InlineEngine(), "progress": False}  # fmt: skip
        study = na.run_search("own", model=str(home / "base.yaml"), layers=files, **quick)
        assert study.view.header["fingerprints"]["layers"].keys() == {"SPDConv", "NormGate"}
        stock = na.run_search("stock", model="yolov8n.yaml", **quick)
        assert "layers" not in stock.view.header["fingerprints"]
        edited = tmp_path / "spd.py"
        edited.write_text(SPD.replace("relu", "tanh"))
        with pytest.raises(StudyChanged, match="source of layer `SPDConv`"):
            na.run_search(
                "own", model=str(home / "base.yaml"), layers=[edited, home / "nam.py"], **quick | {"trials": 4}
            )
        again = na.run_search("own", model=str(home / "base.yaml"), layers=files, **quick | {"trials": 4})
        assert len(again.view.trials) == 4
        assert "nas_attn.SPDConv" in again.export(again.front()[0], tmp_path / "best.yaml").read_text()
