"""BoTorch behind Optuna's interface: noisy expected hypervolume improvement over a pool of architectures.

BoTorchSampler of optuna-integration relaxes categories to numbers. On 8 slots with 3 options it proposed the same
architecture again and again, at 15 s of CPU per ask. Here the candidates are architectures, none a second time. Both
objectives are modelled by a Gaussian process each (BoTorch's defaults, on one-hot codes), the cost too.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from tabular_spaces import Table

STARTUP = 10  # random architectures, as many as Optuna's samplers begin with
RANDOM, NEIGHBOURS = 1000, 1000  # the size of the pool
SAMPLES = 64


class BotorchSampler(BaseSampler):
    """Chooses from random architectures and one-slot neighbours of the observed front, by qLogNEHVI.

    Args:
        table: the space; only its choices are used.
        seed: draws the pool and the samples.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self.table, self.seed = table, seed
        self._rng = np.random.default_rng([seed, 2])
        self._encoding = _encoding(table)
        self._params: dict[str, Any] = {}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        numbers = [self.table.number(t.params) for t in done]
        values = np.array([(t.values[0], -t.values[1]) for t in done])
        self._params = self.table.params(self._choice(numbers, values))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._params[param_name]

    def _choice(self, numbers: list[int], values: NDArray[np.float64]) -> int:
        pool = self._rng.integers(len(self.table.means), size=RANDOM)
        if len(numbers) >= STARTUP:
            pool = np.concatenate([pool, self._neighbours(numbers, values)])
        pool = np.setdiff1d(pool, numbers)
        if len(numbers) < STARTUP:
            return int(self._rng.choice(pool))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gains = _gains(self._coded(np.array(numbers)), values, self._coded(pool), self.seed + len(numbers))
        return int(pool[int(np.argmax(gains))])

    def _neighbours(self, numbers: list[int], values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Architectures that differ at one slot from the front of the observed values."""
        codes = self.table.codes(np.array(numbers))
        no_worse, better = values[None] >= values[:, None], values[None] > values[:, None]
        beaten = np.any(np.all(no_worse, axis=-1) & np.any(better, axis=-1), axis=1)
        found = []
        for row in codes[~beaten]:
            for slot, size in enumerate(self.table.sizes):
                near = np.repeat(row[None], size, 0)
                near[:, slot] = np.arange(size)
                found.append(np.ravel_multi_index(list(near.T), self.table.sizes))
        every = np.unique(np.concatenate(found))
        return self._rng.permutation(every)[:NEIGHBOURS]

    def _coded(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        codes = self.table.codes(numbers)
        return torch.tensor(np.concatenate([e[codes[:, slot]] for slot, e in enumerate(self._encoding)], 1))


def _encoding(table: Table) -> list[NDArray[np.float64]]:
    """For each slot a row per variant: its option one-hot, then each setting's place in its values, else one half."""
    found = []
    for slot, options in table.choices.items():
        columns: list[tuple[str, str | None]] = [(option, None) for option in options]
        columns += [(option, name) for option, settings in options.items() for name in settings]
        rows = np.zeros((len(table.variants[slot]), len(columns)))
        for row, (option, settings) in zip(rows, table.variants[slot], strict=True):
            given = dict(settings)
            for column, (owner, name) in enumerate(columns):
                if name is None:
                    row[column] = owner == option
                else:
                    values = list(options[owner][name])
                    row[column] = values.index(given[name]) / max(1, len(values) - 1) if owner == option else 0.5
        found.append(rows)
    return found


def _gains(x: torch.Tensor, values: NDArray[np.float64], pool: torch.Tensor, seed: int) -> NDArray[np.float64]:
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    torch.manual_seed(seed)
    y = torch.tensor(values)
    model = ModelListGP(*(SingleTaskGP(x, y[:, [k]], outcome_transform=Standardize(1)) for k in range(y.shape[1])))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    gain = qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=(y.min(0).values - 1e-8).tolist(),  # the worst that was seen, as BoTorchSampler does
        X_baseline=x,
        sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed),
        prune_baseline=True,
    )
    with torch.no_grad():
        return torch.cat([gain(part.unsqueeze(1)) for part in pool.split(256)]).numpy()
