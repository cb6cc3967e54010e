"""`hook`: makes the `yolo` command of this environment know the modules, without changing any code."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.cli.options import Json

if TYPE_CHECKING:
    from nas_attn.hook import Hook

NAME = "hook"
app = typer.Typer(
    help="Make `yolo detect train model=best.yaml` and YOLO('best.yaml') work in this environment as they are.",
    no_args_is_help=True,
)


@app.command()
def install(
    system: Annotated[
        bool, typer.Option("--system", help="Install even if the interpreter is the system's, not an environment's.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write two small files into this environment's site-packages; nothing is imported until Ultralytics is."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    before = hook.install(outside_environments=system)
    if as_json:
        print(json.dumps({"before": before, **_found(hook)}))
    else:
        print(f"already installed in {hook.folder}" if before == "installed" else f"installed in {hook.folder}")
    if not importable():
        print(
            "note: nas_attn itself is not installed in this environment, so the hook finds it only where PYTHONPATH "
            "leads to it; `pip install` it.",
            file=sys.stderr,
        )


@app.command()
def remove(as_json: Json = False) -> None:
    """Take the hook out of this environment's site-packages, without a trace."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    before = hook.remove()
    if as_json:
        print(json.dumps({"before": before, **_found(hook)}))
    else:
        print(f"not installed in {hook.folder}" if before == "absent" else f"removed from {hook.folder}")


@app.command()
def status(as_json: Json = False) -> None:
    """Say whether the hook is installed here."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    if as_json:
        print(json.dumps(_found(hook)))
    else:
        print(describe())


def _found(hook: Hook) -> dict[str, Any]:
    return {"state": hook.state, "folder": str(hook.folder), "importable": importable()}


def describe() -> str:
    """The hook of this environment in one line."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    remedies = {
        "absent": "; `nas-attn hook install` makes plain `yolo` commands know the modules",
        "incomplete": "; `nas-attn hook install` completes it, `nas-attn hook remove` clears it away",
        "outdated": "; `nas-attn hook install` renews it",
        "installed": "",
    }
    return f"{hook.state} ({hook.folder}){remedies[hook.state]}"


def importable() -> bool:
    """True if an interpreter of this environment finds the package from any folder."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('nas_attn') is None)"
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([sys.executable, "-E", "-c", code], cwd=folder, check=False).returncode == 0
