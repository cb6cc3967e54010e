"""An estimate of the hours that an ablation takes, from earlier trials or from a few measured training steps."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.design import Arm
from nas_attn.ablation.plan.prepare import AblationPlan
from nas_attn.ablation.view import AblationView
from nas_attn.analysis.noise import noise
from nas_attn.errors import UserError
from nas_attn.evaluate.score import Score
from nas_attn.lines import many
from nas_attn.statistics.paired import ALPHA, POWER, pairs_needed, power
from nas_attn.statistics.spread import pooled
from nas_attn.study.view import StudyView, Trial

ENOUGH = 8  # degrees of freedom that give a standard deviation to about ±25 %


@dataclass(frozen=True)
class Estimate:
    """The estimated time of all trials that are still to be trained.

    Attributes:
        seconds: arm -> seconds of one trial.
        trials: number of trials; the largest possible number if results decide it.
        at_most: True if results may make it smaller.
        hours: wall-clock hours on `workers` workers.
        workers: number of trials that run at the same time.
        source: the origin of `seconds`, in words.
    """

    seconds: dict[str, float]
    trials: int
    at_most: bool
    hours: float
    workers: int
    source: str


def estimate(plan: AblationPlan, view: AblationView) -> Estimate:
    """The estimated time of a plan.

    Args:
        plan: the plan.
        view: the ablation that has recorded the plan. Its ended trials and decided comparisons need no more time.
    """
    known = [t for t in view.trials if t.evaluation is not None]
    source = "this ablation's own trials"
    if not known and plan.request.study is not None:
        known = [t for t in plan.request.study.trials if t.evaluation is not None]
        source = "the study's trials"
    if known:
        seconds = {a.name: _from_trials(plan, a, known) for a in plan.design.arms}
    else:
        source = "a few measured steps of the base"
        step = _measured(plan)
        base = plan.costs[plan.design.base_of(None).name]["gmacs"]
        seconds = {a.name: step * plan.costs[a.name]["gmacs"] / base for a in plan.design.arms}
    looks = view.looks
    undecided = [d for d in view.decisions if not d.final]
    wanted = {name for d in undecided for name in d.contrast.arms}
    bases = {view.design.base_of(m).name for m in view.design.models if not view.base_failed(m)}
    first = dict.fromkeys(bases, len(view.liveness_seeds))
    left = {
        (a.name, i)
        for a in plan.design.arms
        for i in range(looks.most if a.name in wanted else first.get(a.name, 0))  # liveness needs bases
        if (a.name, i) not in view.values
    }
    begun = (
        view.place(t) for t in view.trials if t.state == "running"
    )  # a started trial is finished, even if it is no longer needed
    left |= {(place[0].name, place[1]) for place in begun if place is not None}
    workers = len(plan.study.devices)
    hours = sum(seconds[name] for name, _ in left) / workers / 3600
    at_most = any(looks.most > looks.seeds[d.looks] for d in undecided)  # an earlier look may decide
    return Estimate(seconds, len(left), at_most, hours, workers, source)


def foresight(plan: AblationPlan, view: AblationView) -> str:
    """A sentence on the power of the planned seeds; empty if the noise is not known."""
    spread = _spread(plan, view)
    if spread is None:
        return ""
    sd, source = spread
    looks, count = view.looks, sum(d.contrast.family == "base" and d.verdict != DEAD for d in view.decisions)
    level, difference = ALPHA / looks.count / max(1, count), plan.request.settings.difference
    chance = power(difference, sd, looks.most, level) if looks.most > 1 else 0.0
    needed = pairs_needed(difference, sd, level)
    text = (
        f"With a noise of {sd / math.sqrt(2):.4f} a run, as in {source}, {looks.most} seeds show a difference of "
        f"{difference:g} {view.score.words} with probability {chance:.0%}, corrected for "
        f"{many(count, 'comparison')}"
    )
    return text + (f". For {POWER:.0%}, take {needed} seeds, or compare less with --kinds." if chance < POWER else ".")


def _spread(plan: AblationPlan, view: AblationView) -> tuple[float, str] | None:
    """The standard deviation of a paired difference, and its origin; None if it is unknown.

    It comes from the ablation if that has enough pairs, otherwise from the posterior of the study: two runs with the
    same seed differ by the noise of both.
    """
    results = [d.result for d in view.decisions if d.contrast.family == "base"]
    own = [(r.n - 1, r.sd) for r in results if r is not None and r.sd]
    if sum(df for df, _ in own) >= ENOUGH:
        return pooled(own)[0], "this ablation's own trials"
    study = _read(plan.request.study, view.score)
    seen = noise(study) if study is not None else None
    if study is None or seen is None:
        return None
    config, fidelity = study.header["config"], plan.study.fidelity
    source = "the study's trials"
    if any(config[k] != getattr(fidelity, k) for k in ("epochs", "imgsz", "fraction")):
        source += f" at {many(config['epochs'], 'epoch')} and {config['imgsz']} px"
    return seen.run.mean * math.sqrt(2), source


def _read(study: StudyView | None, score: Score) -> StudyView | None:
    """The study, read by the score of the ablation; None if its runs did not record it."""
    try:
        return None if study is None else study.read_by(score)
    except UserError:
        return None


def _from_trials(plan: AblationPlan, arm: Arm, known: list[Trial]) -> float:
    """The seconds of one trial of an arm: from trials of the same network, if any, otherwise in proportion to GMACs."""
    own = [t for t in known if t.architecture == arm.architecture and t.model == arm.model]
    if own:
        return statistics.median(_here(plan, t) for t in own)
    gmacs = plan.costs[arm.name]["gmacs"]
    return statistics.median(_here(plan, t) * gmacs / t.gmacs for t in known)


def _here(plan: AblationPlan, trial: Trial) -> float:
    """The seconds that a trial would take at the fidelity of this ablation."""
    e, f = trial.evaluation, plan.study.fidelity
    assert e is not None
    share = float(e.recipe.get("fraction", 1.0))
    return e.seconds * (f.epochs / e.epochs) * (f.imgsz / e.imgsz) ** 2 * (f.fraction / share)


def _measured(plan: AblationPlan) -> float:
    """The seconds of one trial of the base, from forward and backward passes on random images."""
    from nas_attn.detector.proxy.step_time import step_time

    config, data, evaluator = plan.study.config, plan.study.header["data"], plan.study.evaluator
    model = plan.scales[None].base.changed(reg_max=evaluator.proxy_reg_max(config.imgsz)).build()
    found = step_time(model, config.batch, config.imgsz, evaluator.device, plan.study.threads)
    scored = data["val"] + (data["test"] if evaluator.test else 0)
    return found.of_trial(config.epochs, data["train"] * config.fraction, scored)
