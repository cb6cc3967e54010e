"""Simulated ablations with known true effects, on the synthetic evaluator: how often a table makes a false claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas_attn.ablation.decide import BETTER, WORSE, Decision, decide, wanted
from nas_attn.ablation.design import Arm, Contrast, Design
from nas_attn.ablation.looks import Looks
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture

NOISE = 0.005  # mAP50-95 of a single run, in addition to the effect of its seed; as in short runs from scratch
LUCK = 0.02
FIDELITY = Fidelity(1, 64)
DIFFERENCE = 0.01
SIZES = (3, 5, 7, 11, 23, 35, 41, 53)


@dataclass(frozen=True)
class Share:
    """The number of simulated ablations with some outcome, of all that ran."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of

    @property
    def error(self) -> float:
        """The standard error of the share."""
        return float(np.sqrt(self.value * (1 - self.value) / self.of))


def design(arms: int = 8) -> Design:
    """A design that compares each arm with the base, and the first arm with each other arm, as leave-one-out does."""
    base = Arm("base", (), Architecture.parse("p3=none"))
    others = [Arm(f"arm {k}", (), Architecture.parse(f"p3=lska(k_size={k})")) for k in SIZES[:arms]]
    against = [Contrast.between(a.name, "base", a, base) for a in others]
    against += [Contrast.between(f"not {a.name}", "full", others[0], a) for a in others[1:]]
    return Design((base, *others), tuple(against))


def evaluator(world: int, gains: Sequence[float] = (), noise: float = NOISE) -> SyntheticEvaluator:
    """An evaluator with fresh noise and these gains of the first arms."""
    planted = tuple((f"p3=lska(k_size={k})", gain) for k, gain in zip(SIZES, gains, strict=False))
    return SyntheticEvaluator(seed=world, effect_sd=0.0, noise_sd=noise, seed_sd=LUCK, planted=planted)


def run(
    plan: Design,
    looks: Looks,
    score: Callable[[Architecture, int], float],
    *,
    then: Looks | None = None,
) -> tuple[list[Decision], int]:
    """The verdicts of an ablation that runs from its first trial to its end, and the number of its trials.

    Args:
        plan: the design.
        looks: numbers of seeds after which the results are tested.
        score: (architecture, seed) -> mAP50-95.
        then: further looks, used if something is undecided after the first ones.
    """
    values: dict[tuple[str, int], float | None] = {}
    while True:
        decisions = decide(plan, looks, values, difference=DIFFERENCE)
        todo = list(wanted(plan, looks, decisions, values))
        if not todo and then is not None and not all(_claims(d) for d in decisions):
            looks, then = looks.changed(then, looks.made(looks.most)), None
            continue
        if not todo:
            return decisions, len(values)
        for name, index in todo:
            values[name, index] = score(plan.arm(name).architecture, index)


def false_claims(
    count: int,
    looks: Looks,
    gains: Sequence[float] = (),
    *,
    then: Looks | None = None,
    heavy: bool = False,
    arms: int = 8,
    first: int = 0,
) -> tuple[dict[str, Share], float]:
    """Family -> share of ablations that claim a difference that does not exist; and the mean number of trials.

    Args:
        count: number of ablations.
        looks: see `run`.
        gains: true gains of the first arms; the other arms have no gain.
        then: see `run`; an ablation ends early if it claims all differences, because users would stop there.
        heavy: noise with the tails of Student's t with three degrees of freedom, as collapsed runs cause.
        arms: number of arms besides the base.
        first: seed of the first evaluator.
    """
    plan = design(arms)
    truth = {a.name: 0.0 for a in plan.arms} | dict(zip([a.name for a in plan.arms[1:]], gains, strict=False))
    true_null = {c for c in plan.contrasts if abs(sum(w * truth[n] for n, w in c.weights)) < 1e-12}
    hits = dict.fromkeys((c.family for c in plan.contrasts), 0)
    trials = 0
    for world in range(first, first + count):
        decisions, used = run(plan, looks, _score(world, gains, heavy), then=then)
        trials += used
        for family in hits:
            hits[family] += any(
                _claims(d) for d in decisions if d.contrast in true_null and d.contrast.family == family
            )
    return {f: Share(n, count) for f, n in hits.items()}, trials / count


def found(count: int, looks: Looks, gain: float, *, first: int = 0) -> tuple[Share, float]:
    """The share of ablations that find the one arm with a gain, with the right sign; and the mean seeds of that arm."""
    plan = replace(design(), contrasts=design().family("base"))
    hits, seeds = 0, 0
    for world in range(first, first + count):
        decisions, _ = run(plan, looks, _score(world, (gain,), heavy=False))
        verdict = decisions[0]
        hits += verdict.verdict == (BETTER if gain > 0 else WORSE)
        seeds += verdict.result.n if verdict.result else 0
    return Share(hits, count), seeds / count


def _score(world: int, gains: Sequence[float], heavy: bool) -> Callable[[Architecture, int], float]:
    if not heavy:
        call = evaluator(world, gains)
        return lambda architecture, seed: call(architecture, FIDELITY, seed).map50_95
    exact = evaluator(world, gains, noise=0.0)
    rng = np.random.default_rng([world, 3])
    scale = NOISE / np.sqrt(3)  # the variance of t with three degrees of freedom is 3
    return lambda architecture, seed: exact(architecture, FIDELITY, seed).map50_95 + scale * rng.standard_t(3)


def _claims(d: Decision) -> bool:
    return d.verdict in (BETTER, WORSE)
