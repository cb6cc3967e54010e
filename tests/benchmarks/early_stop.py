"""Early stops on real learning curves: the CPU seconds that they save, and the hypervolume that they keep.

    python tests/benchmarks/early_stop.py [--quick] [--json] [--orders 20] [--record] [--curves FILE] [--nlp FILE]
        [--jobs 1]

Recorded runs (`results/bccd_curves.jsonl`, see `tests/support/recorded_curves.py`) are replayed in random orders, after
the base with its seeds. Rules: ours, `safe` and `fast`; and a median rule of Pareto ranks, as OptunaHub's
`multi_metric_pruner` has it, on validations after each quarter. `--nlp FILE` replays the learning curves of
NAS-Bench-NLP, too: `train_logs_wikitext-2/logs.zip` of github.com/fmsnew/nas-bench-nlp-release (Apache-2.0).

Seconds are those that each run took: its share of the steps, its start, and each validation that the rule asks for; for
NAS-Bench-NLP they are epochs. The hypervolume kept is that of the finished runs by their own final score, as a share of
that of all runs. `--record` trains the runs that are missing (a CPU core needs two
minutes for each). The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from recorded_curves import CURVES, EPOCHS, SEEDS, jobs, record, recorded

from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.evaluate import Evaluation
from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.knowledge import hypervolume
from nas_attn.known_cost.observations import Runs
from nas_attn.known_cost.posterior import NOISE, Posterior
from nas_attn.known_cost.situation import Situation
from nas_attn.space import NONE, Architecture
from nas_attn.study.coded import PRIOR, Coded
from nas_attn.study.early_stop import epochs_of, thresholds
from nas_attn.study.training_loss import Line, predicted
from nas_attn.study.trial import Trial

VALIDATED = (4, 8, 12)  # epochs of the recorded runs that have an mAP50-95 beside the last one
STARTUP = 5  # runs before the median rule stops any, as `multi_metric_pruner` has it
GOALS = {"seconds": 0.5, "kept": 0.998}


@dataclass(frozen=True)
class Run:
    """A recorded run."""

    architecture: Architecture
    seed: int
    gmacs: float
    losses: tuple[float, ...]
    scores: dict[int, float]
    start: float
    epoch: float
    validation: float

    @classmethod
    def of(cls, row: dict[str, Any]) -> Run:
        scores = {c["epoch"]: c["map50_95"] for c in row["curve"] if "map50_95" in c}
        losses = tuple(c["loss"] for c in row["curve"])
        return cls(
            Architecture.parse(row["architecture"]),
            row["seed"],
            row["gmacs"],
            losses,
            scores,
            row["seconds"] - row["steps_seconds"] - row["val_seconds"],
            row["steps_seconds"] / EPOCHS,
            row["val_seconds"] / len(scores),
        )

    def seconds(self, epochs: int, validations: int) -> float:
        return self.start + epochs * self.epoch + validations * self.validation

    def trial(self, number: int, last: int) -> Trial:
        """The run as a trial that ended after an epoch."""
        rows = [{"epoch": e, "loss": v, "lr": 0.0} for e, v in enumerate(self.losses[:last], 1)]
        score = self.scores.get(last, 0.0)
        flags = (f"{STOPPED}{last}",) if last < EPOCHS else ()
        found = Evaluation(score, score, tuple(rows), 0.0, self.seed, EPOCHS, 160, flags=flags)
        role, state = "base" if self.architecture.is_base else "search", "stopped" if flags else "complete"
        return Trial(number, role, self.architecture, self.seed, state, {"gmacs": self.gmacs}, found)


class Ours:
    """The rule of a search, with its posterior of what was trained before."""

    validations = 1

    def __init__(self, runs: list[Run], mode: str) -> None:
        self.mode = mode
        genes: dict[str, dict[Any, float]] = {}
        for run in runs:
            for slot, gene in run.architecture:
                genes.setdefault(slot, {NONE: 0.0})[gene] = 0.0
        self.coded = Coded(genes, 0.0)
        self.kernel = Kernel(self.coded.space)
        costs = np.array([r.gmacs for r in runs])
        self.low, self.range = float(costs.min()), float(np.ptp(costs))

    def limits(self, trials: list[Trial], run: Run) -> dict[int, float]:
        finished = [t for t in trials if t.usable]
        if len(finished) < 2:
            return {}
        ends = predicted(trials)
        there = [t for t in trials if t.usable or t.number in ends]
        at: dict[Architecture, int] = {}
        positions = [at.setdefault(t.architecture, len(at)) for t in there]
        gmacs = {t.architecture: t.gmacs for t in there}
        cost = (np.array([gmacs[a] for a in at]) - self.low) / self.range
        values = [ends[t.number].value if t.number in ends else t.map50_95 or 0.0 for t in there]
        extra = [ends[t.number].variance if t.number in ends else 0.0 for t in there]
        points = np.array([self.coded.point(a) for a in at])
        data = Runs(points, cost, positions, values, [t.seed for t in there], extra)
        now = Situation(Posterior(self.kernel, data, best=True, prior=PRIOR))
        cheaper = now.mean[now.cost <= (run.gmacs - self.low) / self.range + 1e-9]
        return thresholds(trials, EPOCHS, float(cheaper.max()), now.posterior.spread(NOISE), self.mode)

    def last(self, trials: list[Trial], before: list[Run], run: Run) -> int:
        if run.architecture.is_base:
            return EPOCHS
        limits = self.limits(trials, run)
        return next((e for e in epochs_of(EPOCHS) if run.losses[e - 1] > limits.get(e, np.inf)), EPOCHS)


class MedianRank:
    """Stops a run whose Pareto rank among all values of its epoch is worse than the median rank."""

    validations = 4

    def last(self, trials: list[Trial], before: list[Run], run: Run) -> int:
        reached = [(r, t.stopped or EPOCHS) for r, t in zip(before, trials, strict=True)]
        for epoch in VALIDATED:
            known = [r for r, last in reached if last >= epoch]
            if run.architecture.is_base or len(known) < STARTUP:
                continue
            values = np.array([r.scores[epoch] for r in (*known, run)])
            ranks = _ranks(values, np.array([r.gmacs for r in (*known, run)]))
            if ranks[-1] > np.median(ranks[:-1]):
                return epoch
        return EPOCHS


def _ranks(values: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The number of the front on which each point lies, after the fronts before were removed."""
    better = (values[:, None] >= values) & (costs[:, None] <= costs)
    better &= (values[:, None] > values) | (costs[:, None] < costs)
    found = np.full(len(values), -1)
    rank = 0
    while (left := found < 0).any():
        free = left & ~(better & left[:, None]).any(0)
        found[free] = rank
        rank += 1
    return found


def replay(seed: int, runs: list[Run]) -> dict[str, dict[str, float]]:
    """All rules on one order of the runs."""
    rng = np.random.default_rng(seed)
    base = [r for r in runs if r.architecture.is_base]
    others = [r for r in runs if not r.architecture.is_base]
    order = [*base, *(others[i] for i in rng.permutation(len(others)))]
    scores, costs = np.array([r.scores[EPOCHS] for r in order]), np.array([r.gmacs for r in order])
    floor = float(np.quantile(scores, 0.1))
    scaled = (costs - costs.min()) / np.ptp(costs)
    whole = hypervolume(scores, scaled, floor)
    full = sum(r.seconds(EPOCHS, 1) for r in order)
    found = {}
    for name, rule in (("safe", Ours(runs, "safe")), ("fast", Ours(runs, "fast")), ("median rank", MedianRank())):
        trials: list[Trial] = []
        seconds = 0.0
        for number, run in enumerate(order):
            last = rule.last(trials, order[:number], run)
            looks = sum(e <= last for e in VALIDATED) + (last == EPOCHS)
            seconds += run.seconds(last, looks if rule.validations > 1 else 1)
            trials.append(run.trial(number, last))
        kept = np.array([t.usable for t in trials])
        share = float(hypervolume(scores[kept], scaled[kept], floor) / whole)
        found[name] = {"seconds": seconds / full, "kept": share, "stopped": float((~kept).mean())}
    return found


@dataclass(frozen=True)
class Curve:
    """A recorded training of NAS-Bench-NLP.

    Attributes:
        cost: million parameters.
        losses: training loss of each epoch.
        end: `TOP` minus the lowest validation loss.
    """

    cost: float
    losses: tuple[float, ...]
    end: float

    def trial(self, number: int, last: int) -> Trial:
        """The training as a trial that ended after an epoch."""
        rows = tuple({"epoch": e, "loss": v, "lr": 0.0} for e, v in enumerate(self.losses[:last], 1))
        flags = (f"{STOPPED}{last}",) if last < len(self.losses) else ()
        found = Evaluation(self.end, self.end, rows, 0.0, 0, len(self.losses), 64, flags=flags)
        state = "stopped" if flags else "complete"
        return Trial(number, "search", Architecture.parse("p3=none"), 0, state, {"gmacs": self.cost}, found)


TOP = 10.0  # above every validation loss


def nlp_curves(path: Path) -> list[Curve]:
    """The finished trainings of NAS-Bench-NLP on wikitext-2."""
    found = []
    with zipfile.ZipFile(path) as file:
        for name in sorted(file.namelist()):
            log = json.loads(file.read(name))
            losses, values = np.array(log["train_losses"], float), np.array(log["val_losses"], float)
            if log["status"] == "OK" and len(values) == log["epochs"] and np.isfinite([*losses, *values]).all():
                found.append(Curve(log["num_params"] / 1e6, tuple(losses.tolist()), TOP - float(values.min())))
    return found


def nlp_replay(seed: int, curves: list[Curve]) -> dict[str, dict[str, float]]:
    """Our rule on one order of the trainings. There are no seeds, so the front is that of the values themselves."""
    order = [curves[i] for i in np.random.default_rng(seed).permutation(len(curves))]
    ends, costs = np.array([c.end for c in order]), np.array([c.cost for c in order])
    floor, scaled = float(np.quantile(ends, 0.1)), (costs - costs.min()) / np.ptp(costs)
    epochs, found = len(order[0].losses), {}
    for mode in ("safe", "fast"):
        trials: list[Trial] = []
        spent = 0
        for number, one in enumerate(order):
            height = max((t.map50_95 or 0.0 for t in trials if t.usable and t.gmacs <= one.cost), default=0.0)
            limits = thresholds(trials, epochs, height, 0.0, mode)
            last = next((e for e in epochs_of(epochs) if one.losses[e - 1] > limits.get(e, np.inf)), epochs)
            spent += last
            trials.append(one.trial(number, last))
        kept = np.array([t.usable for t in trials])
        share = hypervolume(ends[kept], scaled[kept], floor) / hypervolume(ends, scaled, floor)
        found[mode] = {"seconds": spent / epochs / len(order), "kept": float(share), "stopped": float((~kept).mean())}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one order")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--record", action="store_true", help="train the runs that are missing")
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--nlp", type=Path, help="logs.zip of NAS-Bench-NLP")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.record:
        done = {(r["architecture"], r["seed"]) for r in recorded(options.curves)}
        with Pool(options.jobs) as pool:
            for row in pool.imap_unordered(record, [j for j in jobs() if j not in done]):
                with options.curves.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    runs = [Run.of(row) for row in recorded(options.curves)]
    if len(runs) < 2 * len(SEEDS):
        parser.error(f"there are {len(runs)} recorded runs; record more with --record")
    with Pool(options.jobs) as pool:
        rows = pool.map(partial(replay, runs=runs), range(1 if options.quick else options.orders))
    summary: dict[str, Any] = {"runs": len(runs), "signals": _signals(runs), **_means(rows)}
    if options.nlp:
        curves = nlp_curves(options.nlp)
        with Pool(options.jobs) as pool:
            rows = pool.map(partial(nlp_replay, curves=curves), range(1 if options.quick else options.orders))
        summary["NLP"] = {"runs": len(curves), **_means(rows)}
    if not options.json:
        print(f"{len(runs)} runs on BCCD; correlation with the final mAP50-95 {summary['signals']}; goals {GOALS}")
        for name in (n for n in summary if n not in ("runs", "signals")):
            print(f"{name}: {summary[name]}")
    print(json.dumps(summary))


def _means(rows: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    found = {}
    for name in rows[0]:
        values = {k: np.array([r[name][k] for r in rows]) for k in rows[0][name]}
        found[name] = {
            "seconds": round(float(values["seconds"].mean()), 3),
            "kept, worst": round(float(values["kept"].min()), 4),
            "kept, mean": round(float(values["kept"].mean()), 4),
            "stopped": round(float(values["stopped"].mean()), 3),
        }
    return found


def _signals(runs: list[Run]) -> dict[str, dict[str, float]]:
    """For each look: the correlation of the training loss, and of the mAP50-95, with the final mAP50-95."""
    trials = [r.trial(i, EPOCHS) for i, r in enumerate(runs)]
    ends = np.array([r.scores[EPOCHS] for r in runs])
    found = {}
    for epoch in epochs_of(EPOCHS):
        line = Line.of(trials, epoch, EPOCHS)
        assert line is not None
        found[f"epoch {epoch}"] = {"loss": round(float(np.corrcoef(-line.losses, ends)[0, 1]), 2)}
        if epoch in VALIDATED:
            scores = [r.scores[epoch] for r in runs]
            found[f"epoch {epoch}"]["mAP50-95"] = round(float(np.corrcoef(scores, ends)[0, 1]), 2)
    return found


if __name__ == "__main__":
    main()
