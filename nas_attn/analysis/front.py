"""The Pareto front of a study by its posterior, and the picks from it: best, knee and simplest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_attn.analysis.difference import Difference, percent
from nas_attn.analysis.posterior import TIE, comparable, posterior, verdict
from nas_attn.errors import UnknownName, UserError
from nas_attn.evaluate.score import MAP50_95
from nas_attn.statistics.pareto import best_of, cheapest_near, front_of, knee_of
from nas_attn.statistics.spread import moments
from nas_attn.study.trial import Displayed, barred
from nas_attn.study.view import Candidate, StudyView

PLAIN = ("none", "conv")  # modules without attention
RULES = ("best", "knee", "simplest")
PICKS = (*RULES, "trial:N")
SOME = 500  # draws of the posterior that a knee is found in


@dataclass(frozen=True, repr=False)
class Picked(Displayed):
    """A candidate that a rule picked from the trained ones.

    Attributes:
        rule: `best`, `knee`, `simplest` or `trial:N`.
        candidate: the candidate.
        right: probability that it is right: that it is truly the best or the knee of the trained candidates; for
            `simplest`, that the best one is better by one standard error at most. None without a posterior, and for
            `trial:N`.
        difference: its difference to the base in the score; None without a posterior.
        seeds: the seeds of its trials that count: usable, and not collapsed.
        verdict: `better than base`, `worse than base` or `not distinguishable`; empty for the base.
    """

    rule: str
    candidate: Candidate
    right: float | None = None
    difference: Difference | None = None
    seeds: tuple[int, ...] = ()
    verdict: str = ""

    @property
    def warning(self) -> str:
        """A sentence, if the candidate has fewer than two usable seeds; else empty."""
        n = len(self.seeds)
        return "" if n > 1 else f"{('no usable seed', 'one usable seed')[n]}: train it again before you rely on it"

    def __repr__(self) -> str:
        return sentence(self)


def sentence(picked: Picked) -> str:
    """A pick in words."""
    words = f"{picked.rule}: {picked.candidate.key}"
    parts = []
    if picked.candidate.architecture.is_base:
        parts.append("the unchanged base")
    elif picked.difference is not None:
        parts.append(f"to the base {picked.difference.words()}, {picked.verdict}")
    if picked.right is not None:
        parts.append(f"right with a probability of {percent(picked.right)}")
    if picked.warning:
        parts.append(picked.warning)
    return f"{words} ({'; '.join(parts)})" if parts else words


@dataclass(frozen=True)
class Trained:
    """The trained candidates of a study, with their estimates.

    Attributes:
        candidates: the candidates.
        estimates: (candidates,) their score by the posterior; without one, their means.
        gmacs: (candidates,) their costs.
        draws: (draws, candidates) of their differences to the base; None without a posterior.
    """

    candidates: tuple[Candidate, ...]
    estimates: np.ndarray
    gmacs: np.ndarray
    draws: np.ndarray | None

    def take(self, rows: Sequence[int]) -> Trained:
        """Some of the candidates."""
        draws = None if self.draws is None else self.draws[:, rows]
        return Trained(tuple(self.candidates[i] for i in rows), self.estimates[rows], self.gmacs[rows], draws)


def trained(view: StudyView, *, attention: bool = False) -> Trained:
    """The candidates of a study with a comparable trial.

    Args:
        view: the study.
        attention: leave out candidates without attention: the base, and plain convolutions alone.
    """
    found = posterior(view)
    if found is not None:
        every = Trained(found.candidates, found.means, found.gmacs, found.draws)
    else:
        there = {t.architecture for t in comparable(view) if t.usable}
        usable = tuple(c for c in view.candidates() if c.architecture in there)
        every = Trained(usable, np.array([c.mean or 0.0 for c in usable]), np.array([c.gmacs for c in usable]), None)
    config = view.header.get("config", {})
    limits = config.get("max_gmacs"), config.get("max_params")
    rows = [
        i
        for i, c in enumerate(every.candidates)
        if (not attention or _attends(c)) and not all(barred(t, *limits) for t in c.trials)
    ]
    return every.take(rows)


def front(view: StudyView, *, attention: bool = False) -> list[Candidate]:
    """The trained candidates that no other dominates in (estimate, gmacs), the cheapest first.

    It counts usable trials only: failed, refused, running and flagged trials cannot put a candidate on the front.

    Args:
        view: the study.
        attention: leave out candidates without attention.
    """
    found = trained(view, attention=attention)
    return [found.candidates[i] for i in front_of(found.estimates, found.gmacs)]


def simplest_of(found: Trained) -> tuple[int, float]:
    """The position of the cheapest candidate within one standard error of the best, and this standard error.

    The standard error is that of its difference to the best.
    """
    best = best_of(found.estimates, found.gmacs)
    if found.draws is None:
        return best, 0.0
    errors = (found.draws - found.draws[:, [best]]).std(0)
    at = cheapest_near(found.estimates, found.gmacs, errors)
    return at, float(errors[at])


def pick(view: StudyView, spec: str, max_gmacs: float | None = None, *, attention: bool = False) -> Picked:
    """The candidate that `spec` names.

    Args:
        view: the study.
        spec: `best`, `knee` or `simplest` of the trained candidates, or `trial:N` for the architecture of that trial.
        max_gmacs: leave out candidates with more GMACs.
        attention: leave out candidates without attention, except for `trial:N`.

    Raises:
        UnknownName: `spec` has another form.
        UserError: no candidate is left; or the trial does not exist, was not trained or costs too much.
    """
    if spec in RULES:
        every = trained(view, attention=attention)
        if attention and not every.candidates and trained(view).candidates:
            raise UserError(
                "a candidate with attention must be trained before it can be picked",
                got="only candidates without attention",
                remedy="Continue the search, or pick among all candidates.",
            )
        left = every.take(_affordable(every.candidates, max_gmacs))
        at, right = _chosen(left, spec)
        return _picked(view, spec, left.candidates[at], right)
    kind, sign, number = spec.partition(":")
    if kind != "trial" or not sign:
        raise UnknownName("pick", spec, PICKS, where="--pick")
    if not number.strip().isdecimal():
        raise UserError("`trial:N` must name a trial by its number", got=f"'{spec}'", where="--pick")
    trial = view.trial(int(number))
    if trial.state == "refused":
        raise UserError(
            "a picked trial must have been trained",
            got=f"trial:{trial.number}, refused: {trial.reason}",
            where="--pick",
            remedy="Pick `best`, `knee`, `simplest` or another trial.",
        )
    found = next(c for c in view.candidates() if c.architecture == trial.architecture)
    _affordable([found], max_gmacs)
    return _picked(view, spec, found)


def _chosen(found: Trained, rule: str) -> tuple[int, float | None]:
    """The position that a rule picks, and the probability that it is right."""
    values, gmacs, draws = found.estimates, found.gmacs, found.draws
    if rule == "best":
        at = best_of(values, gmacs)
        return at, None if draws is None else float((draws[:, at] >= draws.max(1)).mean())
    if rule == "knee":
        at = knee_of(values, gmacs)
        return at, None if draws is None else float(np.mean([knee_of(d, gmacs) == at for d in draws[:SOME]]))
    at, error = simplest_of(found)
    return at, None if draws is None else float((draws.max(1) - draws[:, at] <= error).mean())


def _picked(view: StudyView, rule: str, candidate: Candidate, right: float | None = None) -> Picked:
    found = posterior(view)
    seeds = candidate.seeds if found is None else found.seeds(candidate)
    said = "" if candidate.architecture.is_base else verdict(candidate, found)
    return Picked(rule, candidate, right, difference_of(view, candidate), seeds, said)


def difference_of(view: StudyView, candidate: Candidate) -> Difference | None:
    """The difference of a candidate to the base in the score; None without a posterior or a comparable trial."""
    found = posterior(view)
    at = found.index(candidate) if found is not None else None
    return found.differences[at] if found is not None and at is not None else None


def _attends(candidate: Candidate) -> bool:
    return any(gene.module not in PLAIN for _, gene in candidate.architecture)


def _affordable(candidates: Sequence[Candidate], max_gmacs: float | None) -> list[int]:
    """The positions of the candidates within a limit."""
    if not candidates:
        raise UserError(
            "the front has no candidate: no trial is complete and comparable yet",
            remedy="Continue the search; `report` lists failed trials with their reasons.",
        )
    left = [i for i, c in enumerate(candidates) if max_gmacs is None or c.gmacs <= max_gmacs]
    if not left:
        cheapest = min(candidates, key=lambda c: c.gmacs)
        raise UserError(
            f"`--max-gmacs` must be at least {cheapest.gmacs:.3f}, the GMACs of the cheapest candidate, {cheapest.key}",
            got=f"{max_gmacs:g}",
            remedy="Raise the limit.",
        )
    return left


def judged(view: StudyView, candidate: Candidate) -> dict[str, object]:
    """The judgement on a candidate, JSON-ready: estimate, difference to the base, probabilities and verdict.

    `score` is the estimate. `map50_95` is the same in a study by mAP50-95; in another one, it is the plain mean of the
    candidate's runs, and judges nothing.

    The figures are None without a posterior. The verdict, too, is None if the candidate has no comparable trial.
    """
    found = posterior(view)
    at = found.index(candidate) if found is not None else None
    if found is None or at is None:
        names = ("score", "map50_95", "delta", "delta_low", "delta_high", "p_better", "p_front")
        return dict.fromkeys(names) | {
            "score": candidate.mean,
            "map50_95": _map(view, candidate, candidate.mean),
            "verdict": TIE if candidate.state == "usable" else None,
        }
    d, own = found.differences[at], not candidate.architecture.is_base
    estimate = float(found.means[at])
    return {
        "score": estimate,
        "map50_95": _map(view, candidate, estimate),
        "delta": d.mean if own else None,
        "delta_low": d.low if own else None,
        "delta_high": d.high if own else None,
        "p_better": d.above if own else None,
        "p_front": float(found.on_front[at]),
        "verdict": verdict(candidate, found) if own else "the base itself",
    }


def _map(view: StudyView, candidate: Candidate, estimate: float | None) -> float | None:
    """The mAP50-95 of a candidate: the estimate, or the mean of its runs if the study is read by another score."""
    if view.score.name == MAP50_95:
        return estimate
    return moments([t.map50_95 for t in candidate.trials if t.usable and t.map50_95 is not None])[0]
