"""The end of a search that runs `--until settled`: when further trials are expected to change nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.lines import many
from nas_attn.statistics.pareto import best_of, cheapest_near, front_of, knee_of

if TYPE_CHECKING:
    import numpy as np

    from nas_attn.known_cost.situation import Foresight

SETTLED = "settled"
MORE = 20  # trials whose expected effect is looked at
LEAST = 24  # trials before the first look
EVERY = 5  # trials between two looks
GAIN = 0.01  # of the hypervolume; of the front's range, for a pick
CHANGE = 0.1  # probability that a pick becomes a better architecture
TRIALS = 1000  # of a study without another limit


@dataclass(frozen=True)
class Ending:
    """The expected effect of `MORE` further trials.

    Attributes:
        gain: expected gain of the reported front's hypervolume, as a share of it.
        changes: pick -> probability that it becomes a better architecture.
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
        one = f" {many(self.single, 'architecture')} on the front had a single run."
        larger = "give a first front" if math.isinf(self.gain) else f"enlarge the front by {_percent(self.gain)}"
        return f"{MORE} more trials are expected to {larger}, and {picks}.{one if self.single else ''}"


def ending(found: Foresight, single: int) -> Ending:
    """The expected effect of further trials.

    Two architectures that are as good as each other would take turns for ever. So a pick counts as changed where it
    falls behind the choice of then by more than the share `GAIN` of the front's range.

    Args:
        found: the state after them.
        single: number of architectures on the front with one run.
    """
    import numpy as np

    trained = np.flatnonzero(found.trained)
    mean, cost = found.mean[trained], found.cost[trained]
    errors = _errors(found.covariance[np.ix_(trained, trained)], best_of(mean, cost))
    now = {"best": best_of(mean, cost), "knee": knee_of(mean, cost), "simplest": cheapest_near(mean, cost, errors)}
    behind = [_behind({k: int(trained[i]) for k, i in now.items()}, then, found) for then in found.after]
    return Ending(found.gain, {k: float(np.mean([b[k] > GAIN for b in behind])) for k in now}, single)


def _behind(picks: Mapping[str, int], mean: np.ndarray, found: Foresight) -> dict[str, float]:
    """The distance by which each pick falls behind the choice by these means, as a share of their front's range."""
    cost, on = found.cost, front_of(mean, found.cost)
    rise, run = mean[on[-1]] - mean[on[0]], cost[on[-1]] - cost[on[0]]
    best, knee, simplest = picks["best"], picks["knee"], picks["simplest"]
    top, bend = best_of(mean, cost), knee_of(mean, cost)
    # by the errors of now: else `simplest`, which allows one of them, would move because they shrink
    errors = _errors(found.covariance, top)
    cheapest = cheapest_near(mean, cost, errors)
    missed = max(mean[top] - errors[simplest] - mean[simplest], 0.0)
    return {
        "best": _share(mean[top] - mean[best], rise),
        "knee": _share(mean[bend] - mean[knee], rise) - _share(cost[bend] - cost[knee], run),
        "simplest": max(_share(missed, rise), _share(cost[simplest] - cost[cheapest], run)),
    }


def _errors(covariance: np.ndarray, best: int) -> np.ndarray:
    """The standard errors of the differences to the best."""
    import numpy as np

    variances = np.diag(covariance)
    return np.asarray(np.sqrt(np.maximum(variances + variances[best] - 2 * covariance[best], 0.0)))


def _share(difference: float, whole: float) -> float:
    return difference / whole if whole > 0 else math.copysign(math.inf, difference) if difference else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * min(share, 9.99):.0f} %"
