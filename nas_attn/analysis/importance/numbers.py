"""The importance of choices for the result. A choice is a slot (its module) or a setting of a module at a slot.

One observation is one candidate with its paired score (`Candidate.score`), so the seeds of an architecture count
once. There are two measures, because they answer different questions:

- main effect: the share of the variance that a choice explains by itself (omega squared, from the one-way F test of
  statsmodels). For a setting, only candidates that have its module at that slot count.
- PED-ANOVA: the difference of the choice between the best tenth and all candidates, as a share of the sum over choices
  (Optuna's evaluator, which treats a setting as conditional on its module; Watanabe et al. 2023 and 2026).

Each measure is compared with its values on shuffled results, which show the size that noise alone gives.
"""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas_attn.space.architecture import natural
from nas_attn.study.parameters import parameters
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    import numpy as np

    Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (rows taken, their values) -> one figure per choice

ROLES = ("base", "conv", "search")  # roles of a search's trials; others are no sample of the space
MOST = 400  # most architectures, to limit the time
LEAST = 10  # least candidates for any statement
WITHIN = 8  # least candidates with a setting; two of its values must occur twice
TENTH, TOP = 0.1, 8  # the best candidates of PED-ANOVA: a tenth, but at least 8
RESAMPLES = 100
SETTINGS = 24  # most settings, those in most architectures, to limit the time
NO_OPTUNA = "PED-ANOVA is left out, because Optuna is not installed."


@dataclass(frozen=True)
class Share:
    """One measure of one choice.

    Attributes:
        value: the estimate, from 0 to 1.
        low: lower end of its 95 % bootstrap interval over candidates.
        high: upper end.
        chance: limit of shuffled results: with a probability of 95 %, all choices together stay below it.
        clear: True if the estimate is above `chance`, and the interval is above the mean of shuffled results.
    """

    value: float
    low: float
    high: float
    chance: float
    clear: bool

    def over(self, total: float) -> Share:
        """This share, divided by `total`."""
        return Share(
            self.value / total, self.low / total, min(1.0, self.high / total), min(1.0, self.chance / total), self.clear
        )


@dataclass(frozen=True)
class Importance:
    """The importance of one choice.

    Attributes:
        name: a slot (`p3`), or a setting of a module there (`p3.acmix.head`).
        is_slot: True if it is a slot.
        candidates: number of candidates that have the choice.
        levels: number of its values.
        main: main effect.
        ped: PED-ANOVA; None without Optuna.
    """

    name: str
    is_slot: bool
    candidates: int
    levels: int
    main: Share
    ped: Share | None

    @property
    def label(self) -> str:
        """Its name in the figure, e.g. `p3: module`, `p3.acmix: head`."""
        place, _, setting = self.name.rpartition(".")
        return f"{self.name}: module" if self.is_slot else f"{place}: {setting}"


@dataclass(frozen=True)
class ImportanceNumbers:
    """The importance of all choices in a study.

    Attributes:
        choices: slots in natural order, then settings by name. If it is empty, `note` gives the reason.
        candidates: number of candidates with a paired score.
        left_out: number of settings that are left out, because too few candidates have them.
        note: a sentence on missing parts.
    """

    choices: tuple[Importance, ...]
    candidates: int
    left_out: int = 0
    note: str = ""


def importance_numbers(view: StudyView, *, resamples: int = RESAMPLES, seed: int = 0) -> ImportanceNumbers:
    """The importance of slots and settings.

    Args:
        view: the study.
        resamples: number of bootstrap samples and of shuffled results; the time grows with it.
        seed: seed of both; equal studies give equal numbers.
    """
    import numpy as np

    found = {str(c.architecture): c for c in view.candidates() if c.role in ROLES and c.score is not None}
    kept = set(found) if len(found) <= MOST else set(random.Random(0).sample(sorted(found), MOST))
    candidates = [found[k] for k in sorted(kept)]  # sorted, so that the order of trials does not matter
    rows = [parameters(c.architecture) for c in candidates]
    values = np.array([c.score for c in candidates], float)
    if len(rows) < LEAST:
        return ImportanceNumbers(
            (), len(rows), note=f"Importance needs {LEAST} architectures; this study has {len(rows)}."
        )
    if np.ptp(values) < 1e-9:
        return ImportanceNumbers(
            (), len(rows), note=f"All architectures have the same {view.score.words}, so no choice matters."
        )
    slots = {s for c in candidates for s in c.architecture.slots}
    names, left_out = _testable(rows, slots)
    if not names:
        return ImportanceNumbers((), len(rows), left_out, "No choice has two values that occur at least twice.")
    codes = [_codes([row.get(n) for row in rows]) for n in names]
    main = _shares(_main_effects(codes), values, resamples, np.random.default_rng(seed))
    measure = _ped_anova(rows, names)
    ped = _shares(measure, values, resamples, np.random.default_rng(seed)) if measure else []
    total = math.fsum(p.value for p in ped) or 1.0
    choices = tuple(
        Importance(n, n in slots, int((c >= 0).sum()), int(c.max()) + 1, main[i], ped[i].over(total) if ped else None)
        for i, (n, c) in enumerate(zip(names, codes, strict=True))
    )
    notes = [] if measure else [NO_OPTUNA]
    if len(kept) < len(found):
        notes.append(f"These figures use {len(kept):,} of the {len(found):,} architectures, drawn at random.")
    return ImportanceNumbers(choices, len(rows), left_out, " ".join(notes))


def importance_sentence(numbers: ImportanceNumbers) -> str:
    """A sentence that names the choices beyond chance."""
    if not numbers.choices:
        return numbers.note
    clear = [c.label for c in numbers.choices if c.main.clear or (c.ped and c.ped.clear)]
    words = f"Choices beyond chance: {', '.join(clear)}." if clear else "No choice is beyond chance."
    if numbers.left_out:
        words += f" Settings left out, because too few architectures have them: {numbers.left_out}."
    return f"{words} {numbers.note}".strip()


def _testable(rows: Sequence[dict[str, Any]], slots: set[str]) -> tuple[list[str], int]:
    """The names of the choices that vary enough, and the number of settings that are left out."""
    found: dict[str, int] = {}
    settings = 0
    for name in {k: None for row in rows for k in row}:
        counts = Counter(row[name] for row in rows if name in row)
        settings += name not in slots and len(counts) > 1
        if sum(n > 1 for n in counts.values()) > 1 and (name in slots or sum(counts.values()) >= WITHIN):
            found[name] = sum(counts.values())
    most = sorted((n for n in found if n not in slots), key=lambda n: (-found[n], n))[:SETTINGS]
    kept = [n for n in found if n in slots or n in most]
    return sorted(kept, key=lambda n: (n not in slots, natural(n))), settings - len(most)


def _codes(values: Sequence[Any]) -> np.ndarray:
    """(n,) index of each value among the sorted different values; -1 if a candidate does not have the choice."""
    import numpy as np

    order = {v: i for i, v in enumerate(sorted({v for v in values if v is not None}, key=str))}
    return np.array([order.get(v, -1) for v in values])


def _main_effects(codes: Sequence[np.ndarray]) -> Measure:
    import numpy as np
    from statsmodels.stats.oneway import anova_generic

    def share(code: np.ndarray, values: np.ndarray) -> float:
        kept = code >= 0
        group, part = np.unique(code[kept], return_inverse=True)[1], values[kept]
        sizes = np.bincount(group)
        between = len(sizes) - 1
        if between < 1 or len(part) <= between + 1 or np.ptp(part) < 1e-9:
            return 0.0
        means = np.bincount(group, part) / sizes
        variances = np.bincount(group, (part - means[group]) ** 2) / np.maximum(sizes - 1, 1)
        if not variances.any():
            return 1.0
        f = float(anova_generic(means, variances, sizes, use_var="equal").statistic)
        return max(0.0, between * (f - 1) / (between * (f - 1) + len(part)))

    return lambda taken, values: np.array([share(code[taken], values) for code in codes])


def _ped_anova(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Measure | None:
    """Optuna's PED-ANOVA for these choices, not normalised; None if Optuna is not installed."""
    try:
        import optuna
    except ImportError:
        return None
    import numpy as np
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    class Resampled(optuna.Study):
        """A study that returns a resample of its trials."""

        drawn: Sequence[optuna.trial.FrozenTrial] = ()

        def get_trials(self, *_: Any, **__: Any) -> list[optuna.trial.FrozenTrial]:
            return list(self.drawn)

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # otherwise Optuna prints a line for the study
    storage = optuna.storages.InMemoryStorage()
    whole = optuna.create_study(storage=storage, study_name="importance", direction="maximize")
    kept = [{n: row[n] for n in names if n in row} for row in rows]
    spaces = {n: CategoricalDistribution(sorted({row[n] for row in kept if n in row}, key=str)) for n in names}
    whole.add_trials(
        [optuna.trial.create_trial(params=row, distributions={n: spaces[n] for n in row}, value=0.0) for row in kept]
    )
    trials = whole.get_trials()
    for trial in trials:  # shared objects, because comparing equal copies takes most of the time
        trial.distributions = {n: spaces[n] for n in trial.distributions}
    study = Resampled(study_name="importance", storage=storage)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(TENTH, TOP / len(rows))))

    def measure(taken: np.ndarray, values: np.ndarray) -> np.ndarray:
        study.drawn = [trials[i] for i in taken]
        for trial, value in zip(study.drawn, values, strict=True):
            trial.values = [float(value)]
        present = [n for n in names if any(n in t.params for t in study.drawn)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of few trials in a condition; `chance` accounts for that
            found = get_param_importances(study, evaluator=evaluator, params=present, normalize=False)
        return np.array([found.get(n, 0.0) for n in names])

    return measure


def _shares(measure: Measure, values: np.ndarray, resamples: int, rng: np.random.Generator) -> list[Share]:
    """The measure of each choice, with its bootstrap interval and its limit on shuffled results."""
    import numpy as np

    everything = np.arange(len(values))
    estimate = measure(everything, values)
    chance = np.array([measure(everything, rng.permutation(values)) for _ in range(resamples)])
    draws = [rng.integers(len(values), size=len(values)) for _ in range(resamples)]
    again = np.array([measure(drawn, values[drawn]) for drawn in draws])
    # repeated rows raise the measure, so the interval is shifted back by this bias
    low, high = np.quantile(again, (0.025, 0.975), axis=0) - (again.mean(axis=0) - estimate)
    mean, sd = chance.mean(axis=0), chance.std(axis=0)
    scaled = np.divide(chance - mean, sd, out=np.zeros_like(chance), where=sd > 0)
    limit = mean + sd * np.quantile(scaled.max(axis=1), 0.95)
    clear = (estimate > limit) & (low > mean)
    return [
        Share(float(v), float(max(0.0, a)), float(b), float(c), bool(k))
        for v, a, b, c, k in zip(estimate, low, high, limit, clear, strict=True)
    ]
