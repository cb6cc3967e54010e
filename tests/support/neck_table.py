"""The table of real trainings in `tests/benchmarks/neck_table/`: its parts and runs.

A part is a list of architectures that were trained with several seeds by one recipe. `runs.csv.gz` has one line for
each run, `curves.csv.gz` one for each epoch of a run.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas_attn.atomic_files import write_bytes_atomic
from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.space import NONE, Architecture, Gene
from nas_attn.space.written import with_defaults

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "neck_table"
BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd_320" / "data.yaml"
SLOTS = ("p3", "p4", "p5")
MODULES = ("conv", "acmix", "lska", "efficient_attention")
RANKS = 0.5  # least intraclass correlation of a table that may rank samplers
MORE = tuple(range(3, 16))
TEXTS = ("part", "architecture", "flags", "recipe", "versions")
COUNTS = ("seed", "group", "epoch")
NAMES = ("part", "architecture", "seed", "group")  # of a run, in both files
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Part:
    """Architectures that were trained alike.

    Attributes:
        data: `generated` or `bccd`.
        count: number of architectures, of those that `order` lists for the data.
        seeds: the seeds of each architecture.
        epochs: passes over the training data.
        val_every: epochs between validations.
        inherited: True if each run continues from the trained base, with residual=scaled.
        together: number of architectures in one run, the base among them; 1 for runs alone.
        base_seeds: further seeds of the base, for searches that ask for them.
        recipe: fields of `Recipe` that differ from the default.
    """

    data: str
    count: int
    seeds: tuple[int, ...]
    epochs: int
    val_every: int = 1
    inherited: bool = False
    together: int = 1
    base_seeds: tuple[int, ...] = ()
    recipe: tuple[tuple[str, Any], ...] = ()

    @property
    def study(self) -> str:
        """The ready study that has its recipe."""
        return "demo" if self.data == "generated" else "bccd"

    @property
    def imgsz(self) -> int:
        """The image size in pixels."""
        return 128 if self.data == "generated" else 160

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity(self.epochs, self.imgsz)

    @property
    def jobs(self) -> list[Job]:
        """The runs of the part, seed by seed. Each group has the base, so that groups can be compared."""
        some = [scaled(a) if self.inherited else a for a in order(self.data)[: self.count]]
        size = self.together - 1
        if not size:
            further = [Job(self, (some[0],), s) for s in self.base_seeds]
            return [Job(self, (a,), s) for s in self.seeds for a in some] + further
        groups = [(some[0], *some[i : i + size]) for i in range(1, len(some), size)]
        return [Job(self, g, s, n) for s in self.seeds for n, g in enumerate(groups, 1)]


@dataclass(frozen=True)
class Job:
    """One run of a part.

    Attributes:
        part: the part.
        architectures: what is trained in the run.
        seed: its seed.
        group: number of its group of architectures; 0 for a run alone.
    """

    part: Part
    architectures: tuple[Architecture, ...]
    seed: int
    group: int = 0


RECIPES: dict[str, tuple[str, Any]] = {  # name -> field of the recipe, value; a factor for the learning rate
    "batch-4": ("batch", 4), "batch-16": ("batch", 16),
    "rate-doubled": ("lr0", 2.0), "norms-fast": ("bn_momentum", 0.3),
}  # fmt: skip


def with_recipe(part: Part, name: str) -> Part:
    """The first architectures and seeds of a part, trained with a recipe of `RECIPES`."""
    field, value = RECIPES[name]
    if field == "lr0":
        value *= {"generated": 4e-3, "bccd": 2e-3}[part.data]  # the learning rate of the data's own study
    return replace(part, count=12, seeds=(0, 1), base_seeds=(), recipe=((field, value),))


# long runs have other seeds than the short ones that they judge, so that they share no luck
PARTS = {
    "bccd-long": Part("bccd", 12, (10, 11, 12), 60, val_every=4),
    "bccd": Part("bccd", 25, (0, 1, 2), 15, base_seeds=MORE),
    "generated": Part("generated", 125, (0, 1, 2), 12, base_seeds=MORE),
    "generated-long": Part("generated", 40, (10, 11, 12), 48, val_every=4),
    "generated-inherited": Part("generated", 40, (0, 1, 2), 12, inherited=True),
    "generated-together": Part("generated", 125, (0, 1, 2), 12, together=8),
    "bccd-together": Part("bccd", 25, (0, 1, 2), 15, together=8),
}
PARTS |= {f"{data}-{name}": with_recipe(PARTS[data], name) for data in ("bccd", "generated") for name in RECIPES}


def order(data: str) -> list[Architecture]:
    """All architectures of the data's subspace, so that each beginning of the list is balanced.

    The base comes first, then each module alone, then those whose genes were rare so far. On BCCD at 160 px, P5 boxes
    nothing, so it stays empty.
    """
    genes = [NONE, *(with_defaults(Gene.of(m)) for m in MODULES)]
    filled = SLOTS if data == "generated" else SLOTS[:2]
    grid = [
        Architecture.of({s: NONE for s in SLOTS} | dict(zip(filled, chosen, strict=True)))
        for chosen in itertools.product(genes, repeat=len(filled))
    ]
    grid = [grid[i] for i in np.random.default_rng(0).permutation(len(grid))]

    def modules(a: Architecture) -> int:
        return sum(gene != NONE for _, gene in a)

    def place(a: Architecture) -> tuple[int, list[int]]:
        return modules(a), [-genes.index(gene) for _, gene in a]

    found = sorted((a for a in grid if modules(a) < 2), key=place)
    rest = [a for a in grid if modules(a) > 1]
    seen = {pair: 0 for pair in itertools.product(filled, genes)}
    while rest:
        chosen = min(rest, key=lambda a: sum(seen[s, a[s]] ** 2 for s in filled))
        rest.remove(chosen)
        found.append(chosen)
        for s in filled:
            seen[s, chosen[s]] += 1
    return found


def scaled(architecture: Architecture) -> Architecture:
    """The architecture with `residual=scaled` in each module."""
    return Architecture.of(
        {s: g if g == NONE else Gene.of(g.module, {**g.as_dict(), "residual": "scaled"}) for s, g in architecture}
    )


@dataclass(frozen=True)
class Run:
    """One run of the table: its line in `runs.csv.gz`, and its lines in `curves.csv.gz`."""

    facts: Mapping[str, Any]
    curve: tuple[dict[str, float], ...]

    @property
    def key(self) -> Key:
        return self.facts["part"], self.facts["architecture"], self.facts["seed"], self.facts["group"]

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the run with one validation, at its end."""
        validations = sum("map50_95" in row for row in self.curve)
        share = self.facts["val_seconds"] / self.facts["seconds"]
        return float(self.facts["cpu_seconds"] * (1 - share * (1 - 1 / validations)))

    def evaluation(self, part: Part, epochs: int) -> Evaluation:
        """The run as an evaluation that ended after an epoch, which was validated."""
        row = self.curve[epochs - 1]
        flags = tuple(f for f in self.facts["flags"].split("; ") if f)
        if epochs < part.epochs:
            flags = (*flags, f"{STOPPED}{epochs}")
        recipe = {**json.loads(self.facts["recipe"]), "val_every": 0}  # as a search trains it
        seconds = self.cpu_seconds * epochs / part.epochs
        return Evaluation(
            row["map50_95"],
            row["map50"],
            self.curve[:epochs],
            seconds,
            self.facts["seed"],
            part.epochs,
            part.imgsz,
            steps_seconds=self.facts["steps_seconds"] * epochs / part.epochs,
            flags=flags,
            recipe=recipe,
        )


class NeckTable:
    """The runs of a folder.

    Args:
        folder: with `runs.csv.gz` and `curves.csv.gz`; a missing file is an empty table.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    @cached_property
    def runs(self) -> dict[Key, Run]:
        """(part, architecture, seed, group) -> run."""
        facts = list(_rows(self.folder / "runs.csv.gz"))
        curves: dict[tuple[Any, ...], list[dict[str, float]]] = {}
        for row in _rows(self.folder / "curves.csv.gz"):
            curves.setdefault(tuple(row.pop(n) for n in NAMES), []).append(row)
        found = (Run(f, tuple(curves[tuple(f[n] for n in NAMES)])) for f in facts)
        return {run.key: run for run in found}

    def add(self, runs: Iterable[Run]) -> None:
        """Keep runs, in the memory and in the files."""
        self.runs.update({run.key: run for run in runs})
        some = sorted(self.runs.values(), key=lambda r: (list(PARTS).index(r.key[0]), *r.key[2:], r.key[1]))
        _write(self.folder / "runs.csv.gz", [dict(r.facts) for r in some])
        named = [dict(zip(NAMES, r.key, strict=True)) | row for r in some for row in r.curve]
        _write(self.folder / "curves.csv.gz", named)

    def scores(self, part: str, figure: str = "map50_95") -> tuple[list[str], np.ndarray]:
        """The last figures of all architectures that have every seed of a part; the mean over groups, if there are any.

        Args:
            part: name of the part.
            figure: a figure of the curve.

        Returns:
            The architectures, and their figures, (architectures, seeds).
        """
        there: dict[tuple[str, int], list[float]] = {}
        for (name, architecture, seed, _), run in self.runs.items():
            if name == part:
                there.setdefault((architecture, seed), []).append(run.curve[-1][figure])
        seeds = PARTS[part].seeds
        full = [n for n in dict.fromkeys(a for a, _ in there) if all((n, s) in there for s in seeds)]
        table = [[float(np.mean(there[n, s])) for s in seeds] for n in full]
        return full, np.array(table).reshape(len(full), len(seeds))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                k: v if k in TEXTS else int(v) if k in COUNTS else float(v) for k, v in row.items() if v or k in TEXTS
            }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes_atomic(path, gzip.compress(text.getvalue().encode(), mtime=0))
