"""The foresight of a search: how many trials try something, and which difference they can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_attn.analysis.answer import candidates_for, seeds_for, shows
from nas_attn.analysis.effects.conclusion import WORTH
from nas_attn.analysis.noise import noise
from nas_attn.evaluate.score import MAP, MAP50_95, Score
from nas_attn.study.view import StudyView

# score -> the noise of 15 epochs on BCCD at 160 px (`tests/benchmarks/neck_table`); others were not measured
USUAL: dict[str, float] = {MAP50_95: 0.007, "map50": 0.008}


@dataclass(frozen=True)
class Foresight:
    """A search before its end.

    Attributes:
        trials: number of trials at its end.
        controls: number of these that are controls, at least.
        noise: standard deviation of a run in the score; None if there is no usual one either.
        measured: True if the trials so far tell the noise; else it is a usual one.
        score: the score.
    """

    trials: int
    controls: int
    noise: float | None = USUAL[MAP50_95]
    measured: bool = False
    score: Score = MAP

    @property
    def candidates(self) -> int:
        """The number of trials that try something, at most."""
        return max(0, self.trials - self.controls)

    @property
    def shows(self) -> float | None:
        """The difference in the score that the search can show: infinite if it tries nothing, None without a noise."""
        return None if self.noise is None else shows(self.noise, self.candidates)

    def words(self) -> str:
        """A few sentences."""
        if not self.candidates:
            return (
                f"All {self.trials} trials will be controls, so nothing will be tried. Give at least --trials "
                f"{self.controls + 1}; more trials show smaller differences."
            )
        begun = f"{self.trials} trials: {self.controls} controls, {self.candidates} try something."
        if self.noise is None or self.shows is None:
            known = f"once the controls have told the noise of the {self.score.words}"
            return f"{begun} The difference that they can show is known {known}."
        source = "" if self.measured else ", a usual value until the controls have told it"
        found = (
            f"{begun} With a noise of {self.noise:.3f} a run{source}, they can show a difference of {self.shows:.3f} "
            f"{self.score.words}."
        )
        if self.shows <= WORTH:
            return found
        wanted, seeds = self.controls + candidates_for(self.noise, WORTH), seeds_for(self.noise, WORTH)
        return f"{found} To see {WORTH} takes about {wanted} trials, or `ablate` of one idea with {seeds} seeds."

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are written to JSON."""
        return {
            **vars(self),
            "score": self.score.name,
            "candidates": self.candidates,
            "shows": self.shows if self.candidates else None,
        }


def foresight(config: Mapping[str, Any], trials: int, view: StudyView | None = None) -> Foresight:
    """The foresight of a search.

    Args:
        config: the configuration.
        trials: number of trials at its end.
        view: the study so far; None for a new one.
    """
    wanted, there = int(config["control_seeds"]), view.trials if view is not None else ()
    roles = ["base"] if view is not None and _without_conv(view) else ["base", "conv"]
    controls = sum(max(wanted, sum(t.role == role and not t.origin for t in there)) for role in roles)
    seen = noise(view) if view is not None and view.trials else None
    controls = min(controls, trials)
    score = Score(config.get("score") or MAP50_95)
    if seen is None:
        return Foresight(trials, controls, USUAL.get(score.name), False, score)
    return Foresight(trials, controls, seen.run.mean, True, score)


def _without_conv(view: StudyView) -> bool:
    """True if the limits left no convolution as a control."""
    control = view.slots.get("control", "")
    return bool(control) and "=none" in control and all(gene.endswith("=none") for gene in control.split())
