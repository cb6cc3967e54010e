"""A bundle compared with its card: digests are checked here, all else is rebuilt in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.attention import user
from nas_attn.bundle import card as cards
from nas_attn.environment import PACKAGE


@dataclass(frozen=True)
class CheckedPart:
    """One part of a bundle that was checked.

    Attributes:
        what: e.g. `cost`.
        problem: the difference to the card; empty if there is none.
    """

    what: str
    problem: str = ""


def verify_bundle(folder: Path) -> list[CheckedPart]:
    """Check a bundle's files, and rebuild its model from them in a fresh process.

    Rebuilding runs the source of modules and unpickles the weights that are in the bundle: verify no bundle of somebody
    whom you do not trust. If these files are not the card's, nothing is run.

    Raises:
        UserError: the folder is not a bundle.
    """
    folder = Path(folder)
    card = cards.read(folder)
    checks = [
        CheckedPart("card", "" if cards.seal(card) == card.get("sha256") else "it was edited after it was written")
    ]
    changed = {name: problem for name in card["files"] if (problem := _problem(folder, name, card["files"][name]))}
    checks += [CheckedPart(name, changed.get(name, "")) for name in sorted(card["files"])]
    weights = card["weights"].get("file")
    runs = [name for name in changed if name.startswith("modules/") or name == weights]
    if weights and weights not in card["files"]:
        runs.append(f"{weights}, of which the card has no digest")
    if runs:
        checks.append(CheckedPart("rebuilding", f"not done, for it would run {' and '.join(runs)}"))
    else:
        checks += _rebuilt(folder)
    return checks


def _problem(folder: Path, name: str, digest: str) -> str:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        return "it lies outside the bundle"
    if not file.is_file():
        return "it is missing"
    return "" if cards.file_digest(file) == digest else "it was changed after the bundle was written"


def _rebuilt(folder: Path) -> list[CheckedPart]:
    """The answer of the fresh process, which knows the bundle's modules only, and none that this process imported."""
    root = str(PACKAGE.parent)
    environment: Mapping[str, Any] = {k: v for k, v in os.environ.items() if k != user.ENVIRONMENT}
    paths = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nas_attn.bundle.rebuild", str(folder.resolve())],
        capture_output=True, encoding="utf-8", errors="replace", check=False,
        env={**environment, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return [CheckedPart("rebuilding", f"the process ended with {done.returncode}: {last}")]
    return [CheckedPart(what, problem) for what, problem in json.loads(done.stdout.splitlines()[-1])]
