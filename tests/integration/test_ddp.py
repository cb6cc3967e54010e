"""Training in several processes: they know all modules, start from the transferred weights, and continue after a kill.

The test needs no GPU: two processes of `torch.distributed` train on the CPU with gloo instead.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from module_files import GOOD, clean  # noqa: F401

from nas_attn.cli.app import run
from nas_attn.space import Architecture

# Ultralytics trains on several devices only if they are GPUs: all its checks for that are replaced
ON_THE_CPU = """
import os, runpy, signal, sys
import torch
torch.set_num_threads(1)
assert "nas_attn" not in sys.modules
import ultralytics.engine.trainer as trainers
import ultralytics.engine.validator as validators
from types import SimpleNamespace

class OnTheCpu(torch.nn.parallel.DistributedDataParallel):
    def __init__(self, module, device_ids=None, **others):
        super().__init__(module, **others)

def made(self, *given, **named):
    init(self, *given, **named)
    self.world_size = int(os.environ["WORLD_SIZE"])
    if os.environ.get("KILL_BEHIND"):
        self.add_callback("on_fit_epoch_end", kill)

def kill(trainer):
    if trainer.epoch + 1 == int(os.environ["KILL_BEHIND"]) and os.environ["RANK"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)

def join(self):
    torch.distributed.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=self.world_size)

def backend(*given, device=None, **named):
    return on_a_device(*given, device=torch.device("cpu"), **named)

init, on_a_device = trainers.BaseTrainer.__init__, validators.AutoBackend
trainers.BaseTrainer.__init__, trainers.BaseTrainer._setup_ddp = made, join
trainers.nn.parallel.DistributedDataParallel = OnTheCpu
validators.AutoBackend = backend
validators.get_torch_device_backend = lambda kind: SimpleNamespace(current_device=lambda: 0)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
STILL = ("lr0=1e-20", "optimizer=SGD", "momentum=0", "weight_decay=0", "warmup_epochs=0")
QUICK = ("--imgsz", 64, "--batch", 4, "--device", "cpu", "val=False")


def write_model(path: Path, architecture: str):
    """Write an exported YAML of a very narrow yolo11n, and return the base."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.export import write_yaml
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=3, width=0.0625)
    write_yaml(path, base, find_slots(base), Architecture.parse(architecture), final_nc=3)
    return base


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory that holds best.yaml and w.pt."""
    torch.save({"model": write_model(tmp_path / "best.yaml", "p3=lska(k_size=7)").build()}, tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_processes(here, monkeypatch) -> None:
    """Trainers of this process start two other processes, as on two GPUs."""
    from ultralytics.engine import trainer as trainers

    (here / "on_the_cpu.py").write_text(ON_THE_CPU)
    init, command = trainers.BaseTrainer.__init__, trainers.generate_ddp_command

    def made(self, *given, **named):
        init(self, *given, **named)
        self.ddp, self.world_size = True, 2

    def start(trainer):
        *begin, file = command(trainer)[0]
        return [*begin, str(here / "on_the_cpu.py"), file], file

    monkeypatch.setattr(trainers.BaseTrainer, "__init__", made)
    monkeypatch.setattr(trainers, "generate_ddp_command", start)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_two_processes_start_from_the_weights_are_killed_and_go_on(here, tiny_data, two_processes, monkeypatch, capfd):
    line = ["train", "best.yaml", "--data", tiny_data, "--weights", "w.pt", "--epochs", 3, *QUICK, *STILL]
    arguments = [str(a) for a in line]
    monkeypatch.setenv("KILL_BEHIND", "2")
    assert run(arguments) == 1
    said = capfd.readouterr().err
    assert "same command continues" in said and "Traceback" not in said.rsplit("error:", 1)[1], said
    folder = here / "runs" / "train" / "best-seed0"
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 3 and not (folder / "result.json").exists()
    from nas_attn.detector.final.training_folder import epochs_of

    assert epochs_of(folder / "weights" / "last.pt") == (2, 3)
    start = torch.load(f"{folder}-start.pt", weights_only=False)["model"].state_dict()
    last = torch.load(folder / "weights" / "last.pt", weights_only=False)["ema"].state_dict()
    convolutions = [k for k in start if k.endswith("conv.weight") or ".conv_" in k or ".conv0" in k]
    assert len(convolutions) > 50
    assert all(torch.equal(last[k], start[k].half()) for k in convolutions)

    monkeypatch.delenv("KILL_BEHIND")
    assert run(arguments) == 0
    said = capfd.readouterr()
    assert "continues after epoch 2" in said.err + said.out
    again = (folder / "results.csv").read_text().splitlines()
    assert [r.split(",")[0] for r in again[1:]] == ["1", "2", "3"] and again[:3] == rows
    assert (folder / "result.json").exists()


def test_the_generated_script_knows_the_users_own_modules(here, tiny_data, monkeypatch, clean):  # noqa: F811
    """The training starts from scratch, so neither weights nor the environment bring the module's file."""
    from ultralytics.utils import callbacks
    from ultralytics.utils.dist import ddp_cleanup, generate_ddp_file

    from nas_attn.attention import user
    from nas_attn.detector.final.trainers import CarriedModules, WholeDetectionTrainer

    (here / "mine.py").write_text(GOOD)
    source = user.load(here / "mine.py")
    write_model(here / "mine.yaml", "p3=mine(k_size=3)")
    monkeypatch.delenv("NAS_ATTN_MODULES", raising=False)
    given = {"model": "mine.yaml", "data": str(tiny_data), "epochs": 1, "imgsz": 64, "batch": 4, "device": "cpu"}
    overrides = {**given, "save_dir": str(here / "run"), "plots": False, "val": False}

    def script(carried: list) -> subprocess.CompletedProcess[str]:
        made = WholeDetectionTrainer(overrides=dict(overrides), _callbacks={
            **callbacks.get_default_callbacks(), "on_train_start": carried,
        })  # fmt: skip
        file = generate_ddp_file(made)
        try:
            return subprocess.run([sys.executable, file], capture_output=True, text=True, check=False, cwd=here)
        finally:
            ddp_cleanup(made, file)

    (here / "mine.py").unlink()
    assert "KeyError: 'nas_attn.Mine'" in script([]).stderr
    done = script([CarriedModules([source])])
    assert done.returncode == 0, done.stderr
    trained = torch.load(here / "run" / "weights" / "best.pt", weights_only=False)["model"]
    assert type(trained.model[17]).__name__ == "Mine"
