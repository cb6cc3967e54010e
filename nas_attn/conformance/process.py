"""The check that a pickled module loads and runs in a new process that imports only torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import fitting, moved
from nas_attn.environment import PACKAGE
from nas_attn.errors import CheckFailed

Pair = tuple[ModuleEntry, Mapping[str, Any]]

_READER = """
import contextlib, json, sys
import torch
torch.set_num_threads(1)
problems = []
for file in sys.argv[1:]:
    try:
        with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
            module, x, expected = torch.load(file, weights_only=False)
            problems.append(None if torch.equal(module(x), expected) else "another output")
    except (Exception, SystemExit) as error:
        problems.append(f"{type(error).__name__}: {error}")
print(json.dumps(problems))
"""


def reload(pairs: Sequence[Pair]) -> list[str | None]:
    """The fault of each gene, or None, from ONE new process for all genes.

    A gene is tested in its residual form, which contains the plain module.
    """
    problems: list[str | None] = []
    with tempfile.TemporaryDirectory(prefix="nas_attn-check-") as folder:
        files = {}
        for number, (entry, settings) in enumerate(pairs):
            file = Path(folder) / f"{number}.pt"
            try:
                _write(entry, settings, file)
            except (
                Exception,
                SystemExit,
            ) as error:  # a user's module may raise anything; the other genes must still be tested
                problems.append(f"{type(error).__name__}: {error}")
            else:
                problems.append(None)
                files[number] = str(file)
        root = str(PACKAGE.parent)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _READER, *files.values()],
            capture_output=True, encoding="utf-8", errors="replace", cwd=folder,
            env={**environment, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    if run.returncode:
        found = [f"the process ended with exit code {run.returncode}: {run.stderr.strip()[-300:]}"] * len(files)
    else:
        found = json.loads(run.stdout.splitlines()[-1])
    for number, problem in zip(files, found, strict=True):
        problems[number] = problem
    return problems


def _write(entry: ModuleEntry, settings: Mapping[str, Any], file: Path) -> None:
    module = moved(entry, settings if entry.is_none else {**settings, "residual": "scaled"}).eval()
    x = torch.randn(1, fitting(entry, settings), 5, 6)
    with torch.no_grad():
        torch.save((module, x, module(x)), file)


def fresh_process(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """A pickled module gives the same output in a new process that imports only torch."""
    judge(reload([(entry, settings)])[0])


def judge(problem: str | None) -> None:
    """Raise the fault that `reload` found, if any.

    Raises:
        CheckFailed: there is a fault.
    """
    if problem is not None:
        raise CheckFailed(
            "a pickled module must give the same output in a new process that imports only torch",
            got=problem,
            remedy="Define the class at the top level of an importable file, and weights as parameters or buffers.",
        )
