"""`train`: what is wrong is said before anything is trained, and weights and results end up where they belong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from nas_attn.cli.app import run
from nas_attn.space import Architecture

FOUND = "p3=lska(k_size=7) p5=acmix(head=2,kernel_att=3,residual=scaled)"
QUICK = ("--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu", "workers=0", "val=False")


@pytest.fixture(scope="module")
def base():
    from nas_attn.detector.base_model import load_base

    return load_base("yolo11n", nc=3, width=0.0625)


@pytest.fixture(scope="module")
def slots(base):
    from nas_attn.detector.slots import find_slots

    return find_slots(base)


@pytest.fixture(scope="module")
def exports(tmp_path_factory, base, slots) -> Path:
    """A folder with two exported YAMLs of one name, a/best.yaml and b/best.yaml."""
    from nas_attn.detector.export import write_yaml

    folder = tmp_path_factory.mktemp("exports")
    for name, text in (("a", FOUND), ("b", "p4=lska(k_size=7)")):
        write_yaml(folder / name / "best.yaml", base, slots, Architecture.parse(text), final_nc=3)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, exports):
    shutil.copytree(exports, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here, capfd, tiny_data):
    """A function that runs `train` with arguments that must be refused; gives what it said."""

    def check(*arguments: object) -> str:
        before = sorted(here.rglob("*"))
        assert run([str(a) for a in ("train", "--data", tiny_data, *arguments)]) == 2
        said = capfd.readouterr()
        assert "Traceback" not in said.err and not said.out
        assert sorted(here.rglob("*")) == before
        return said.err

    return check


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("data=x.yaml", "--data"),
        ("seed=", "--seed"),
        ("seed=3", "--seed"),
        ("epochs=3", "--epochs"),
        ("imgsz=100", "--imgsz"),
        ("batch=2", "--batch"),
        ("device=cpu", "--device"),
        ("project=p", "--output"),
        ("name=n", "--output"),
        ("exist_ok=True", "--output"),
        ("save_dir=x", "--output"),
        ("resume=True", "same command again"),
        ("pretrained=w.pt", "--weights"),
        ("model=x.yaml", "MODEL.yaml"),
        ("save=False", "best checkpoint"),
        ("cfg=my.yaml", "KEY=VALUE"),
    ],
)
def test_arguments_that_are_options_here(refused, argument, option):
    said = refused("a/best.yaml", argument)
    assert f"`{argument.split('=')[0]}=` must not be given" in said and option in said


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("lr0=abc", ["lr0=abc"]),
        ("lr0=7", ["lr0=7"]),
        ("mosaic=[", ["mosaic=["]),
        ("patience=x", ["patience=x"]),
        ("cos_lr=perhaps", ["cos_lr=perhaps"]),
        ("optimizer=fast", ["optimizer", "AdamW"]),
        ("lr00=0.1", ["'lr00'", "Did you mean 'lr0'"]),
        ("=3", ["training argument"]),
    ],
)
def test_arguments_that_ultralytics_does_not_take(refused, argument, words):
    said = refused("a/best.yaml", argument)
    assert all(w in said for w in words), said


def test_all_wrong_arguments_are_reported_at_once(refused):
    said = refused("a/best.yaml", "lr0=abc", "seed=1", "lrr=2")
    assert "3 problems" in said


def test_arguments_are_read_as_ultralytics_reads_them():
    from nas_attn.detector.final_training import check_arguments

    given = {"lr0": "1e-3", "cos_lr": "True", "patience": "5", "optimizer": "SGD", "freeze": "[0, 1]", "time": "none"}
    wanted = {"lr0": 1e-3, "cos_lr": True, "patience": 5, "optimizer": "SGD", "freeze": [0, 1], "time": None}
    assert check_arguments(given) == wanted


def test_models_that_are_no_yaml(refused, here, base):
    torch.save({"model": base.build()}, here / "m.pt")
    (here / "m.bin").write_bytes(bytes(range(256)))
    (here / "m.yaml").write_bytes(bytes(range(256)))
    (here / "n.yaml").write_text("nc: 3\nbackbone: 5\nhead: 5\n")
    (here / "yolo11x.yaml").write_bytes((here / "a" / "best.yaml").read_bytes())
    assert "must be a YAML" in refused("m.pt")
    assert "must be a YAML" in refused("m.bin")
    assert "readable as YAML" in refused("m.yaml")
    assert "`backbone` must be a list" in refused("n.yaml")
    assert "name another model" in refused("yolo11x.yaml")
    assert "at least one model YAML" in refused("lr0=0.1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "0", "1,2"])
def test_a_gpu_that_is_not_there(refused, device):
    assert "needs an NVIDIA GPU" in refused("a/best.yaml", "--device", device)


def test_a_device_that_is_none(refused):
    assert "`--device` must be" in refused("a/best.yaml", "--device", "tpu")


def test_an_image_size_that_the_strides_do_not_divide(refused):
    assert "multiple of the model's stride 32" in refused("a/best.yaml", "--imgsz", 100)


def test_weights_of_another_model(refused, here):
    from nas_attn.detector.base_model import load_base

    torch.save({"model": load_base("yolov8n", nc=3, width=0.0625).build()}, here / "other.pt")
    (here / "none.pt").write_text("nothing")
    assert "must be of the same model" in refused("a/best.yaml", "--weights", "other.pt")
    assert "that Ultralytics wrote" in refused("a/best.yaml", "--weights", "none.pt")


def test_weights_follow_their_layers(here, base, slots):
    """A checkpoint of the architecture itself gives all its tensors, one of another architecture the base's."""
    from ultralytics import YOLO

    from nas_attn.detector.final_training import load_weights
    from nas_attn.detector.transfer import build

    trained, _ = build(base, slots, Architecture.parse(FOUND), seed=9)
    torch.save({"model": trained, "ema": None}, here / "trained.pt")
    state = trained.state_dict()
    own, other = (YOLO(str(here / name / "best.yaml"), task="detect") for name in "ab")

    report = load_weights(own, here / "a" / "best.yaml", here / "trained.pt")
    assert (report.moved, report.total) == (len(state), len(state))
    assert all(torch.equal(own.model.state_dict()[k], v) for k, v in state.items())

    report = load_weights(other, here / "b" / "best.yaml", here / "trained.pt")
    inserted = [k for k in state if k.split(".")[1] in ("17", "24")]
    assert (report.moved, report.total) == (len(state) - len(inserted), len(state) - len(inserted))
    moved = other.model.state_dict()
    assert torch.equal(moved["model.24.cv3.0.2.weight"], state["model.25.cv3.0.2.weight"])
    assert torch.equal(moved["model.17.conv.weight"], state["model.18.conv.weight"])


def printed(capfd) -> list[dict]:
    """The runs of the JSON object; Ultralytics' own output stands before it only where pytest captures it."""
    out = capfd.readouterr().out
    return json.loads(out[out.index('{\n "runs"') :])["runs"]


def test_two_models_of_one_name_stay_apart(here, base, tiny_data, capfd):
    torch.save({"model": base.build()}, here / "w.pt")
    line = ["train", "a/best.yaml", "b/best.yaml", "a/../a/best.yaml", "--data", tiny_data, *QUICK, "--weights", "w.pt"]
    arguments = [str(a) for a in (*line, "-o", "runs", "--json")]
    assert run(arguments) == 0
    runs = printed(capfd)
    assert [r["model"] for r in runs] == ["a/best", "b/best"]
    assert len({r["checkpoint"] for r in runs}) == 2 and all(Path(r["checkpoint"]).is_file() for r in runs)

    stamps = [Path(r["checkpoint"]).stat().st_mtime_ns for r in runs]
    assert run(arguments) == 0
    assert printed(capfd) == runs
    assert [Path(r["checkpoint"]).stat().st_mtime_ns for r in runs] == stamps


def test_a_result_belongs_to_the_content_of_its_weights(here, tiny_data, base):
    from nas_attn.detector.data import check_data
    from nas_attn.detector.final_training import asked

    torch.save({"model": base.build()}, here / "w.pt")
    info = check_data(tiny_data)
    first = asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt")
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt") == first
    torch.save({"model": base.build()}, here / "w.pt")
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt") != first
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, None) != first
