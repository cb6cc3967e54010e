"""Tables for the benchmark of samplers: the figures of their publications, additive costs, and a regret by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tabular_spaces
from synthetic_necks import BASE_COST, MAPS, MODULES, Necks, gigaflops, unit
from tabular_spaces import Choices, Missing, Replicates, Table, nas_bench_201, nas_bench_macro

SPACES = {"macro": nas_bench_macro, "nb201": nas_bench_201, "necks": lambda: Necks("necks", 0)}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Table:
    try:
        return SPACES[request.param]()
    except Missing as missing:
        pytest.skip(f"missing part: {missing}")


only = pytest.mark.parametrize
every = only("table", SPACES, indirect=True)


def small() -> Replicates:
    """Four architectures of a slot whose option `b` has a setting, and a second slot."""
    choices: Choices = {"one": {"a": {}}, "two": {"none": {}, "b": {"k": [1, 2, 3]}}}
    return Replicates("small", choices, np.array([1.0, 2.0, 3.0, 5.0]), [[10.0], [30.0], [20.0], [40.0]])


@every
def test_architectures_and_their_parameters_are_one_to_one(table):
    rng = np.random.default_rng(0)
    for number in [0, len(table.means) - 1, *rng.integers(len(table.means), size=50)]:
        assert table.number(table.params(int(number))) == number


@every
def test_an_observation_is_near_the_truth_and_repeatable(table):
    params = table.params(len(table.means) // 3)
    seen = [table.observe(params, np.random.default_rng(seed)) for seed in range(200)]
    again = [table.observe(params, np.random.default_rng(seed)) for seed in range(200)]
    assert seen == again
    assert abs(np.mean(seen) - table.means[len(table.means) // 3]) < 0.15


@every
def test_the_regret_falls_to_zero_over_the_whole_table(table):
    numbers = list(np.random.default_rng(1).integers(len(table.means), size=60))
    curve = table.curve(numbers)
    assert np.diff(curve).max() < 1e-12
    assert curve[-1] == pytest.approx(table.regret([table.params(int(n)) for n in numbers]))
    assert 0 < curve[-1] < 1
    assert table.hypervolume(np.arange(len(table.means))) == table.whole


@only("table", ["macro"], indirect=True)
def test_nas_bench_macro_is_that_of_its_publication(table):
    """Mean of 3 trainings, 0.18 points apart; FLOPs are exactly additive over slots."""
    assert len(table.means) == 6561 and table.sizes == (3,) * 8
    assert {len(r) for r in table.replicates} == {3}
    assert (table.costs.min(), table.costs.max()) == (7.713280, 105.660928)
    assert np.mean(np.std(table.replicates, axis=1, ddof=1)) == pytest.approx(0.18, abs=0.01)
    assert residual(table, table.costs) < 1e-9
    assert explained(table, table.means) == pytest.approx(0.69, abs=0.01)


@only("table", ["nb201"], indirect=True)
def test_nas_bench_201_is_that_of_its_publication(table):
    """15,625 cells; their size has 67 values and is almost additive, their accuracy is not."""
    assert len(table.means) == 15_625 and table.sizes == (5,) * 6
    assert len(np.unique(table.costs)) == 67
    assert explained(table, table.costs) == pytest.approx(0.998, abs=0.001)
    assert explained(table, table.means) == pytest.approx(0.40, abs=0.01)
    spread = np.mean([np.std(r, ddof=1) for r in table.replicates if len(r) > 1])
    assert spread == pytest.approx(0.49, abs=0.01)


@only("table", ["necks"], indirect=True)
def test_synthetic_costs_add_up(table):
    assert table.sizes == (27,) * 4
    params = {"p2": "none", "p3": "lska", "p3.lska.k_size": 23, "p4": "se", "p4_out": "lka"}
    parts = [gigaflops(params[s], {"k_size": 23} if s == "p3" else {}, c, side) for s, (c, side) in MAPS.items()]
    assert table.cost(params) == pytest.approx(BASE_COST + sum(parts))
    assert table.cost(dict.fromkeys(MAPS, "none")) == BASE_COST


def test_a_seed_makes_one_space_with_its_noise():
    one, same, other = Necks("a", 3), Necks("b", 3, spreads=2.0), Necks("c", 4)
    assert np.array_equal(one.means, same.means) and not np.array_equal(one.means, other.means)
    assert one.noise == 0.6 and same.noise == pytest.approx(2 * one.means.std())


def test_settings_lie_between_0_and_1():
    values = [unit(name, v) for settings in MODULES.values() for name, allowed in settings.items() for v in allowed]
    assert min(values) == 0 and max(values) == 1


def test_the_hypervolume_of_known_sets():
    """The reference is (25, 5): number 1 spans 5 × 3, number 3 adds nothing at the highest cost."""
    table = small()
    assert table.reference == (25.0, 5.0)
    assert table.hypervolume([1]) == 15 and table.whole == 15
    assert table.hypervolume([0]) == table.hypervolume([3]) == table.hypervolume([]) == 0
    assert table.curve([0, 2, 1]) == [1, 1, 0]


def test_a_front_is_the_sum_of_its_steps():
    table = Replicates("steps", {"s": {n: {} for n in "abcd"}}, np.arange(1.0, 5.0), [[0.0], [2.0], [3.0], [0.0]])
    assert table.reference == (1.0, 4.0)
    assert table.whole == (2 - 1) * (4 - 2) + (3 - 2) * (4 - 3)
    assert table.hypervolume([2]) == 2


def test_parameters_are_only_those_of_the_chosen_option():
    table = small()
    assert [table.params(n) for n in (0, 2)] == [{"one": "a", "two": "none"}, {"one": "a", "two": "b", "two.b.k": 2}]


def test_missing_data_name_their_place(monkeypatch, tmp_path):
    monkeypatch.setattr(tabular_spaces, "MACRO", tmp_path / "none.json")
    with pytest.raises(Missing, match=r"shared/data/nas-bench-macro beside the checkout"):
        nas_bench_macro()


def one_hot(table: Table) -> np.ndarray:
    codes = table.codes(np.arange(len(table.means)))
    return np.concatenate([np.eye(size)[codes[:, slot]] for slot, size in enumerate(table.sizes)], axis=1)


def rest(table: Table, values: np.ndarray) -> np.ndarray:
    """The part of the values that no sum over slots explains."""
    x = one_hot(table)
    return values - x @ np.linalg.lstsq(x, values, rcond=None)[0]


def residual(table: Table, values: np.ndarray) -> float:
    return float(np.abs(rest(table, values)).max())


def explained(table: Table, values: np.ndarray) -> float:
    return float(1 - rest(table, values).var() / values.var())
