"""Mean, standard deviation and Student's t agree with the standard library and scipy."""

from __future__ import annotations

import statistics

import pytest
from scipy import stats

from nas_attn.statistics.spread import moments, pooled, student

VALUES = [0.41, 0.43, 0.402, 0.4375]


def test_moments_are_those_of_the_standard_library():
    assert moments(VALUES) == pytest.approx((statistics.mean(VALUES), statistics.stdev(VALUES)))


def test_moments_are_none_where_there_are_too_few_values():
    assert moments([]) == (None, None) and moments([0.4]) == (0.4, None)


def test_groups_are_pooled_by_their_degrees_of_freedom():
    assert pooled([(1, 0.3), (3, 0.1)]) == (pytest.approx(((0.09 + 3 * 0.01) / 4) ** 0.5), 4)


@pytest.mark.parametrize("df", [1, 2, 9, 400])
def test_students_t_is_scipys(df):
    assert (-student(df), student(df)) == stats.t.interval(0.95, df)
