"""Verifies a bundle: it compares the files with the card, and rebuilds the model in a new process."""

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
    """The result of checking one part of a bundle.

    Attributes:
        what: name of the part, e.g. `cost`.
        problem: the difference from the card; empty if there is none.
    """

    what: str
    problem: str = ""


def verify_bundle(folder: Path) -> list[CheckedPart]:
    """Check the files of a bundle, and rebuild its model from them in a new process.

    Rebuilding runs module source code and unpickles weights from the bundle, so verify only bundles of people whom
    you trust. If these files differ from the card, nothing is run.

    Args:
        folder: the bundle.

    Returns:
        One result per part.

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
        runs.append(f"{weights}, which has no digest in the card")
    if runs:
        checks.append(CheckedPart("rebuilding", f"not done, because it would run {' and '.join(runs)}"))
    else:
        checks += _rebuilt(folder)
    return checks


def _problem(folder: Path, name: str, digest: str) -> str:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        return "it is outside the bundle"
    if not file.is_file():
        return "it is missing"
    return "" if cards.file_digest(file) == digest else "it was changed after the bundle was written"


def _rebuilt(folder: Path) -> list[CheckedPart]:
    """The results of the new process. It knows only the modules in the bundle, none that this process imported."""
    root = str(PACKAGE.parent)
    environment: Mapping[str, Any] = {
        k: v for k, v in os.environ.items() if k not in (user.ENVIRONMENT, user.LAYERS_ENVIRONMENT)
    }
    paths = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nas_attn.bundle.rebuild", str(folder.resolve())],
        capture_output=True, encoding="utf-8", errors="replace", check=False,
        env={**environment, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return [CheckedPart("rebuilding", f"the process ended with exit code {done.returncode}: {last}")]
    return [CheckedPart(what, problem) for what, problem in json.loads(done.stdout.splitlines()[-1])]
