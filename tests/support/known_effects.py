"""Studies with known true effects, as records in memory, for the tests of effects and importance."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas_attn.evaluate import Evaluation
from nas_attn.space import NONE, Architecture
from nas_attn.study.view import StudyView

Row = tuple[str, float, int]  # architecture, mAP50-95, seed


def study_of(rows: Iterable[Row], *, slots: Mapping[str, Any] | None = None, state: str = "complete") -> StudyView:
    """The study of these runs, numbered in their order; runs of the base and of the convolution are controls."""
    records: list[dict[str, Any]] = [{"kind": "study", "name": "known", "config": {"trials": 10}, "base": "yolo11n"}]
    if slots:
        records.append({"kind": "slots", **slots})
    for number, (text, value, seed) in enumerate(rows):
        architecture = Architecture.parse(text)
        modules = {gene.module for _, gene in architecture}
        role = "base" if architecture.is_base else "conv" if modules <= {"none", "conv"} else "search"
        head = {"number": number, "architecture": str(architecture), "seed": seed, "cost": cost_of(architecture)}
        records.append({"kind": "started", "role": role, "sampled": {}, **head})
        found = Evaluation(value, value, (), 1.0, seed, 1, 64)
        records.append({"kind": "finished", "number": number, "state": state, "evaluation": found.as_dict()})
    return StudyView.of(Path("known"), records)


def cost_of(architecture: Architecture) -> dict[str, float]:
    """A cost that adds up over slots, drawn from the names of the genes."""
    added = (hashlib.sha256(f"{s}={g}".encode()).digest()[0] for s, g in architecture if g != NONE)
    gmacs = 3.0 + sum(0.002 * (1 + byte) for byte in added)
    return {"gmacs": gmacs, "gmacs_fvcore_default": gmacs, "gflops_torch": 2 * gmacs, "params_m": 2.6}


def text_of(genes: Mapping[str, str]) -> str:
    """The architecture with these genes (slot -> gene), as text."""
    return " ".join(f"{slot}={gene}" for slot, gene in genes.items())


class Truth:
    """The true gains of architectures over the base.

    Args:
        effect: (slot, gene or module) -> gain; all others have no gain.
        between: standard deviation of the part of an architecture's gain that is not the sum of its effects.
        seed: draws these parts.
    """

    def __init__(self, effect: Mapping[tuple[str, str], float] | None = None, between: float = 0.0, seed: int = 0):
        self.effect, self.between, self.seed = effect or {}, between, seed

    def gain(self, architecture: Architecture) -> float:
        """The gain of an architecture, mAP50-95."""
        filled = [(slot, gene) for slot, gene in architecture if gene != NONE]
        total = 0.0
        for slot, gene in filled:
            total += self.effect.get((slot, gene.module), 0.0)
            total += self.effect.get((slot, str(gene)), 0.0) * (str(gene) != gene.module)
        if self.between and filled:
            digest = hashlib.sha256(f"{self.seed} {architecture}".encode()).digest()
            total += self.between * float(np.random.default_rng(list(digest)).normal())
        return total

    def cell(self, view: StudyView, slot: str, module: str) -> float:
        """The true effect of a module at a slot, averaged over the trained architectures that have it there."""
        gains = [self.gain(a) - self.gain(with_gene(a, slot, "none")) for a in having(view, slot, module)]
        return float(np.mean(gains))

    def lead(self, view: StudyView, slot: str, module: str) -> float:
        """The true difference of a module at a slot to the mean of the other modules there, `none` included."""
        others: dict[str, list[str]] = {}
        for a in dict.fromkeys(t.architecture for t in view.trials):
            if a[slot].module != module and str(a[slot]) not in others.setdefault(a[slot].module, []):
                others[a[slot].module].append(str(a[slot]))

        def mean(architecture: Architecture) -> float:
            means = [np.mean([self.gain(with_gene(architecture, slot, g)) for g in genes]) for genes in others.values()]
            return float(np.mean(means))

        return float(np.mean([self.gain(a) - mean(a) for a in having(view, slot, module)]))


def having(view: StudyView, slot: str, module: str) -> list[Architecture]:
    """The trained architectures with a module at a slot."""
    every = dict.fromkeys(t.architecture for t in view.trials)
    return [a for a in every if a[slot].module == module]


def with_gene(architecture: Architecture, slot: str, gene: str) -> Architecture:
    """The architecture with another gene at a slot."""
    return Architecture.parse(text_of({s: gene if s == slot else str(g) for s, g in architecture}))


def random_rows(
    rng: np.random.Generator,
    trials: int,
    *,
    slots: tuple[str, ...] = ("p3", "p4"),
    modules: tuple[str, ...] = ("acmix", "lska", "se"),
    settings: int = 1,
    effect: Mapping[tuple[str, str], float] | None = None,
    truth: Truth | None = None,
    noise: float = 0.01,
    repeats: int = 3,
) -> list[Row]:
    """Runs like those of a search: controls with several seeds, then random architectures, every fourth repeated.

    Args:
        rng: generator of all random numbers.
        trials: number of runs.
        slots: names of the slots; each gets one of `modules`, or `none`.
        modules: names of the modules.
        settings: number of values of each module's setting `k`.
        effect: (slot, gene or module) -> gain; all others have no gain.
        truth: the gains, instead of `effect`.
        noise: standard deviation of a run.
        repeats: number of seeds of the controls and of every fourth architecture.
    """
    known = truth or Truth(effect)
    level = rng.normal(0.4, 0.01, size=repeats)
    rows: list[Row] = []
    for text, seed in itertools.islice(_schedule(rng, slots, modules, settings, repeats), trials):
        gain = known.gain(Architecture.parse(text))
        own = rng.normal(size=2)[1]  # two are drawn, so that older tests keep their studies
        rows.append((text, float(level[seed] + gain + noise * own), seed))
    return rows


def _schedule(
    rng: np.random.Generator, slots: Sequence[str], modules: Sequence[str], settings: int, repeats: int
) -> Iterator[tuple[str, int]]:
    """The architectures and seeds of runs, without an end."""
    for gene, seed in itertools.product(("none", "conv"), range(repeats)):
        yield text_of(dict.fromkeys(slots, gene)), seed
    names = ("none", *modules)
    for i in itertools.count():
        genes = {}
        for slot in slots:
            name = names[rng.integers(len(names))]
            genes[slot] = name if name == "none" else f"{name}(k={rng.integers(settings)})"
        for seed in range(repeats if i % 4 == 0 else 1):
            yield text_of(genes), seed
