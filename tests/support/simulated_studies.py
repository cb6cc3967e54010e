"""Studies with known truth, made by the real search loop: its own choices, controls and seeds, but no training.

The truth has an effect of each module at each slot, one that all slots share, and one of each setting; then the
architecture's own rest. It is scaled to a standard deviation over the architectures of the space. The figures of noise
and of the training loss are those of proxies: near the base on BCCD, and on the generated data set. A run takes one
second if it is not stopped early.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from untrained_searches import SLOTS, make_plan, run_plan

from nas_attn.analysis.answer import shows
from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.space import Architecture, Gene
from nas_attn.study.plan import Plan
from nas_attn.study.view import StudyView

LEVEL = 0.3  # mAP50-95 of the base
MODULES: dict[str, dict[str, list[Any]]] = {
    "conv": {"groups": [1, 2]},
    "acmix": {"head": [2, 4], "kernel_att": [3, 5, 7]},
    "lska": {"k_size": [7, 11, 23, 35]},
    "efficient_attention": {"group_split": [[4, 4], [2, 6], [8, 0]]},
}
# The training loss of a run tells the truth with an error of this share of its noise, and this much more of its own:
# so it leaves 0.0054 of the final mAP50-95 open near the base on BCCD, where 0.0057 were measured after a quarter.
SHARED, OWN = 0.33, 0.38
PLANTED = ("p4", "lska")  # the slot and module of a planted effect


@dataclass(frozen=True)
class Kind:
    """A kind of studies.

    Attributes:
        between: standard deviation of the truth over architectures, mAP50-95.
        noise: standard deviation of a run.
        luck: standard deviation of the level of a seed.
        tails: degrees of freedom of the noise, with the same standard deviation; None for normal noise.
        interactions: number of pairs of modules whose effects do not add up; each is twice `between`.
        collapsed: number of runs that lose 0.2.
        failed: number of trials that fail.
        planted: effect of the module at the slot `PLANTED`, in addition.
        trials: number of trials.
    """

    between: float = 0.006
    noise: float = 0.007
    luck: float = 0.003
    tails: float | None = None
    interactions: int = 0
    collapsed: int = 0
    failed: int = 0
    planted: float = 0.0
    trials: int = 100


def planted_to_be_shown(trials: int) -> Kind:
    """Studies with one effect that is as large as the difference that the foresight of a search promises to show."""
    return Kind(between=0.0, planted=shows(Kind.noise, trials - 4), trials=trials)


BCCD = Kind()
GENERATED = Kind(0.015, 0.03, 0.02)
KINDS = {
    "bccd": BCCD,
    "generated": GENERATED,
    "heavy tails": replace(BCCD, tails=3.0),
    "interactions": replace(BCCD, interactions=2),
    "collapsed run": replace(BCCD, collapsed=1),
    "missing seeds": replace(BCCD, failed=3),
    "nothing differs": replace(BCCD, between=0.0),
    "nothing differs, generated": replace(GENERATED, between=0.0),
    "planted 0.005": replace(BCCD, between=0.0, planted=0.005),
    "planted 0.010": replace(BCCD, between=0.0, planted=0.010),
    "planted 0.015": replace(BCCD, between=0.0, planted=0.015),
    **{f"shown by {n} trials": planted_to_be_shown(n) for n in (16, 30, 60)},
}


class Truth:
    """An evaluator that knows the truth.

    Args:
        kind: the kind of the study.
        seed: draws the truth and the noise.
    """

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind, self.seed, self.calls = kind, seed, 0
        rng = np.random.default_rng([seed, 1])
        slots, modules = [s.name for s in SLOTS], list(MODULES)
        shared = {m: 0.5 * rng.normal() for m in modules}
        self._effects = {(s, m): shared[m] + 0.8 * rng.normal() for s in slots for m in modules}
        self._settings: dict[tuple[str, Gene], float] = {}
        self._factor, self._pairs = 0.0, []
        sample = self._sample(rng)
        spread = float(np.std([self._sum(a) for a in sample]))
        self._factor = kind.between / spread
        for _ in range(kind.interactions):
            (s, m), (t, n) = (list(self._effects)[i] for i in rng.choice(len(self._effects), 2, replace=False))
            self._pairs.append(((s, m), (t, n), 2 * kind.between * rng.choice((-1, 1))))
        self._odd = rng.choice(np.arange(6, kind.trials), kind.collapsed + kind.failed, replace=False)

    def _sample(self, rng: np.random.Generator) -> list[Architecture]:
        genes = [Gene("none")]
        for module, settings in MODULES.items():
            for values in itertools.product(*settings.values()):
                genes.append(Gene.of(module, dict(zip(settings, values, strict=True))))
        picks = rng.integers(len(genes), size=(2000, len(SLOTS)))
        return [Architecture.of({s.name: genes[i] for s, i in zip(SLOTS, row, strict=True)}) for row in picks]

    def _sum(self, architecture: Architecture) -> float:
        total = 0.0
        for slot, gene in architecture:
            if gene.module != "none":
                total += self._effects[slot, gene.module] + 0.4 * self._drawn("setting", slot, gene)
        return total + 0.3 * self._drawn("own", architecture)

    def _drawn(self, *key: object) -> float:
        digest = abs(hash_of(self.seed, *key))
        return float(np.random.default_rng(digest).normal())

    def truth(self, architecture: Architecture) -> float:
        """The true mAP50-95."""
        found = LEVEL + (self._factor * self._sum(architecture) if self._factor else 0.0)
        there = {(slot, gene.module) for slot, gene in architecture}
        found += sum(gain for one, other, gain in self._pairs if one in there and other in there)
        return found + self.kind.planted * (PLANTED in there)

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Any = None,
        liveness: bool = False,
        stop_above: Mapping[int, float] | None = None,
    ) -> Evaluation:
        """The evaluation of an architecture."""
        number, kind = self.calls, self.kind
        self.calls += 1
        odd = list(self._odd).index(number) if number in self._odd else None
        if odd is not None and odd >= kind.collapsed:
            raise EvaluationFailed("the simulated study was told to fail here")
        rng = np.random.default_rng([abs(hash_of(self.seed, "noise", architecture, seed)), 2])
        noise = rng.normal() if kind.tails is None else rng.standard_t(kind.tails) * np.sqrt(1 - 2 / kind.tails)
        score = self.truth(architecture) + kind.noise * noise + kind.luck * self._drawn("luck", seed)
        score -= 0.2 if odd is not None else 0.0
        final = float(min(1.0, max(0.0, score)))
        learnt = self.truth(architecture) + kind.noise * (SHARED * noise + OWN * rng.normal())
        rows = [self._epoch(e, fidelity.epochs, learnt) for e in range(1, fidelity.epochs + 1)]
        limits = stop_above or {}
        over = (r["epoch"] for r in rows[:-1] if r["loss"] > limits.get(r["epoch"], np.inf))
        last = next(over, fidelity.epochs)
        final *= (last / fidelity.epochs) ** (1 / 3)
        return Evaluation(
            map50_95=final,
            map50=min(1.0, 1.5 * final),
            curve=(*rows[: last - 1], {**rows[last - 1], "map50_95": final}),
            seconds=last / fidelity.epochs,
            seed=seed,
            epochs=fidelity.epochs,
            imgsz=fidelity.imgsz,
            flags=(f"{STOPPED}{last}",) if last < fidelity.epochs else (),
            liveness={s: final / 2 for s in architecture.slots} if liveness else None,
            recipe={"synthetic": True},
        )

    def _epoch(self, epoch: int, epochs: int, learnt: float) -> dict[str, Any]:
        return {"epoch": epoch, "loss": 4.0 - epoch / epochs - 10 * (learnt - LEVEL), "lr": 1e-3}


def hash_of(*key: object) -> int:
    """A number that equal keys share in all processes."""
    import hashlib

    return int.from_bytes(hashlib.sha256("|".join(map(str, key)).encode()).digest()[:8], "little")


def plan_of(kind: Kind, seed: int, **config: Any) -> Plan:
    """The plan of a simulated study."""
    return make_plan(Truth(kind, seed), trials=kind.trials, seed=seed, modules=MODULES, **config)


def simulated(kind: Kind, seed: int, folder: Path | None = None, **config: Any) -> tuple[StudyView, Truth]:
    """A study of a kind, made by the search loop, with its truth."""
    plan = plan_of(kind, seed, **config)
    truth: Any = plan.evaluator
    if folder is not None:
        return run_plan(plan, folder), truth
    with tempfile.TemporaryDirectory() as made:
        return run_plan(plan, Path(made) / "study"), truth
