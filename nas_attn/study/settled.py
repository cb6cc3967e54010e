"""The end of a search that runs `--until settled`: when further trials are expected to change nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.statistics.pareto import best_of, cheapest_near, knee_of

if TYPE_CHECKING:
    import numpy as np

    from nas_attn.known_cost.situation import Foresight

SETTLED = "settled"
MORE = 20  # trials whose expected effect is looked at
LEAST = 24  # trials before the first look
EVERY = 5  # trials between two looks
GAIN = 0.01  # of the hypervolume
CHANGE = 0.1  # probability that a pick becomes another architecture
TRIALS = 1000  # of a study without another limit


@dataclass(frozen=True)
class Ending:
    """The expected effect of `MORE` further trials.

    Attributes:
        gain: expected gain of the reported front's hypervolume, as a share of it.
        changes: pick -> probability that it becomes another architecture.
        single: number of architectures on the front with one run.
    """

    gain: float
    changes: Mapping[str, float]
    single: int

    @property
    def stable(self) -> bool:
        """True if further trials are expected to change nothing."""
        return self.gain < GAIN and max(self.changes.values()) <= CHANGE

    @property
    def settled(self) -> bool:
        """True if the search may end: it is stable, and no member of the front has a single run."""
        return self.stable and not self.single

    def words(self) -> str:
        """The expected effect as a sentence."""
        said = [f"`{name}` with a probability of {_percent(p)}" for name, p in self.changes.items() if p >= 0.0005]
        picks = f"would change the picks {', '.join(said)}" if said else "would change no pick"
        one = f" {self.single} architecture{'s' * (self.single > 1)} on the front had a single run."
        larger = "give a first front" if math.isinf(self.gain) else f"enlarge the front by {_percent(self.gain)}"
        return f"{MORE} more trials are expected to {larger}, and {picks}.{one if self.single else ''}"


def ending(found: Foresight, single: int) -> Ending:
    """The expected effect of further trials.

    Args:
        found: the state after them.
        single: number of architectures on the front with one run.
    """
    import numpy as np

    trained = np.flatnonzero(found.trained)
    now = _picks(found.mean[trained], found.cost[trained], found.covariance[np.ix_(trained, trained)])
    # by the errors of now: else `simplest`, which allows one of them, would move because they shrink
    then = [_picks(mean, found.cost, found.covariance) for mean in found.after]
    return Ending(found.gain, {k: float(np.mean([p[k] != trained[now[k]] for p in then])) for k in now}, single)


def _picks(mean: np.ndarray, cost: np.ndarray, covariance: np.ndarray) -> dict[str, int]:
    import numpy as np

    best = best_of(mean, cost)
    variances = np.diag(covariance)
    errors = np.sqrt(np.maximum(variances + variances[best] - 2 * covariance[best], 0.0))
    return {"best": best, "knee": knee_of(mean, cost), "simplest": cheapest_near(mean, cost, errors)}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * min(share, 9.99):.0f} %"
