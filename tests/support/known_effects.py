"""Studies with known true effects, as records in memory, for the tests of effects and importance."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.view import StudyView

COST = {"gmacs": 3.0, "gmacs_fvcore_default": 3.0, "gflops_torch": 6.0, "params_m": 2.6}
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
        head = {"number": number, "architecture": str(architecture), "seed": seed, "cost": COST}
        records.append({"kind": "started", "role": role, "sampled": {}, **head})
        found = Evaluation(value, value, (), 1.0, seed, 1, 64)
        records.append({"kind": "finished", "number": number, "state": state, "evaluation": found.as_dict()})
    return StudyView.of(Path("known"), records)


def text_of(genes: Mapping[str, str]) -> str:
    """The architecture with these genes (slot -> gene), as text."""
    return " ".join(f"{slot}={gene}" for slot, gene in genes.items())


def random_rows(
    rng: np.random.Generator,
    trials: int,
    *,
    slots: tuple[str, ...] = ("p3", "p4"),
    modules: tuple[str, ...] = ("acmix", "lska", "se"),
    settings: int = 1,
    effect: Mapping[tuple[str, str], float] | None = None,
    noise: float = 0.01,
    between: float = 0.0,
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
        noise: standard deviation of a run.
        between: standard deviation of the part of an architecture's gain that is not the sum of its effects.
        repeats: number of seeds of the controls and of every fourth architecture.
    """
    effect = effect or {}
    own: dict[str, float] = {}
    rows: list[Row] = []
    level = rng.normal(0.4, 0.01, size=repeats)

    def run(genes: Mapping[str, str], seed: int) -> None:
        text = text_of(genes)
        gain = sum(
            effect.get((s, g), 0.0) + effect.get((s, g.split("(")[0]), 0.0) * ("(" in g) for s, g in genes.items()
        )
        own.setdefault(text, rng.normal(0, between))
        rows.append((text, level[seed] + gain + own[text] + rng.normal(0, noise), seed))

    for genes, seed in itertools.product((dict.fromkeys(slots, "none"), dict.fromkeys(slots, "conv")), range(repeats)):
        run(genes, seed)
    for i in itertools.count():
        genes = {}
        for slot in slots:
            module = ("none", *modules)[rng.integers(len(modules) + 1)]
            genes[slot] = module if module == "none" else f"{module}(k={rng.integers(settings)})"
        for seed in range(repeats if i % 4 == 0 else 1):
            if len(rows) == trials:
                return rows
            run(genes, seed)
    raise AssertionError("unreachable")
