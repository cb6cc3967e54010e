"""The store of finished sampler runs: one JSON line for each table, method and seed, so a stopped program goes on."""

from __future__ import annotations

import ast
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

KNOWN_COST = "known-cost"


@dataclass(frozen=True)
class Entry:
    """One finished run.

    Attributes:
        steps: (trial, regret) wherever the regret changes; it holds until the next step.
        seconds: CPU seconds of an ask, the median.
        source: digest of the sampler's source, for our own sampler.
    """

    table: str
    method: str
    seed: int
    trials: int
    steps: list[list[float]]
    seconds: float
    repeats: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.table, self.method, self.seed

    def curve(self, trials: int) -> NDArray[np.float64]:
        """The regret after each of so many trials."""
        at, regrets = np.array(self.steps).T
        return regrets[np.searchsorted(at, np.arange(1, trials + 1), side="right") - 1]


def seconds_to(points: list[list[float]], regret: float) -> float:
    """The seconds from which on the regret stays at most this high; infinity if it never does."""
    reached = float("inf")
    for seconds, missed in reversed(points):
        if missed > regret:
            break
        reached = seconds
    return reached


def steps(curve: list[float]) -> list[list[float]]:
    """A curve as its steps, rounded to 5 digits."""
    found: list[list[float]] = []
    for trial, regret in enumerate(curve, start=1):
        if not found or round(regret, 5) != found[-1][1]:
            found.append([trial, round(regret, 5)])
    return found


def versions(method: str) -> dict[str, str]:
    """The versions of the libraries that decide about a run."""
    names = ("optuna", "numpy", *(("botorch", "gpytorch", "torch") if method == "botorch" else ()))
    return {name: version(name) for name in names}


def digest() -> str:
    """The digest of the sources in `nas_attn.known_cost` that its sampler uses; empty if there are none."""
    found = find_spec("nas_attn.known_cost")
    if found is None or found.origin is None:
        return ""
    folder = Path(found.origin).parent
    waiting, files = ["__init__", "sampler", "proposer"], set()
    while waiting:
        file = folder / f"{waiting.pop()}.py"
        if file not in files and file.exists():
            files.add(file)
            nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            waiting += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 1 and n.module]
    text = b"".join(f"{f.relative_to(folder).as_posix()}\n".encode() + f.read_bytes() for f in sorted(files))
    return hashlib.sha256(text).hexdigest()[:12]


class Store:
    """The runs in a file. Several programs may add to it at the same time.

    Args:
        path: the file; without one, nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        name = hashlib.sha256(str(path and path.resolve()).encode()).hexdigest()[:16]
        self._lock = FileLock(Path(tempfile.gettempdir()) / f"nas_attn-samplers-{name}.lock")
        self._own: dict[tuple[str, str, int], Entry] = {}

    def entries(self) -> dict[tuple[str, str, int], Entry]:
        """The runs by table, method and seed; those of an older known-cost sampler are left out."""
        current = digest()
        found = {e.key: e for e in self._lines() if e.method != KNOWN_COST or e.source == current}
        return found | self._own

    def add(self, entry: Entry) -> None:
        self._own[entry.key] = entry
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self.path.open("a", encoding="utf-8") as file:
                file.write(_line(entry))

    def tidy(self) -> None:
        """Remove the runs of an older known-cost sampler, and those that a longer run has replaced; sort the rest."""
        if self.path is None or not self.path.is_file():
            return
        with self._lock:
            kept = [_line(e) for _, e in sorted(self.entries().items())]
            beside = self.path.with_suffix(".tmp")
            beside.write_text("".join(kept), encoding="utf-8")
            beside.replace(self.path)

    def _lines(self) -> Iterator[Entry]:
        if self.path is None or not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                values: dict[str, Any] = json.loads(line)
            except ValueError:  # a program that was killed while it wrote
                continue
            yield Entry(**values)


def _line(entry: Entry) -> str:
    return json.dumps({k: v for k, v in asdict(entry).items() if v != ""}) + "\n"
