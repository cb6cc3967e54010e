"""`train` after an interruption: finished runs stay, interrupted ones continue, and no run overwrites another."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import torch
from short_training import QUICK, printed, table

from nas_attn.cli.app import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
KILLED = """
import os, signal, sys
from nas_attn.environment import prepare
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
    """Run a command in a process that kills itself (kill -9) at an event of Ultralytics, after an epoch."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, event, str(epoch), *arguments], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_killed_run_goes_on_by_the_same_command(here, base, tiny_data, capfd):
    """Finished epochs stay, and learning rates continue exactly; the other epochs draw their own random numbers."""
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
    assert "continues after epoch 2" in "".join(capfd.readouterr())
    after, wanted = table(folder / "results.csv"), table(here / "whole" / "best-seed0" / "results.csv")
    rates = [i for i, name in enumerate(wanted[0]) if name.startswith("lr/")]
    assert rates and [row[0] for row in after[1:]] == ["1", "2", "3", "4"]
    assert after[:3] == wanted[:3] == before
    assert [[row[i] for i in rates] for row in after] == [[row[i] for i in rates] for row in wanted]
    # Ultralytics keeps neither the random state nor the raw weights; if that changes, the documents must say so
    assert after[3:] != wanted[3:]
    assert run(broken) == 0 and "continues after" not in "".join(capfd.readouterr())


def test_only_the_figures_are_missing(here, tiny_data, capfd):
    """A process killed after the training: the checkpoint is evaluated, with the result of an uninterrupted run."""
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
    """A process killed while it writes a checkpoint leaves that of the last complete epoch."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    from nas_attn.detector.final.trainers import WholeDetectionTrainer

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
    assert "exactly the same command" in said and result.read_bytes() == content
    assert run([*arguments, "lr0=0.002", "--force"]) == 0
    assert result.read_bytes() != content


def test_a_finished_run_is_not_called_training(here, tiny_data, capfd):
    """Every call prints the path of the best checkpoint of each run."""
    line = [str(a) for a in ("train", "--data", tiny_data, "a/best.yaml", *QUICK)]
    checkpoint = "best, seed 0: runs/train/best-seed0/weights/best.pt"
    assert run(line) == 0
    said = capfd.readouterr()
    assert "training best with seed 0" in said.err and checkpoint in said.out
    assert run(line) == 0
    said = capfd.readouterr()
    assert "training best" not in said.err and checkpoint in said.out
    assert "best with seed 0 is already finished; its results are read from runs/train/best-seed0" in said.err


def test_two_of_one_command_do_not_train_at_once(here, tiny_data, capfd):
    from filelock import FileLock

    line = [str(a) for a in ("train", "--data", tiny_data, "a/best.yaml", *QUICK)]
    (here / "runs" / "train").mkdir(parents=True)
    with FileLock(here / "runs" / "train" / "best-seed0.lock"):
        assert run(line) == 1
    assert "another process" in capfd.readouterr().err
    assert not (here / "runs" / "train" / "best-seed0").exists()
    assert run(line) == 0 and not list(here.rglob("*.lock"))
