"""Additive least squares on indicator columns that need not be independent: the effects, and how sure each one is.

Trials of one architecture share the effects of its settings and combination beyond the sum. If the data has any sign
of that, they are weighted as a group and errors are measured between architectures, so that many seeds of few
architectures are not taken for many architectures. No test decides it: with few architectures one would miss most of
what matters. If there are very few, they alone give the degrees of freedom, whatever they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_attn.statistics.spread import student

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05  # a lack of fit less likely than this is said to be one
EXACT = 1e-9  # differences below this are rounding
ENOUGH = 3  # architectures beyond the number of effects; with fewer, a lack of fit is missed too often
FEW = 4  # architectures beyond that number; with fewer, the test for lack of fit cannot find any
MOST = 1e6  # ratio of variances if runs of one architecture do not differ at all


@dataclass(frozen=True)
class Effect:
    """One coefficient: estimate, 95 % interval and two-sided p; all but the first None without an error to go by."""

    estimate: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class AdditiveFit:
    """A fitted model.

    Attributes:
        effects: one per column; None if the rows do not determine it.
        mixed: per column, the others that it cannot be told apart from, strongest first.
        sd: standard deviation of one run around the model; None without degrees of freedom.
        df: degrees of freedom of the error.
        between: True if architectures differ by more than the sum and the noise of runs, at 5 %.
        lack: architectures beyond the number of effects.
        alone: per column, the mean of the group that has this column and no other, minus that of the group without
            any, with the noise of their runs as error; None if there is no such group, or if others have the column.
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
        """True if there are enough more architectures than effects to see whether effects add up."""
        return self.lack >= ENOUGH


def fit(values: np.ndarray, design: np.ndarray, seeds: Sequence[Any], groups: Sequence[str]) -> AdditiveFit:
    """Fit `values` by the design's columns and a level per seed.

    Args:
        values: (n,) measurements.
        design: (n, k) indicators of the effects.
        seeds: n labels; each distinct one gets a level.
        groups: n labels of architectures; rows of one group have equal design.
    """
    import numpy as np
    import statsmodels.api as sm

    n, k = design.shape
    levels = _indicators(seeds)
    full = np.hstack([design, levels])
    right = _row_space(full)
    members = _indicators(groups)
    each = np.hstack([members, levels])  # every architecture free: the rest is noise of runs alone
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
    # a coefficient is determined if its unit vector lies in the row space: the projection leaves it as it is
    projection = right.T @ right
    known = [j for j in range(k) if abs(projection[j, j] - 1) < 1e-8]
    sd = float(np.sqrt(model.scale * (1 + ratio))) if df > 0 else None
    effects: list[Effect | None] = [None] * k
    for j, effect in zip(known, _effects(model, right[:, known].T, df if sd and sd > EXACT else 0), strict=True):
        effects[j] = effect
    mixed = tuple(() if j in known else _mixed(projection[j, :k], j) for j in range(k))
    return AdditiveFit(tuple(effects), mixed, sd, df, between, lack, _alone(free, design, members, each))


def _alone(free: Any, design: np.ndarray, members: np.ndarray, each: np.ndarray) -> tuple[Effect | None, ...]:
    """Per column the direct comparison of the one group that has it, and nothing else, with the group without any."""
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
    """The effects of contrasts (rows over the model's columns); without intervals if `df` is 0."""
    from scipy.stats import t

    if df < 1 or not len(contrasts):
        return [Effect(float(c @ model.params)) for c in contrasts]
    tests = model.t_test(contrasts)  # its own p would take the degrees of freedom of runs
    errors = tests.sd.reshape(-1)
    low, high = (tests.effect + sign * student(df) * errors for sign in (-1, 1))
    p = 2 * t.sf(abs(tests.effect) / errors, df)
    return [Effect(*map(float, row)) for row in zip(tests.effect, low, high, p, strict=True)]


def _ratio(model: Any, free: Any, members: np.ndarray, lack: int) -> float:
    """Variance between architectures over that between runs, by moments; 0 if runs alone explain the lack of fit."""
    import numpy as np

    between = (model.ssr - free.ssr) / lack
    if free.scale < EXACT**2:
        return MOST if between > EXACT**2 else 0.0
    basis = np.linalg.qr(model.model.exog)[0]
    # Henderson's third method: the expected lack of fit is `lack` run variances plus `spread` variances between
    spread = len(members) - np.sum((basis.T @ members) ** 2)
    return float(min(MOST, max(0.0, lack * (between / free.scale - 1) / spread)))


def _lacking(model: Any, free: Any, lack: int) -> bool:
    from scipy.stats import f

    between = (model.ssr - free.ssr) / lack
    if free.scale < EXACT**2:
        return bool(between > EXACT**2)
    return bool(f.sf(between / free.scale, lack, free.df_resid) < LEVEL)


def _indicators(labels: Sequence[Any]) -> np.ndarray:
    """(rows, distinct labels) of 0 and 1."""
    import numpy as np

    order = sorted(set(labels))
    return np.array([[label == o for o in order] for label in labels], float)


def _row_space(design: np.ndarray) -> np.ndarray:
    """(rank, columns): an orthonormal basis of the rows."""
    import numpy as np

    _, size, right = np.linalg.svd(design, full_matrices=False)
    rows: np.ndarray = right[size > size[0] * max(design.shape) * np.finfo(float).eps]
    return rows


def _mixed(row: np.ndarray, own: int) -> tuple[int, ...]:
    others = [i for i in range(len(row)) if i != own and abs(row[i]) > 1e-8]
    return tuple(sorted(others, key=lambda i: -abs(row[i])))
