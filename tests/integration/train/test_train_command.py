"""`train`: mistakes are reported before any training, and results are in the right folders."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from short_training import QUICK, printed, table

from nas_attn.cli.app import run
from nas_attn.space import Architecture


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
    from nas_attn.detector.final.arguments import check_arguments

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
    from nas_attn.data.check import check_data
    from nas_attn.detector.final.training import asked

    torch.save({"model": base.build()}, here / "w.pt")
    info = check_data(tiny_data)
    first = asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt")
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt") == first
    torch.save({"model": base.build()}, here / "w.pt")
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, here / "w.pt") != first
    assert asked(here / "a" / "best.yaml", info, {"epochs": 1}, None) != first


def test_the_help_says_what_differs_from_ultralytics_defaults(capfd):
    assert run(["train", "--help"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "plots=False" in said and "amp=bf16" in said and "amp=False" in said


def test_the_plain_command_trains_the_same(here, base, tiny_data, capfd):
    """A new process imports only Ultralytics; from weights it needs no hook."""
    torch.save({"model": base.build()}, here / "w.pt")
    line = ["train", "a/best.yaml", "--data", tiny_data, *QUICK, "--weights", "w.pt", "freeze=[0, 1]", "--json"]
    assert run([str(a) for a in line]) == 0
    result = printed(capfd)[0]
    command = result["plain_command"]
    assert {"freeze=[0, 1]", "seed=0", "model=runs/train/best-seed0-start.pt"} < set(shlex.split(command))
    assert result["transferred"] == [len(base.build().state_dict())] * 2
    start = "import sys, torch; assert 'nas_attn' not in sys.modules; import ultralytics.cfg as c; c.entrypoint()"
    words = [*shlex.split(command)[1:], f"project={here}", "name=plain"]
    done = subprocess.run([sys.executable, "-c", start, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert table(here / "plain" / "results.csv") == table(here / "runs" / "train" / "best-seed0" / "results.csv")


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_tasks(task, tmp_path, monkeypatch, capfd):
    """One epoch from weights with another class count; the table names the objects of its mAP."""
    from nas_attn.data.demo import write_data
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.export import write_yaml
    from nas_attn.detector.neck.slots import find_slots

    monkeypatch.chdir(tmp_path)
    name = {"segment": "yolo11n-seg", "pose": "yolo26n-pose", "obb": "yolo11n-obb"}[task]
    other = load_base(name, width=0.0625)
    torch.save({"model": other.build()}, "w.pt")
    small = other.changed(nc=3)
    write_yaml(Path("best.yaml"), small, find_slots(small), Architecture.parse("p3=lska(k_size=7)"), final_nc=3)
    Path("data").mkdir()
    data = write_data(Path("data"), {"train": 4, "val": 2}, 64, ((8, 12), (14, 24), (30, 50)), task=task)
    line = [str(a) for a in ("train", "best.yaml", "--data", data, *QUICK, "--weights", "w.pt")]
    assert run([*line, "--json"]) == 0
    result = printed(capfd)[0]
    kinds = {"segment": "mask", "pose": "keypoint", "obb": "oriented box"}
    assert result["metric"] == kinds[task] and result["test_map50_95"] is None
    assert 0 < result["transferred"][0] < result["transferred"][1]
    assert run(line) == 0
    assert f"val {kinds[task]} mAP50-95" in " ".join(capfd.readouterr().out.split())


def test_the_figure_is_the_tasks_own():
    from types import SimpleNamespace as Some

    from nas_attn.detector.final.training import map_of

    box, mask, points = Some(map=0.5, map50=0.6), Some(map=0.3, map50=0.4), Some(map=0.1, map50=0.2)
    metrics = Some(box=box, seg=mask, pose=points)
    found = {task: map_of(metrics, task) for task in ("detect", "segment", "pose", "obb")}
    assert found == {"detect": (0.5, 0.6), "segment": (0.3, 0.4), "pose": (0.1, 0.2), "obb": (0.5, 0.6)}


def test_models_that_cannot_be_trained_here(refused, here):
    text = (here / "a" / "best.yaml").read_text()
    (here / "nohead.yaml").write_text("\n".join(text.splitlines()[:-1]) + "\n")
    (here / "unknown.yaml").write_text(text.replace("nas_attn.LSKA", "nas_attn.LSKB"))
    (here / "foreign.yaml").write_text(
        text.split("nas_attn:")[0] + text[text.index("backbone:") :].replace("SPPF", "SPPX")
    )
    (here / "edited.yaml").write_text(text.replace("0.0625", "0.125"))
    assert "must end in" in refused("nohead.yaml")
    assert "LSKA" in refused("unknown.yaml")
    assert "SPPX" in refused("foreign.yaml")
    assert "exported" in refused("edited.yaml")
    (here / "nc.yaml").write_text(text.replace("nc: 3", "nc: 4"))
    said = refused("nc.yaml")
    assert "`nc` must equal" in said and "Write `nc: 3`" in said and "--nc 3" in said
