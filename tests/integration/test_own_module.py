"""A module of a user's own, as its page shows it: from the file to a checkpoint where the file never was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import nas_attn
from nas_attn.space import Architecture
from nas_attn.study import read_study

ROOT = Path(nas_attn.__file__).parent.parent
PAGE = ROOT / "nas_attn" / "attention" / "README.md"
SECTION = PAGE.read_text().partition("\n## Your own module")[2].partition("\n## ")[0]
COMMAND = ("-m", "nas_attn")
MINE = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(MINE)
    return folder


def python(folder: Path, *arguments: object, code: int = 0, stdin: str = "", **env: str) -> subprocess.CompletedProcess:
    """A Python process in a folder."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **env},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr[-3000:]
    assert code != 2 or "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def searched(home, write_study) -> Path:
    """The study `own`: the controls and one trial with only this module. The study's YAML names its file."""
    study = home / "studies" / "own.yaml"
    study.parent.mkdir()
    changes = {"trials": 3, "seed": 1, "sampler": "random", "epochs": 1, "control_seeds": 1}
    write_study(study, **changes, module_files=["../mine.py"], modules={"mine": {"residual": ["none"]}})
    python(home, *COMMAND, "search", "studies/own.yaml", "--json")
    return home


@pytest.fixture(scope="module")
def exported(searched, nas) -> Path:
    """best.yaml of a trial that has the module."""
    view = read_study(searched / "runs" / "own")
    number = next(t.number for t in view.trials if "=mine(" in str(t.architecture))
    nas(searched, "export", "own", "--pick", f"trial:{number}", "-o", "best.yaml")
    return searched / "best.yaml"


@pytest.fixture(scope="module")
def trained(exported, tiny_data, nas) -> Path:
    """The checkpoint of one epoch of `train best.yaml --modules mine.py`."""
    given = ("--data", tiny_data, "--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu", "--json")
    done = nas(exported.parent, "train", "best.yaml", "--modules", "mine.py", *given)
    return Path(json.loads(done.out)["runs"][0]["checkpoint"])


def test_the_example_is_short():
    assert len(MINE.strip().splitlines()) <= 20
    text = " ".join(SECTION.split())
    assert "--modules mine.py" in text and "NAS_ATTN_MODULES" in text and "runs that source" in text


def test_it_is_listed_and_costed(home, nas):
    listed = json.loads(nas(home, "modules", "--modules", "mine.py", "--json").out)
    mine = next(m for m in listed if m["name"] == "mine")
    assert mine["family"] == "spatial"
    costed = nas(home, "cost", "p3=mine(k_size=7)", "--modules", "mine.py", "--width", "0.25", "--json")
    base, own = json.loads(costed.out)["costs"]
    assert own["params_m"] - base["params_m"] == pytest.approx(64 * 50e-6, rel=1e-6)  # p3 has 64 channels there
    assert "'mine'" in nas(home, "cost", "p3=mine", code=2).err


def test_it_is_checked(home, nas):
    given = ("--modules", "mine.py", "--imgsz", "64", "--batch", "1", "--json")
    mine = json.loads(nas(home, "modules", "check", "mine", *given).out)["modules"][0]
    assert mine["name"] == "mine" and mine["ok"] and [s["slot"] for s in mine["slots"]] == ["p3", "p4", "p5"]


def test_it_is_searched_by_worker_processes(searched):
    view = read_study(searched / "runs" / "own")
    assert [t.state for t in view.trials] == ["complete"] * 3
    assert any("=mine(" in str(t.architecture) for t in view.trials)
    assert [p.read_text() for p in (searched / "runs" / "own" / "modules").glob("*/mine.py")] == [MINE]


def test_an_edited_file_is_another_search(searched, write_study, nas):
    changed = searched / "changed" / "mine.py"
    changed.parent.mkdir()
    changed.write_text(MINE.replace("sigmoid", "tanh"))
    said = nas(searched, "search", "studies/own.yaml", "--modules", changed, code=2).err
    assert "must stay the same search" in said and "source of module `mine`" in said and "epochs" not in said
    said = nas(searched, "search", "studies/own.yaml", "--modules", "gone.py", code=2).err
    assert "existing Python file" in said and "gone.py" in said
    copy = next((searched / "runs" / "own" / "modules").glob("*/mine.py"))  # the same content in another place
    nas(searched, "search", "studies/own.yaml", "--modules", copy)


def test_a_module_typed_into_standard_input_is_refused_with_the_remedy(tmp_path, tiny_data):
    call = f"run_search('typed', data={str(tiny_data)!r}, modules={{'mine': None}}, width=0.0625, imgsz=64)"
    text = f"""{MINE}
from nas_attn import run_search
from nas_attn.errors import UserError
try:
    {call}
except UserError as error:
    print(error)
"""
    said = python(tmp_path, "-", stdin=text).stdout
    assert (
        "must be defined in a file, but got 'mine'" in said
        and "--modules" in said
        and not (tmp_path / "runs" / "typed").exists()
    )


def test_the_export_has_its_row_and_says_what_it_needs(exported, nas):
    text = exported.read_text()
    content = yaml.safe_load(text)
    assert any(row[2] == "nas_attn.Mine" for row in content["backbone"] + content["head"])
    assert "--modules runs/own/modules/" in text and "NAS_ATTN_MODULES" in text
    page = exported.parent / "report.html"
    nas(exported.parent, "report", "own", "-o", page)
    assert "mine(k_size=" in page.read_text()


def test_its_yaml_in_a_fresh_process(exported, tmp_path):
    build = "import nas_attn; from ultralytics import YOLO; print([type(m).__name__ for m in YOLO({!r}).model.model])"
    code = build.format(str(exported))
    named = os.pathsep.join(map(str, (exported.parent / "mine.py",)))
    assert "'Mine'" in python(tmp_path, "-c", code, NAS_ATTN_MODULES=named).stdout
    assert "KeyError: 'nas_attn.Mine'" in python(tmp_path, "-c", code, code=1).stderr


def test_its_yaml_without_the_file_is_refused_with_the_remedy(exported, tiny_data, nas):
    said = nas(exported.parent, "train", "best.yaml", "--data", tiny_data, "--epochs", 1, code=2).err
    assert "'Mine'" in said and "--modules FILE" in said and "NAS_ATTN_MODULES" in said


LOADED = """
import sys, copy, json
from ultralytics import YOLO
assert "nas_attn" not in sys.modules
model = YOLO({best!r})
layer = next(m for m in model.model.modules() if type(m).__name__ == "Mine")
twin = copy.deepcopy(layer)
assert type(twin) is type(layer) and twin.conv.weight is not layer.conv.weight
model.train(data={data!r}, epochs=1, imgsz=64, batch=4, device="cpu", workers=0, plots=False, verbose=False, amp=False,
            project={out!r}, name="again")
again = YOLO({out!r} + "/again/weights/last.pt").model
print(json.dumps([type(layer).__module__, sorted(k for k in again.state_dict() if layer_key(k))]))
""".replace("layer_key(k)", "k.startswith('model.') and '.conv.weight' in k and k.count('.') == 3")


def test_a_checkpoint_loads_and_trains_on_without_the_file(trained, tiny_data, tmp_path):
    best = tmp_path / "best.pt"
    best.write_bytes(trained.read_bytes())
    code = LOADED.format(best=str(best), data=str(tiny_data), out=str(tmp_path))
    module, keys = json.loads(python(tmp_path, "-c", code).stdout.splitlines()[-1])
    assert module.startswith("nas_attn_user_mine_")
    assert keys  # the module's own key, as without the file's wrapping


def test_a_checkpoint_leaves_a_taken_name_alone(trained, tmp_path):
    """The registry has the module of the edited file, and the checkpoint keeps the class that it was trained with."""
    (tmp_path / "mine.py").write_text(MINE.replace("sigmoid", "tanh"))
    code = (
        "import torch, nas_attn; from nas_attn.attention import get; edited = get('mine').cls; "
        f"model = torch.load({str(trained)!r}, weights_only=False)['model']; "
        "own = next(type(m) for m in model.modules() if type(m).__name__ == 'Mine'); "
        "assert own is not edited and get('mine').cls is edited; print('kept')"
    )
    assert python(tmp_path, "-c", code, NAS_ATTN_MODULES="mine.py").stdout == "kept\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder like site-packages, with a package that offers a module, and a broken one."""
    site = tmp_path_factory.mktemp("site")
    (site / "own_attention").mkdir()
    (site / "own_attention" / "__init__.py").write_text("")
    (site / "own_attention" / "gates.py").write_text(MINE.replace('"mine"', '"packed"').replace("Mine", "Packed"))
    (site / "broken_attention.py").write_text("import nowhere_to_be_found\n")
    points = "[nas_attn.modules]\npacked = own_attention.gates:Packed\nbroken = broken_attention\n"
    info = site / "own_attention-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-attention\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    return site


def test_an_installed_package(package, tmp_path):
    env = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(package)))}
    python(tmp_path, *COMMAND, "cost", "p3=packed(k_size=3)", "--width", "0.25", **env)
    said = python(tmp_path, *COMMAND, "cost", "p3=broken", code=2, **env).stderr
    assert "own-attention" in said and "nowhere_to_be_found" in said
    checks = json.loads(python(tmp_path, *COMMAND, "doctor", "--json", code=1, **env).stdout)["checks"]
    found = next(c["found"] for c in checks if c["check"] == "modules")
    assert "packed of own_attention.gates" in found and "broken cannot be loaded" in found


def test_a_checkpoint_with_an_installed_module(package, tmp_path):
    """Unpickling imports the package first, and nas_attn only from there."""
    env = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(package)))}
    save = (
        "import torch; from nas_attn.attention import get; from nas_attn.attention.residual import build_module; "
        "torch.save(build_module(get('packed'), 8, {'k_size': 3}), 'p.pt')"
    )
    python(tmp_path, "-c", save, **env)
    load = (
        "import ultralytics.nn.tasks as t, torch; m = torch.load('p.pt', weights_only=False); "
        "from nas_attn.attention import get; assert get('packed').cls is type(m); "
        "assert vars(t)['nas_attn.Packed'] is type(m); print(type(m).__module__)"
    )
    assert python(tmp_path, "-c", load, **env).stdout == "own_attention.gates\n"


def test_architectures_are_read_without_the_file():
    assert str(Architecture.parse("p3=mine(k_size=7)")) == "p3=mine(k_size=7)"
