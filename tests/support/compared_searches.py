"""Searches that are compared by the compute seconds until the front that they report is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from neck_table import PARTS, order
from sampler_results import seconds_to

from nas_attn.analysis.front import front
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.statistics.pareto import front_of
from nas_attn.study.trial import paired
from nas_attn.study.view import StudyView

Points = list[tuple[float, float]]  # compute seconds, hypervolume of the reported front
Looks = list[tuple[float, list[Architecture]]]  # compute seconds, the reported front

NEAR = 0.05  # of the hypervolume
STEP, START = 4, 8  # trials between two looks, and before the first


def looks_of(view: StudyView) -> Looks:
    """The fronts that a study reported while it ran."""
    seconds = np.cumsum([t.evaluation.seconds if t.evaluation else 0.0 for t in view.trials])
    found = []
    for n in range(START, len(view.trials) + 1, STEP):
        seen = StudyView(view.folder, view.header, view.slots, paired(view.trials[:n]))
        found.append((float(seconds[n - 1]), [c.architecture for c in front(seen)]))
    return found


def reported(
    train: Callable[[Architecture], Evaluation], cost: Mapping[Architecture, float], part: str, seed: int, trials: int
) -> Looks:
    """The loop that people write: Optuna's default sampler; it reports the best of what it measured.

    Args:
        train: an architecture, once.
        cost: architecture -> GMACs.
        part: its data decide the space.
        seed: of the sampler.
        trials: number of trainings.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.NSGAIISampler(seed=seed))
    space = order(PARTS[part].data)
    genes = {s: sorted({str(a[s]) for a in space}) for s in space[0].slots}
    measured: dict[Architecture, float] = {}
    spent, found = 0.0, []
    for n in range(1, trials + 1):
        trial = study.ask()
        chosen = {s: trial.suggest_categorical(s, some) for s, some in genes.items()}
        architecture = Architecture.parse(" ".join(f"{s}={g}" for s, g in chosen.items()))
        run = train(architecture)
        study.tell(trial, (run.map50_95, cost[architecture]))
        measured[architecture] = run.map50_95
        spent += run.seconds
        if n >= START and (n - START) % STEP == 0:
            some = list(measured)
            best = front_of(np.array([measured[a] for a in some]), np.array([cost[a] for a in some]))
            found.append((spent, [some[i] for i in best]))
    return found


def summary(found: dict[tuple[str, int], Points], seeds: int) -> dict[str, Any]:
    """Seconds of each way until its front stays good, and the ratio of ours to each other way.

    A way that never gets there counts with all that it spent, so its ratio is an upper limit.
    """
    most, ways = max(points[-1][1] for points in found.values()), list(dict.fromkeys(way for way, _ in found))
    until = {
        way: [seconds_to([[t, 1 - v / most] for t, v in found[way, s]], NEAR) for s in range(seeds)] for way in ways
    }
    medians = {way: float(np.median(some)) for way, some in until.items()}
    spent = {way: float(np.median([found[way, s][-1][0] for s in range(seeds)])) for way in ways}
    return {
        "seeds": seeds,
        f"searches within {NEAR:.0%}": {way: int(np.isfinite(some).sum()) for way, some in until.items()},
        "median seconds until then": {way: _finite(m) for way, m in medians.items()},
        "ratio": {
            way: _finite(medians["nas_attn"] / min(medians[way], spent[way])) for way in ways if way != "nas_attn"
        },
        "share of the hypervolume at the end": {
            way: round(float(np.mean([found[way, s][-1][1] for s in range(seeds)])) / most, 3) for way in ways
        },
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
