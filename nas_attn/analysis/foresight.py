"""The foresight of a search: how many trials try something, and which difference they can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_attn.analysis.answer import candidates_for, seeds_for, shows
from nas_attn.analysis.effects.conclusion import WORTH
from nas_attn.analysis.noise import noise
from nas_attn.study.view import StudyView

USUAL = 0.007  # mAP50-95: the noise of 15 epochs on BCCD at 160 px (`tests/benchmarks/neck_table`)


@dataclass(frozen=True)
class Foresight:
    """A search before its end.

    Attributes:
        trials: number of trials at its end.
        controls: number of these that are controls, at least.
        noise: standard deviation of a run in mAP50-95.
        measured: True if the trials so far tell the noise; else it is a usual one.
    """

    trials: int
    controls: int
    noise: float = USUAL
    measured: bool = False

    @property
    def candidates(self) -> int:
        """The number of trials that try something, at most."""
        return max(0, self.trials - self.controls)

    @property
    def shows(self) -> float:
        """The difference in mAP50-95 that the search can show; infinite if it tries nothing."""
        return shows(self.noise, self.candidates)

    def words(self) -> str:
        """A few sentences."""
        if not self.candidates:
            return (
                f"All {self.trials} trials will be controls, so nothing will be tried. Give at least --trials "
                f"{self.controls + 1}; more trials show smaller differences."
            )
        source = "" if self.measured else ", a usual value until the controls have told it"
        found = (
            f"{self.trials} trials: {self.controls} controls, {self.candidates} try something. With a noise of "
            f"{self.noise:.3f} a run{source}, they can show a difference of {self.shows:.3f} mAP50-95."
        )
        if self.shows <= WORTH:
            return found
        wanted, seeds = self.controls + candidates_for(self.noise, WORTH), seeds_for(self.noise, WORTH)
        return f"{found} To see {WORTH} takes about {wanted} trials, or `ablate` of one idea with {seeds} seeds."

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are written to JSON."""
        return {
            **vars(self),
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
    return Foresight(trials, controls) if seen is None else Foresight(trials, controls, seen.run.mean, True)


def _without_conv(view: StudyView) -> bool:
    """True if the limits left no convolution as a control."""
    control = view.slots.get("control", "")
    return bool(control) and "=none" in control and all(gene.endswith("=none") for gene in control.split())
