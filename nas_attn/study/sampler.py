"""The architecture that comes next: Optuna's samplers over the conditional space slot -> module -> settings.

A suggestion is a pure function of (study seed, number of earlier trials, their results). The in-memory Optuna
study is built anew for each, so a resumed search goes on exactly as an uninterrupted one; kept between calls is only
what an Optuna trial says of a `Known` that has not changed, which is most of the time that building takes.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from nas_attn.errors import UnknownName
from nas_attn.space import Architecture, Gene, SearchSpace
from nas_attn.space.architecture import read_value
from nas_attn.study.config import SAMPLERS
from nas_attn.study.parameters import encoded, parameters
from nas_attn.study.sampler_table import MAKERS

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study is made for every proposal; say nothing

DIRECTIONS = (optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE)  # mAP50-95, GMACs


FIELDS = (  # of an Optuna trial, as its constructor takes them
    *("state", "datetime_start", "datetime_complete", "params", "distributions"),
    *("user_attrs", "system_attrs", "intermediate_values"),
)


@dataclass(frozen=True)
class Known:
    """An earlier trial as a sampler may know it.

    Attributes:
        params: its parameters; empty if it was not sampled from this space.
        values: (mAP50-95, GMACs) of a comparable trial, else None.
        violation: by how much it broke a limit, relative to the limit; above 0 for a refused trial.
        running: whether it is still being trained.
        attributes: the sampler's own notes from when it proposed the trial.
    """

    params: dict[str, Any] = field(default_factory=dict)
    values: tuple[float, float] | None = None
    violation: float = 0.0
    running: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suggestion:
    """A proposed architecture, as sampled (it may be an alias or refused), and the parameters that mean it."""

    architecture: Architecture
    params: dict[str, Any]
    attributes: dict[str, Any]


class _Shared(optuna.trial.FrozenTrial):
    """A trial that several studies hold. None of them changes an ended trial, so a flat copy is enough for each."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shared:
        return copy.copy(self)


class Suggester:
    """Proposes architectures of a search space.

    Args:
        space: the space, restricted to the slots that are searched.
        sampler: one of `SAMPLERS`.
        seed: the study's seed.

    Raises:
        UnknownName: no such sampler.
    """

    def __init__(self, space: SearchSpace, sampler: str, seed: int) -> None:
        if sampler not in SAMPLERS:
            raise UnknownName("sampler", sampler, SAMPLERS)
        self.space, self.sampler, self.seed = space, sampler, seed
        self._distributions = _distributions(space)
        self._kept: dict[int, tuple[Known, _Shared]] = {}  # by position: a known trial, and Optuna's form of it

    def suggest(self, known: Sequence[Known]) -> Suggestion:
        """The proposal for trial number `len(known)`."""
        study = self._study(known)
        trial = study.ask()
        genes: dict[str, Gene] = {}
        for slot in self.space.names:
            module = self._ask(trial, slot)
            prefix = f"{slot}.{module}."
            settings = {k[len(prefix) :]: self._ask(trial, k) for k in self._distributions if k.startswith(prefix)}
            genes[slot] = Gene.of(module, {k: read_value(v) if isinstance(v, str) else v for k, v in settings.items()})
        noted = study.get_trials(deepcopy=False)[trial.number].system_attrs
        return Suggestion(Architecture.of(genes), dict(trial.params), _plain(noted))

    def params(self, architecture: Architecture) -> dict[str, Any]:
        """The parameters that mean this architecture; empty if the space does not offer it."""
        found = parameters(architecture)
        return found if self.offers(found) else {}

    def offers(self, params: Mapping[str, Any]) -> bool:
        """True if all these are parameters of the space; a record may hold those of another."""
        return all(k in self._distributions and v in self._distributions[k].choices for k, v in params.items())

    def frozen(self, known: Known, *, outside: TrialState = TrialState.FAIL) -> optuna.trial.FrozenTrial:
        """An Optuna trial with the results that are known.

        Args:
            known: the earlier trials.
            outside: state of a comparable trial that the space does not offer. Samplers must not see it: without
                parameters it would empty the space that they take all trials to share.
        """
        attributes = dict(known.attributes)
        if known.violation > 0:
            state, attributes["constraints:limit"] = TrialState.PRUNED, known.violation
        elif known.running:
            state = TrialState.RUNNING
        elif known.values is None:
            state = TrialState.FAIL
        else:
            state = TrialState.COMPLETE if known.params else outside
        return optuna.trial.create_trial(
            state=state,
            values=known.values if state == TrialState.COMPLETE else None,
            params=known.params,
            distributions={k: self._distributions[k] for k in known.params},
            system_attrs=attributes,
        )

    def _ask(self, trial: optuna.Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self._distributions[name].choices)

    def _study(self, known: Sequence[Known]) -> optuna.Study:
        digest = hashlib.sha256(f"{self.seed}:{len(known)}".encode()).digest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = MAKERS[self.sampler](int.from_bytes(digest[:4], "big"))
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(directions=DIRECTIONS, sampler=sampler, storage=storage)
        study_id = storage.get_study_id_from_name(study.study_name)
        for at, one in enumerate(known):
            storage.create_new_trial(study_id, template_trial=self._shared(at, one))
        return study

    def _shared(self, at: int, known: Known) -> _Shared:
        if at not in self._kept or self._kept[at][0] is not known:
            trial = self.frozen(known)
            fields = {k: getattr(trial, k) for k in FIELDS}
            self._kept[at] = known, _Shared(number=-1, trial_id=-1, value=None, values=trial.values, **fields)
        return self._kept[at][1]


def _distributions(space: SearchSpace) -> dict[str, CategoricalDistribution]:
    found: dict[str, CategoricalDistribution] = {}
    for s in space.slots:
        options = s.options()
        found[s.slot.name] = CategoricalDistribution(list(options))
        for module, settings in options.items():
            for name, values in settings.items():
                found[f"{s.slot.name}.{module}.{name}"] = CategoricalDistribution([encoded(v) for v in values])
    return found


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """The sampler's notes, without those that live only as long as its study (search space caches)."""
    return {k: v for k, v in attributes.items() if k.endswith(":generation")}
