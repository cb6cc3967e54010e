"""How much of a trial is training? A plain `YOLO(yaml).train()` loop against the proxy evaluator.

    python tests/benchmarks/trial_overhead.py [--quick] [--trials 3] [--json]

yolo11n, 128 training and 64 validation images of 160 pixels, batch 16, 2 epochs, several trials in one process, one
thread. The trials have one seed, as the first trials of a search do. Each side is a process of its own, and the two
alternate over `--rounds`. The plain loop is measured from the start of its process to its end. Ours is measured as a
search runs it, in a worker that is forked from a process with the libraries; the seconds of loading them, once in a
search, are `load_s`, and count in the ratio of the sides. Useful is the time inside training steps (from Ultralytics'
on_train_batch_start to on_train_batch_end, so without loading data) plus the validation after the last epoch; both
sides validate after the last epoch only. Ratios of CPU seconds, which other work on the machine does not change, and of
wall seconds beside them. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SIDES = ("plain", "ours")
IMGSZ, BATCH, EPOCHS = 160, 16, 2


class Clock:
    """CPU and wall seconds between pairs of calls, summed."""

    def __init__(self) -> None:
        self.cpu = self.wall = self._cpu = self._wall = 0.0

    def start(self, *_: object) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self, *_: object) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall


def row(steps: Clock, last: Clock, whole: Clock) -> dict:
    """One trial's seconds: training steps, these with the validation, and all of it."""
    return {
        "steps": steps.cpu,
        "useful": steps.cpu + last.cpu,
        "total": whole.cpu,
        "useful_wall": steps.wall + last.wall,
        "total_wall": whole.wall,
    }


def plain(data: str, trials: int, report: dict) -> None:
    """What a user writes: build and train, again and again. Reports through callbacks."""
    from ultralytics import YOLO

    for number in range(trials):
        steps, whole = Clock(), Clock()
        whole.start()
        model = YOLO("yolo11n.yaml")
        model.add_callback("on_train_batch_start", steps.start)
        model.add_callback("on_train_batch_end", steps.stop)
        validations: list[Clock] = []

        def val_start(_validator: object, done: list[Clock] = validations) -> None:
            done.append(Clock())
            done[-1].start()

        def val_end(_validator: object, done: list[Clock] = validations) -> None:
            done[-1].stop()

        model.add_callback("on_val_start", val_start)
        model.add_callback("on_val_end", val_end)
        model.train(
            data=data, epochs=EPOCHS, imgsz=IMGSZ, batch=BATCH, val=False, device="cpu", workers=0, seed=0,
            project=str(Path(data).parent / "runs"), name=f"trial{number}",
        )  # fmt: skip
        whole.stop()
        report["trials"].append(row(steps, validations[0], whole))  # the second validation is of the best checkpoint


def ours(data: str, trials: int, report: dict) -> None:
    """The same trainings through the proxy evaluator."""
    from nas_attn.detector.proxy.recipe import Recipe
    from nas_attn.detector.proxy.trainer import ProxyTrainer
    from nas_attn.environment import prepare
    from nas_attn.evaluate import Fidelity
    from nas_attn.evaluate.proxy import ProxyEvaluator
    from nas_attn.space import Architecture

    evaluator = ProxyEvaluator(
        model="yolo11n", data=data, nc=3, final_imgsz=IMGSZ, recipe=Recipe(batch=BATCH),
        cache=str(Path(data).parent / "cache"),
    )  # fmt: skip
    prepare()
    clocks: dict[str, Clock] = {}
    proxy: Any = ProxyTrainer
    start, end, validate = proxy._on_train_batch_start, proxy._on_train_batch_end, proxy.validate

    def timed_start(self) -> None:
        clocks["steps"].start()
        start(self)

    def timed_end(self) -> None:
        end(self)
        clocks["steps"].stop()

    def timed_validate(self):
        clocks["last"].start()
        try:
            return validate(self)
        finally:
            clocks["last"].stop()

    proxy._on_train_batch_start, proxy._on_train_batch_end, proxy.validate = timed_start, timed_end, timed_validate
    for _ in range(trials):
        clocks.update(steps=Clock(), last=Clock(), whole=Clock())
        clocks["whole"].start()
        evaluator(Architecture.parse("p3=none p4=none p5=none"), Fidelity(EPOCHS, IMGSZ), 0)
        clocks["whole"].stop()
        report["trials"].append(row(clocks["steps"], clocks["last"], clocks["whole"]))


def child(side: str, data: str, trials: int) -> None:
    """Run one side and print its report."""
    import torch

    torch.set_num_threads(1)
    report: dict = {"trials": [], "load": 0.0}
    if side == "ours":
        from nas_attn.engine import worker
        from nas_attn.evaluate.proxy import ProxyEvaluator

        worker.loaded(ProxyEvaluator.load)
        report["load"] = time.process_time()
        if pid := os.fork():
            raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    began = time.perf_counter()
    {"plain": plain, "ours": ours}[side](data, trials, report)
    report.update(cpu=time.process_time(), wall=time.perf_counter() - began)
    print("\n" + json.dumps(report))


def measure(side: str, data: str, trials: int, home: Path) -> dict:
    """CPU and wall seconds of one side."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_CONFIG_DIR": str(home),
        "NAS_ATTN_CACHE": str(home),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, __file__, "--child", side, "--data", data, "--trials", str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    report = json.loads(done.stdout.splitlines()[-1])
    found, cpu, wall = report["trials"], report["cpu"], report["wall"]
    later = found[1:]
    return {
        "cpu_s": round(cpu, 2),
        "load_s": round(report["load"], 2),
        "wall_s": round(wall, 2),
        "steps_s": round(sum(t["steps"] for t in found), 2),
        "useful_s": round(sum(t["useful"] for t in found), 2),
        "useful_of_first": round(found[0]["useful"] / (cpu - sum(t["total"] for t in later)), 3),
        "useful_of_total": round(sum(t["useful"] for t in found) / cpu, 3),
        "useful_of_total_later": round(sum(t["useful"] for t in later) / sum(t["total"] for t in later), 3),
        "useful_of_total_wall": round(sum(t["useful_wall"] for t in found) / wall, 3),
        "useful_of_total_later_wall": round(
            sum(t["useful_wall"] for t in later) / sum(t["total_wall"] for t in later), 3
        ),
    }


def medians(rounds: list[dict]) -> dict:
    """The median of each figure over one side's rounds."""
    names = [n for n in rounds[0] if n != "side"]
    return {n: round(statistics.median(r[n] for r in rounds), 3) for n in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and two trials: does it run?")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1, help="how often both sides run, alternating")
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.data, options.trials)

    from nas_attn.data.demo import write_data

    trials = 2 if options.quick else options.trials
    counts = {"train": 32, "val": 16} if options.quick else {"train": 128, "val": 64}
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "data").mkdir()
        data = str(write_data(home / "data", counts, IMGSZ, ((12, 30), (34, 70), (80, 130))))
        for number in range(options.rounds):
            for side in SIDES if number % 2 == 0 else SIDES[::-1]:
                rounds.append({"side": side, **measure(side, data, trials, home)})
                if not options.json:
                    print(rounds[-1], flush=True)
    found = {side: medians([r for r in rounds if r["side"] == side]) for side in SIDES}
    ratio = round(found["plain"]["cpu_s"] / (found["ours"]["cpu_s"] + found["ours"]["load_s"]), 3)
    print(json.dumps({"benchmark": "trial_overhead", "trials": trials, **found, "plain_over_ours_cpu": ratio}))
    return None


if __name__ == "__main__":
    main()
