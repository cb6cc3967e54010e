"""The rows of an ablation's tables as numbers and words; Markdown, LaTeX, CSV and HTML are written from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas_attn.ablation.decide import Decision, Values
from nas_attn.ablation.design import Arm, Contrast
from nas_attn.ablation.report.words import confidence, shown_verdict, words
from nas_attn.ablation.view import AblationView
from nas_attn.space import NONE
from nas_attn.statistics.paired import Paired, paired
from nas_attn.statistics.spread import moments
from nas_attn.study.slot_states import LIVE


@dataclass(frozen=True)
class Moments:
    """The mean and the sample standard deviation over n seeds; `sd` is None if n is 1."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class ComparisonRow:
    """One arm or contrast, with all facts for tables, files and the forest plot.

    Attributes:
        family: key of `FAMILIES`.
        label: its name, e.g. `without p4`.
        kinds: kinds of comparisons that need the arm.
        arm: the arm, in the table against the base; None in the other tables.
        inserted: `slot=gene` of each gene that the arm inserts; empty for the base.
        val, test: the score over the compared seeds; None without any.
        decision: the decision on the contrast; None for a base.
        test_result: the paired comparison on the test split, which decides nothing; None without test scores.
        verdict: a verdict of `decide`. It is also `dead` if the arms were trained although only dead slots differ, and
            empty for a base.
        words: the verdict in words.
        remarks: failures, flags, dead slots.
        trials: numbers of all trials behind the figures.
        cost: `gmacs`, `params_m` and further costs of the arm's final model; empty without an arm or a trial.
    """

    family: str
    label: str
    kinds: tuple[str, ...]
    arm: Arm | None
    inserted: str
    val: Moments | None
    test: Moments | None
    decision: Decision | None
    test_result: Paired | None
    verdict: str
    words: str
    remarks: tuple[str, ...]
    trials: tuple[int, ...]
    cost: dict[str, float]

    @property
    def key(self) -> str:
        """A unique name of the row, also after comparisons are added. No family name has a space."""
        return f"{self.family} {self.label}"

    @property
    def result(self) -> Paired | None:
        """The paired comparison on val; None without a pair."""
        return self.decision.result if self.decision is not None else None


def family_rows(view: AblationView, family: str) -> list[ComparisonRow]:
    """The rows of one family, in the design's order. In the family `base`, each base stands before its arms."""
    rows = [_row(view, d) for d in view.decisions if d.contrast.family == family]
    if family != "base":
        return rows
    found = []
    for model in view.design.models:
        found += [_base_row(view, model), *(r for r in rows if r.arm is not None and r.arm.model == model)]
    return found


def _base_row(view: AblationView, model: str | None) -> ComparisonRow:
    arm = view.design.base_of(model)
    trained = [i for i in range(view.looks.most) if (arm.name, i) in view.values]
    return ComparisonRow(
        family="base",
        label=arm.name,
        kinds=(),
        arm=arm,
        inserted="",
        val=_moments(arm, trained, view.values),
        test=_moments(arm, trained, view.test_values),
        decision=None,
        test_result=None,
        verdict="",
        words="the base",
        remarks=_mishaps(view, (arm,)),
        trials=_numbers(view, (arm,), trained),
        cost=_cost(view, arm),
    )


def _row(view: AblationView, decision: Decision) -> ComparisonRow:
    contrast = decision.contrast
    arms = tuple(view.design.arm(name) for name in contrast.arms)
    first = arms[0] if contrast.family == "base" else None  # the other tables show no means
    shown = decision.indices
    return ComparisonRow(
        family=contrast.family,
        label=contrast.label,
        kinds=first.kinds if first is not None else (),
        arm=first,
        inserted=written(first) if first is not None else "",
        val=_moments(first, shown, view.values) if first is not None else None,
        test=_moments(first, shown, view.test_values) if first is not None else None,
        decision=decision,
        test_result=_on_test(view, contrast, shown),
        verdict=shown_verdict(view, decision),
        words=words(view, decision),
        remarks=(*_mishaps(view, arms), *(() if contrast in view.in_dead_slots else _not_live(view, contrast))),
        trials=_numbers(view, arms, shown),
        cost=_cost(view, first) if first is not None else {},
    )


def written(arm: Arm) -> str:
    """The genes that an arm inserts, as text."""
    return " ".join(f"{slot}={gene}" for slot, gene in arm.architecture if gene != NONE)


def _moments(arm: Arm, indices: Sequence[int], values: Values) -> Moments | None:
    found = [v for i in indices if (v := values.get((arm.name, i))) is not None]
    if not found:
        return None
    mean, sd = moments(found)
    assert mean is not None
    return Moments(len(found), mean, sd)


def _on_test(view: AblationView, contrast: Contrast, indices: Sequence[int]) -> Paired | None:
    values = view.test_values
    pairs = [i for i in indices if all(values.get((arm, i)) is not None for arm in contrast.arms)]
    if not pairs:
        return None
    differences = [sum(w * (values[arm, i] or 0.0) for arm, w in contrast.weights) for i in pairs]
    return paired(differences, confidence(view))


def _mishaps(view: AblationView, arms: Sequence[Arm]) -> tuple[str, ...]:
    """Remarks on the failed and flagged trials of these arms."""
    found = []
    for arm in arms:
        for index in range(view.looks.most):
            trial = view.trial(arm, index)
            if trial is None or trial.usable or trial.state == "running":
                continue
            flags = ", ".join(trial.flags)
            why = f"not comparable: {flags}" if trial.state == "complete" else f"failed: {trial.reason}"
            found.append(f"trial {trial.number} ({arm.name}, seed {trial.seed}) {why}")
    return tuple(found)


def _not_live(view: AblationView, contrast: Contrast) -> tuple[str, ...]:
    model = view.design.arm(contrast.arms[0]).model
    states = view.states(contrast.slots, model)
    return tuple(f"{state}: {', '.join(slots)}" for state, slots in states.items() if state != LIVE)


def _numbers(view: AblationView, arms: Sequence[Arm], indices: Sequence[int]) -> tuple[int, ...]:
    trials = (view.trial(arm, i) for arm in arms for i in indices)
    return tuple(sorted({t.number for t in trials if t is not None}))


def _cost(view: AblationView, arm: Arm) -> dict[str, float]:
    trial = next((t for i in range(view.looks.most) if (t := view.trial(arm, i)) is not None), None)
    return trial.cost if trial is not None else {}
