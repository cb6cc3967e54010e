"""A difference with its interval, and probabilities as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.evaluate.score import MAP, Score
from nas_attn.study.trial import Displayed

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, repr=False)
class Difference(Displayed):
    """A difference in a score.

    Attributes:
        mean: its expectation.
        low: lower end of the 95 % interval.
        high: upper end.
        above: probability that it is above zero.
        score: the score.
    """

    mean: float
    low: float
    high: float
    above: float
    score: Score = MAP

    @classmethod
    def of(cls, draws: np.ndarray, score: Score) -> Difference:
        """The difference in a score with these draws, (n,)."""
        import numpy as np

        low, high = np.quantile(draws, (0.025, 0.975))
        return cls(float(draws.mean()), float(low), float(high), float((draws > 0).mean()), score)

    def words(self) -> str:
        """The difference as words."""
        return f"{self.mean:+.4f} {self.score.words} (95 % interval {self.low:+.4f} to {self.high:+.4f})"

    def __repr__(self) -> str:
        return f"{self.words()}, above zero with a probability of {percent(self.above)}"


def percent(probability: float) -> str:
    """A probability as text; it never claims certainty."""
    rounded = round(100 * probability)
    return "<1 %" if rounded < 1 else ">99 %" if rounded > 99 else f"{rounded} %"
