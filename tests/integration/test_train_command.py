"""`train`: what is wrong is said before anything is trained, and weights and results end up where they belong."""

from __future__ import annotations

import json
import re
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
    from nas_attn.detector.train_arguments import check_arguments

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
    torch.save({"model": load_base("yolo11n", nc=3, width=0.125).build()}, here / "wider.pt")
    (here / "none.pt").write_text("nothing")
    said = refused("a/best.yaml", "--weights", "other.pt")
    assert re.search(r"at least 95%.*got \d+ of \d+ \(\d+\.\d %\).*'other.pt'.*--partial-weights", said), said
    assert "--partial-weights" in refused("a/best.yaml", "--weights", "wider.pt")
    assert "that Ultralytics wrote" in refused("a/best.yaml", "--weights", "none.pt")
    assert "must be a .pt file" in refused("a/best.yaml", "--weights", "a/best.yaml")


def test_another_class_count_is_no_other_base(here, base, slots):
    """What the class count, the bins or attention decide is not counted; everything else is there."""
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.transfer import build
    from nas_attn.detector.weights import start_model

    target = load_base(str(here / "a" / "best.yaml"))
    sizes = {"nc.pt": base.changed(nc=80), "bins.pt": base.changed(reg_max=4), "both.pt": base.changed(nc=1, reg_max=8)}
    for name, other in sizes.items():
        torch.save({"model": other.build()}, here / name)
        _, fit = start_model(target, here / name, 0)
        assert fit.share == 1.0 and fit.reshaped and not fit.lost and not fit.attention
        assert fit.moved + len(fit.reshaped) == fit.total
        assert all(key.startswith("model.23.") for key, _ in fit.reshaped)

    torch.save({"model": build(base, slots, Architecture.parse("p4=acmix(head=2,kernel_att=3)"), 0)[0]}, here / "p4.pt")
    _, fit = start_model(target, here / "p4.pt", 0)
    assert fit.share == 1.0 and not fit.reshaped and not fit.lost
    assert {key.split(".")[1] for key, _ in fit.attention} == {"20"}


def test_what_fits_of_another_base_is_taken_when_told(here, base):
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.weights import start_model

    other = load_base("yolov8n", nc=3, width=0.0625).build()
    torch.save({"model": other}, here / "other.pt")
    model, fit = start_model(load_base(str(here / "a" / "best.yaml")), here / "other.pt", 0, partial=True)
    assert 0 < fit.share < 0.95 and fit.lost and fit.moved < fit.total
    assert torch.equal(model.state_dict()["model.0.conv.weight"], other.state_dict()["model.0.conv.weight"])
    said = "\n".join(fit.lines())
    assert (
        f"{fit.moved} of {fit.total} tensors" in said and f"left: {len(fit.lost)} that the model has no place" in said
    )


def test_weights_follow_their_layers(here, base, slots):
    """A checkpoint of the architecture itself gives all its tensors, one of another architecture the base's."""
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.transfer import build
    from nas_attn.detector.weights import start_model

    trained, _ = build(base, slots, Architecture.parse(FOUND), seed=9)
    torch.save({"model": trained, "ema": None}, here / "trained.pt")
    state = trained.state_dict()

    own, fit = start_model(load_base(str(here / "a" / "best.yaml")), here / "trained.pt", 0)
    assert (fit.moved, fit.total, fit.fresh, fit.matched, fit.misplaced) == (len(state), len(state), 0, len(state), 0)
    assert all(torch.equal(own.state_dict()[k], v) for k, v in state.items())

    other, fit = start_model(load_base(str(here / "b" / "best.yaml")), here / "trained.pt", 0)
    inserted = [k for k in state if k.split(".")[1] in ("17", "24")]
    assert (fit.moved, len(fit.attention), fit.total) == (len(state) - len(inserted), len(inserted), len(state))
    moved = other.state_dict()
    assert torch.equal(moved["model.24.cv3.0.2.weight"], state["model.25.cv3.0.2.weight"])
    assert torch.equal(moved["model.17.conv.weight"], state["model.18.conv.weight"])
    assert fit.matched < fit.moved  # what loading by row number would have found


def test_a_start_is_the_same_for_the_same_seed(here, base):
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.weights import start_model

    torch.save({"model": base.build()}, here / "w.pt")
    model = load_base(str(here / "a" / "best.yaml"))
    first, again, other = (start_model(model, here / "w.pt", seed)[0].state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(again[k], v) for k, v in first.items())
    assert any(not torch.equal(other[k], v) for k, v in first.items() if k.startswith("model.17."))


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
