"""`train`: what is wrong is said before anything is trained, and weights and results end up where they belong."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
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
        capfd.readouterr()
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
    said = refused("a/best.yaml", *QUICK, "--weights", "other.pt")
    assert re.search(r"at least 95%.*got \d+ of \d+ \(\d+\.\d %\).*'other.pt'.*--partial-weights", said), said
    assert "--partial-weights" in refused("a/best.yaml", *QUICK, "--weights", "wider.pt")
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


def test_another_width_is_not_another_class_count(here, base):
    """What classes, bins and keypoints do not decide has another reason, in the head too."""
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.weights import start_model

    target = load_base(str(here / "a" / "best.yaml"))
    torch.save({"model": load_base("yolov8n", nc=80, width=0.125).build()}, here / "other.pt")
    _, fit = start_model(target, here / "other.pt", 0, partial=True)
    assert [key for key, _ in fit.reshaped] == [f"model.22.cv3.{i}.2.bias" for i in range(3)]
    assert any(key == "model.22.cv2.0.0.conv.weight" for key, _ in fit.lost)
    assert fit.counted >= fit.total - len(fit.reshaped)


@pytest.mark.parametrize(("head", "bins"), [("yolov8n", 16), ("yolov8n", 1), ("yolov8n-pose", 16)])
def test_what_classes_bins_and_keypoints_decide_is_not_counted(here, head, bins):
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.weights import start_model

    before = load_base(head, nc=3, width=0.0625)
    after = before.changed(nc=1, reg_max=bins, kpt_shape=(5, 3) if "pose" in head else None)
    for name, found, base in (("a.pt", before, after), ("b.pt", after, before)):
        torch.save({"model": found.build()}, here / name)
        _, fit = start_model(base, here / name, 0)
        assert fit.share == 1 and fit.reshaped and not fit.lost


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


KILLED = """
import os, signal, sys
from nas_attn.detector.environment import prepare
prepare()
from ultralytics.utils.callbacks.base import default_callbacks
event, epoch = sys.argv[1], int(sys.argv[2])
def kill(trainer):
    if trainer.epoch + 1 == epoch:
        os.kill(os.getpid(), signal.SIGKILL)
default_callbacks[event].append(kill)
from nas_attn.cli.app import run
sys.exit(run(sys.argv[3:]))
"""


def killed(event: str, epoch: int, arguments: list[str]) -> None:
    """Give a command in a process that gets kill -9 from itself at an event of Ultralytics, behind an epoch."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, event, str(epoch), *arguments], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def table(path: Path) -> list[list[str]]:
    """results.csv without the column of seconds."""
    return [[cell for i, cell in enumerate(row) if i != 1] for row in csv.reader(path.read_text().splitlines())]


def test_a_killed_run_goes_on_by_the_same_command(here, base, tiny_data, capfd):
    """The finished epochs stay; learning rates go on to the last digit; the rest is a run of its own randomness."""
    torch.save({"model": base.build()}, here / "w.pt")
    line = ["train", "a/best.yaml", "--data", tiny_data, "--epochs", 4, *QUICK[2:-1], "--weights", "w.pt"]
    whole, broken = ([str(a) for a in (*line, "-o", name)] for name in ("whole", "broken"))
    assert run(whole) == 0
    killed("on_model_save", 2, broken)
    folder = here / "broken" / "best-seed0"
    assert not (folder / "result.json").exists()
    before = table(folder / "results.csv")
    with (folder / "results.csv").open("a") as file:  # killed between the row and the checkpoint of the next epoch
        file.write("3" + ",0" * (len(before[0]) + 1) + "\n")
    capfd.readouterr()

    assert run(broken) == 0
    assert "going on behind epoch 2" in "".join(capfd.readouterr())
    after, wanted = table(folder / "results.csv"), table(here / "whole" / "best-seed0" / "results.csv")
    rates = [i for i, name in enumerate(wanted[0]) if name.startswith("lr/")]
    assert rates and [row[0] for row in after[1:]] == ["1", "2", "3", "4"]
    assert after[:3] == wanted[:3] == before
    assert [[row[i] for i in rates] for row in after] == [[row[i] for i in rates] for row in wanted]
    assert (
        after[3:] != wanted[3:]
    )  # Ultralytics keeps neither the random state nor the raw weights; or say so no longer
    assert run(broken) == 0 and "going on" not in "".join(capfd.readouterr())


def test_only_the_figures_are_missing(here, tiny_data, capfd):
    """Killed when training is over: the checkpoint is evaluated, and gives what an uninterrupted run gives."""
    line = [str(a) for a in ("train", "a/best.yaml", "--data", tiny_data, *QUICK, "--json", "-o")]
    killed("on_train_end", 1, [*line, "broken"])
    best = here / "broken" / "best-seed0" / "weights" / "best.pt"
    stamp = best.stat().st_mtime_ns
    assert run([*line, "broken"]) == 0
    first = printed(capfd)[0]
    assert best.stat().st_mtime_ns == stamp and first["plain_command"].startswith(
        "yolo detect train model=a/best.yaml "
    )
    assert run([*line, "whole"]) == 0
    second = printed(capfd)[0]
    figures = ("val_map50_95", "val_map50", "test_map50_95", "metric")
    assert [first[k] for k in figures] == [second[k] for k in figures]
    assert not list((here / "broken").rglob("*.asked.json")) and not list(here.rglob("val-*"))


def test_a_checkpoint_is_whole_or_the_one_before(here, tiny_data, monkeypatch):
    """What is killed while it writes leaves the last whole epoch."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    from nas_attn.detector.final_trainers import WholeDetectionTrainer

    trainer = WholeDetectionTrainer.__new__(WholeDetectionTrainer)
    trainer.last, trainer.best = here / "last.pt", here / "best.pt"
    trainer.last.write_text("epoch 1")

    def cut_short(self) -> bool:
        self.last.write_text("epo")
        raise OSError("no space")

    monkeypatch.setattr(DetectionTrainer, "save_model", cut_short)
    with pytest.raises(OSError, match="no space"):
        trainer.save_model()
    assert trainer.last.read_text() == "epoch 1" and trainer.last.name == "last.pt"

    def whole(self) -> bool:
        self.last.write_text("epoch 2")
        return True

    monkeypatch.setattr(DetectionTrainer, "save_model", whole)
    assert trainer.save_model() and trainer.last.read_text() == "epoch 2" and not trainer.best.exists()


def test_a_folder_of_another_is_not_trained_over(refused, here, tiny_data):
    mine = here / "runs" / "train" / "best-seed1" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    line = ("a/best.yaml", *QUICK, "--seeds", 2)
    assert "best-seed1" in refused(*line) and "--force" in refused(*line)

    arguments = [str(a) for a in ("train", "--data", tiny_data, "a/best.yaml", *QUICK, "--seed", 1)]
    assert run([*arguments, "--force"]) == 0
    assert mine.read_text() == "mine"
    result = mine.with_name("result.json")
    content = result.read_bytes()
    said = refused("a/best.yaml", *QUICK, "--seed", 1, "lr0=0.002")  # another command
    assert "very same command" in said and result.read_bytes() == content
    assert run([*arguments, "lr0=0.002", "--force"]) == 0
    assert result.read_bytes() != content


def test_a_finished_run_is_not_called_training(here, tiny_data, capfd):
    """Each time the text says where the best checkpoint of each run lies."""
    line = [str(a) for a in ("train", "--data", tiny_data, "a/best.yaml", *QUICK)]
    checkpoint = "best, seed 0: runs/train/best-seed0/weights/best.pt"
    assert run(line) == 0
    said = capfd.readouterr()
    assert "training best with seed 0" in said.err and checkpoint in said.out
    assert run(line) == 0
    said = capfd.readouterr()
    assert "training best" not in said.err and checkpoint in said.out
    assert "best with seed 0 is finished: its figures are read from runs/train/best-seed0" in said.err


def test_the_help_says_what_differs_from_ultralytics_defaults(capfd):
    assert run(["train", "--help"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "plots=False" in said and "amp=bf16" in said and "amp=False" in said


def test_two_of_one_command_do_not_train_at_once(here, tiny_data, capfd):
    from filelock import FileLock

    line = [str(a) for a in ("train", "--data", tiny_data, "a/best.yaml", *QUICK)]
    (here / "runs" / "train").mkdir(parents=True)
    with FileLock(here / "runs" / "train" / "best-seed0.lock"):
        assert run(line) == 1
    assert "another process" in capfd.readouterr().err
    assert not (here / "runs" / "train" / "best-seed0").exists()
    assert run(line) == 0 and not list(here.rglob("*.lock"))


def test_the_plain_command_trains_the_same(here, base, tiny_data, capfd):
    """In a fresh process that knows Ultralytics only; from weights without any hook."""
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
    """One epoch from weights of another class count; the table says what its mAP is of."""
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.demo_data import write_data
    from nas_attn.detector.export import write_yaml
    from nas_attn.detector.slots import find_slots

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
    kinds = {"segment": "mask", "pose": "keypoint", "obb": "rotated box"}
    assert result["metric"] == kinds[task] and result["test_map50_95"] is None
    assert 0 < result["transferred"][0] < result["transferred"][1]
    assert run(line) == 0
    assert f"val {kinds[task]} mAP50-95" in " ".join(capfd.readouterr().out.split())


def test_the_figure_is_the_tasks_own():
    from types import SimpleNamespace as Some

    from nas_attn.detector.final_training import map_of

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
