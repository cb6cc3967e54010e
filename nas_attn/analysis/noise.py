"""The noise of a study by its posterior: how much single runs and seeds vary, beside how much architectures differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.study.trial import Displayed
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.analysis.difference import Difference


@dataclass(frozen=True, repr=False)
class Noise(Displayed):
    """Standard deviations in the score, with 95 % intervals (`mean` is the median).

    Attributes:
        run: of a run, if its seed and its architecture are given.
        luck: of the level of a seed, which all runs of the seed share; None if there is one seed only.
        spread: of the trained architectures around their mean, without noise.
        nothing: probability that no two architectures differ.
        loss: probability that the training loss tells something about the score; None if it does not count.
        repeated: number of trials beyond the first of each architecture; only these show noise directly.
        left_out: a sentence on usable trials that were left out; empty if there are none.
    """

    run: Difference
    luck: Difference | None
    spread: Difference
    nothing: float
    repeated: int
    left_out: str = ""
    loss: float | None = None

    @property
    def larger(self) -> bool:
        """True if the noise of a run is larger than all differences between architectures."""
        return self.run.mean > self.spread.mean

    def __repr__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """Sentences on the noise."""
        from nas_attn.analysis.difference import percent
        from nas_attn.study.coded import PRIOR

        less = ", less than one run varies" if self.larger else ""
        words = self.run.score.words
        parts = [f"Standard deviations in {words}, with 95 % intervals: noise of one run {_range(self.run)}"]
        if self.luck is not None:
            parts[0] += f"; luck of a seed, shared by its runs, {_range(self.luck)}"
        parts[0] += f"; differences between the trained architectures {_range(self.spread)}{less}."
        if not self.repeated:
            parts.append(
                "No architecture was trained twice, so the noise is known only from how well the genes predict scores."
            )
        parts.append(
            f"Probability that no module makes any difference: {percent(self.nothing)} (before the first trial "
            f"{percent(PRIOR.nothing)})."
        )
        if self.loss is not None:
            parts.append(
                f"The training loss tells something about the score with a probability of {percent(self.loss)}."
            )
        if self.left_out:
            parts.append(self.left_out)
        return " ".join(parts)


def noise(view: StudyView) -> Noise | None:
    """The noise of a study; None as long as it has no posterior."""
    from nas_attn.analysis.posterior import posterior

    found = posterior(view)
    if found is None:
        return None
    repeated = len(found.runs) - len(found.candidates)
    return Noise(found.noise, found.luck, found.spread, found.nothing, repeated, found.left_out(), found.loss_tells)


def noise_words(view: StudyView) -> str:
    """Sentences on the noise, or on the reason why it is not known yet."""
    from nas_attn.analysis.posterior import comparable, obstacle

    if (found := noise(view)) is not None:
        return found.sentence()
    why = obstacle(view)
    words = f"Nothing can be said about differences yet: {why}."
    runs = comparable(view)
    if runs and all(t.score == 0 for t in runs):
        words += " All scores are 0: the runs are too short to learn anything, so train longer."
    return words


def noise_figures(view: StudyView) -> dict[str, float | None]:
    """The noise of a study as figures in the score, JSON-ready; None for each as long as it has no posterior."""
    found = noise(view)
    told = {"run": found.run, "seed": found.luck, "architectures": found.spread} if found else {}
    figures: dict[str, float | None] = {}
    for name in ("run", "seed", "architectures"):
        d = told.get(name)
        figures[f"{name}_sd"] = d.mean if d else None
        figures |= {f"{name}_sd_low": d.low if d else None, f"{name}_sd_high": d.high if d else None}
    return {**figures, "p_nothing": found.nothing if found else None}


def _range(d: Difference) -> str:
    return f"{d.mean:.4f} ({d.low:.4f} to {d.high:.4f})"
