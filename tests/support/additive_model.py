"""Additive least squares on indicator columns, which may be dependent: the effects and their intervals.

An architecture may score above or below the sum of its effects, because modules interact. All its trials share this
deviation, so many seeds of few architectures carry less information than as many architectures. If the estimated
deviation is above zero, the trials of an architecture are weighted as a group, and errors are measured between
architectures. No significance test decides this: with few architectures, a test would miss most deviations. If there
are very few architectures, they alone give the degrees of freedom, whatever the estimate is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_attn.statistics.spread import student

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05  # significance level of the test for lack of fit
EXACT = 1e-9  # differences below this are rounding
ENOUGH = 3  # with a smaller `lack` (see `AdditiveFit`), a lack of fit is missed too often
FEW = 4  # with a smaller `lack`, the test cannot find any lack of fit
MOST = 1e6  # ratio of variances if the runs of an architecture do not differ at all


@dataclass(frozen=True)
class Effect:
    """One coefficient of the model.

    Attributes:
        estimate: the effect, in the unit of the values.
        low, high: 95 % interval; None if the error cannot be estimated.
        p: two-sided p-value; None if the error cannot be estimated.
    """

    estimate: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class AdditiveFit:
    """A fitted model.

    Attributes:
        effects: one effect per column; None if the rows do not determine it.
        mixed: for each column, the columns whose effects cannot be separated from its own, strongest first.
        sd: standard deviation of one run around the model; None without degrees of freedom.
        df: degrees of freedom of the error.
        between: True if architectures deviate from the sum of effects by more than the noise of runs, at 5 %.
        lack: degrees of freedom of the lack of fit: how many more architectures there are than the effects need.
        alone: for each column, a direct comparison: the mean of the group that has only this column, minus the mean
            of the group without any column, with the noise of runs as error. None if one of the two groups is
            missing, or if another group has the column, too.
    """

    effects: tuple[Effect | None, ...]
    mixed: tuple[tuple[int, ...], ...]
    sd: float | None
    df: int
    between: bool
    lack: int
    alone: tuple[Effect | None, ...]

    @property
    def checked(self) -> bool:
        """True if there are enough architectures to check that effects add up."""
        return self.lack >= ENOUGH


def fit(values: np.ndarray, design: np.ndarray, seeds: Sequence[Any], groups: Sequence[str]) -> AdditiveFit:
    """Fit measurements by the columns of a design and one level per seed.

    Args:
        values: (n,) measurements.
        design: (n, k) of 0 and 1: which effects each measurement has.
        seeds: n labels of seeds; each seed gets its own level.
        groups: n labels of architectures; the rows of one architecture are equal in `design`.

    Returns:
        The k effects, and how well the model fits.
    """
    import numpy as np
    import statsmodels.api as sm

    n, k = design.shape
    levels = _indicators(seeds)
    full = np.hstack([design, levels])
    right = _row_space(full)
    members = _indicators(groups)
    each = np.hstack([members, levels])  # a model with one mean per architecture: its residuals are noise of runs
    free = sm.OLS(values, each @ _row_space(each).T).fit()
    model = sm.OLS(values, full @ right.T).fit()
    df, pure = n - len(right), round(free.df_resid)
    lack = df - pure
    ratio = _ratio(model, free, members, lack) if min(lack, pure) > 0 else 0.0
    between = min(lack, pure) > 0 and _lacking(model, free, lack)
    if ratio > 0:
        model = sm.GLS(values, full @ right.T, sigma=np.eye(n) + ratio * members @ members.T).fit()
    if ratio > 0 or 0 < lack < FEW:
        df = lack
    # a coefficient is determined if its unit vector lies in the row space, so that the projection does not change it
    projection = right.T @ right
    known = [j for j in range(k) if abs(projection[j, j] - 1) < 1e-8]
    sd = float(np.sqrt(model.scale * (1 + ratio))) if df > 0 else None
    effects: list[Effect | None] = [None] * k
    for j, effect in zip(known, _effects(model, right[:, known].T, df if sd and sd > EXACT else 0), strict=True):
        effects[j] = effect
    mixed = tuple(() if j in known else _mixed(projection[j, :k], j) for j in range(k))
    return AdditiveFit(tuple(effects), mixed, sd, df, between, lack, _alone(free, design, members, each))


def _alone(free: Any, design: np.ndarray, members: np.ndarray, each: np.ndarray) -> tuple[Effect | None, ...]:
    """The direct comparisons, `AdditiveFit.alone`."""
    import numpy as np

    right = _row_space(each)
    sets = np.array([design[rows > 0][0] for rows in members.T])
    base = np.flatnonzero(sets.sum(1) == 0)
    df = round(free.df_resid) if free.df_resid > 0 and free.scale > EXACT**2 else 0
    found: list[Effect | None] = []
    for column in sets.T:
        have = np.flatnonzero(column)
        contrast = np.zeros(each.shape[1])
        if len(have) == 1 and sets[have[0]].sum() == 1 and len(base) == 1:
            contrast[have[0]], contrast[base[0]] = 1.0, -1.0
        within = contrast.any() and np.allclose(right.T @ (right @ contrast), contrast, atol=1e-8)
        found.append(_effects(free, (right @ contrast)[None, :], df)[0] if within else None)
    return tuple(found)


def _effects(model: Any, contrasts: np.ndarray, df: int) -> list[Effect]:
    """The effects of contrasts, (m, columns of the model); without intervals if `df` is 0."""
    from scipy.stats import t

    if df < 1 or not len(contrasts):
        return [Effect(float(c @ model.params)) for c in contrasts]
    tests = model.t_test(contrasts)  # its p-values are not used: they assume the degrees of freedom of runs
    errors = tests.sd.reshape(-1)
    low, high = (tests.effect + sign * student(df) * errors for sign in (-1, 1))
    p = 2 * t.sf(abs(tests.effect) / errors, df)
    return [Effect(*map(float, row)) for row in zip(tests.effect, low, high, p, strict=True)]


def _ratio(model: Any, free: Any, members: np.ndarray, lack: int) -> float:
    """The variance between architectures divided by the variance between runs, estimated by moments.

    The result is 0 if the noise of runs alone explains the lack of fit.
    """
    import numpy as np

    between = (model.ssr - free.ssr) / lack
    if free.scale < EXACT**2:
        return MOST if between > EXACT**2 else 0.0
    basis = np.linalg.qr(model.model.exog)[0]
    # Henderson's method 3: E[lack of fit] = lack * variance of runs + spread * variance between architectures
    spread = len(members) - np.sum((basis.T @ members) ** 2)
    return float(min(MOST, max(0.0, lack * (between / free.scale - 1) / spread)))


def _lacking(model: Any, free: Any, lack: int) -> bool:
    from scipy.stats import f

    between = (model.ssr - free.ssr) / lack
    if free.scale < EXACT**2:
        return bool(between > EXACT**2)
    return bool(f.sf(between / free.scale, lack, free.df_resid) < LEVEL)


def _indicators(labels: Sequence[Any]) -> np.ndarray:
    """An indicator matrix, (labels, distinct labels), of 0 and 1."""
    import numpy as np

    order = sorted(set(labels))
    return np.array([[label == o for o in order] for label in labels], float)


def _row_space(design: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the row space, (rank, columns)."""
    import numpy as np

    _, size, right = np.linalg.svd(design, full_matrices=False)
    rows: np.ndarray = right[size > size[0] * max(design.shape) * np.finfo(float).eps]
    return rows


def _mixed(row: np.ndarray, own: int) -> tuple[int, ...]:
    others = [i for i in range(len(row)) if i != own and abs(row[i]) > 1e-8]
    return tuple(sorted(others, key=lambda i: -abs(row[i])))
