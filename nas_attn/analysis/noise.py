"""The noise of a study by its posterior: how much single runs and seeds vary, beside how much architectures differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.study.trial import Displayed
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.analysis.posterior import Difference


@dataclass(frozen=True, repr=False)
class Noise(Displayed):
    """Standard deviations in mAP50-95, with 95 % intervals (`mean` is the median).

    Attributes:
        run: of a run, if its seed and its architecture are given.
        luck: of the level of a seed, which all runs of the seed share.
        spread: of the trained architectures around their mean, without noise.
        nothing: probability that no two architectures differ.
        repeated: number of usable trials beyond the first of each architecture; only these show noise directly.
    """

    run: Difference
    luck: Difference
    spread: float
    nothing: float
    repeated: int

    @property
    def larger(self) -> bool:
        """True if the noise of a run is larger than all differences between architectures."""
        return self.run.mean > self.spread

    def __repr__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """Sentences on the noise."""
        parts = [
            f"Noise of one run: {self.run.mean:.4f} mAP50-95 (standard deviation; 95 % interval {self.run.low:.4f} to "
            f"{self.run.high:.4f}; luck of a seed, shared by its runs: {self.luck.mean:.4f}). The trained "
            f"architectures differ by {self.spread:.4f}"
        ]
        parts[0] += ", less than one run varies." if self.larger else "."
        if not self.repeated:
            parts.append(
                "No architecture was trained twice, so the noise is known only from how well the genes predict mAP."
            )
        parts.append(f"Probability that no module makes any difference: {percent(self.nothing)}.")
        return " ".join(parts)


def noise(view: StudyView) -> Noise | None:
    """The noise of a study; None as long as it has no posterior."""
    from nas_attn.analysis.posterior import comparable, posterior

    found = posterior(view)
    if found is None:
        return None
    runs = comparable(view)
    repeated = len(runs) - len({t.architecture for t in runs})
    return Noise(found.noise, found.luck, found.spread(), found.nothing, repeated)


def noise_words(view: StudyView) -> str:
    """Sentences on the noise, or on the reason why it is not known yet."""
    from nas_attn.analysis.posterior import comparable, obstacle

    if (found := noise(view)) is not None:
        return found.sentence()
    why = obstacle(view)
    words = f"Nothing can be said about differences yet: {why}."
    runs = comparable(view)
    if runs and all(t.map50_95 == 0 for t in runs):
        words += " All scores are 0: the runs are too short to learn anything, so train longer."
    return words


def noise_figures(view: StudyView) -> dict[str, float | None]:
    """The noise of a study as figures in mAP50-95, JSON-ready; None for each as long as it has no posterior."""
    found = noise(view)
    return {
        "run_sd": found.run.mean if found else None,
        "run_sd_low": found.run.low if found else None,
        "run_sd_high": found.run.high if found else None,
        "seed_sd": found.luck.mean if found else None,
        "architectures_sd": found.spread if found else None,
        "p_nothing": found.nothing if found else None,
    }


def percent(probability: float) -> str:
    """A probability as text; it never claims certainty."""
    if probability < 0.005:
        return "<1 %"
    return ">99 %" if probability > 0.995 else f"{100 * probability:.0f} %"
