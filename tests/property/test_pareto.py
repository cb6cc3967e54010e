"""The Pareto front agrees with its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nas_attn.statistics.pareto import front_of

few = st.integers(0, 4).map(float)  # few values: many ties and duplicates
many = st.floats(allow_nan=False, width=32)
points = st.lists(st.tuples(few, few), max_size=25) | st.lists(st.tuples(many, many), max_size=25)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] <= b[1] and a != b


def columns(points: list[tuple[float, float]]) -> np.ndarray:
    return np.array(points, float).reshape(-1, 2).T


@given(points)
@example([])
@example([(1.0, 1.0), (1.0, 1.0), (0.0, 1.0)])
def test_front_holds_exactly_what_nothing_dominates(points):
    expected = {i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)}
    found = front_of(*columns(points))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert [points[i][1] for i in found] == sorted(points[i][1] for i in found)


@given(points, st.integers(0, 25), st.booleans())
def test_nan_is_refused_wherever_it_stands(points, where, in_cost):
    broken = (0.5, math.nan) if in_cost else (math.nan, 0.5)
    points.insert(where, broken)
    with pytest.raises(ValueError, match="but got"):
        front_of(*columns(points))
