"""`hook`: makes the `yolo` command of this environment know the modules; no code is changed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.cli.options import Json, epilog

if TYPE_CHECKING:
    from nas_attn.hook import Hook

NAME = "hook"
EXAMPLES = {
    "": "nas-attn hook install\nnas-attn hook status",
    "install": "nas-attn hook install",
    "remove": "nas-attn hook remove",
    "status": "nas-attn hook status --json",
}
app = typer.Typer(
    help="Make the `yolo` command and YOLO('best.yaml') know the modules.\n\n"
    "Then `yolo detect train model=best.yaml` works in this environment, and no code has to change.",
    epilog=epilog(EXAMPLES[""]),
    no_args_is_help=True,
)


@app.command(epilog=epilog(EXAMPLES["install"]))
def install(
    system: Annotated[
        bool, typer.Option("--system", help="Install into the system's Python if there is no virtual environment.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Install the hook into this environment.

    The hook is two small files in site-packages. They import nothing until Ultralytics is imported.
    """
    from nas_attn.hook import Hook

    hook = Hook.here()
    before = hook.install(outside_environments=system)
    if as_json:
        print(json.dumps({"before": before, **_found(hook)}))
    else:
        print(f"already installed in {hook.folder}" if before == "installed" else f"installed in {hook.folder}")
    if not importable():
        print(
            "note: nas_attn itself is not installed in this environment, so the hook finds it only if PYTHONPATH leads "
            "to it; install it with `pip install`.",
            file=sys.stderr,
        )


@app.command(epilog=epilog(EXAMPLES["remove"]))
def remove(as_json: Json = False) -> None:
    """Remove the hook from this environment, completely."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    before = hook.remove()
    if as_json:
        print(json.dumps({"before": before, **_found(hook)}))
    else:
        print(f"not installed in {hook.folder}" if before == "absent" else f"removed from {hook.folder}")


@app.command(epilog=epilog(EXAMPLES["status"]))
def status(as_json: Json = False) -> None:
    """Print the state of the hook in this environment."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    if as_json:
        print(json.dumps(_found(hook)))
    else:
        print(describe())


def _found(hook: Hook) -> dict[str, Any]:
    return {"state": hook.state, "folder": str(hook.folder), "importable": importable()}


def describe() -> str:
    """The state of this environment's hook in one line."""
    from nas_attn.hook import Hook

    hook = Hook.here()
    remedies = {
        "absent": "; `nas-attn hook install` makes the `yolo` command know the modules",
        "incomplete": "; `nas-attn hook install` completes it, `nas-attn hook remove` removes it",
        "outdated": "; `nas-attn hook install` updates it",
        "installed": "",
    }
    return f"{hook.state} ({hook.folder}){remedies[hook.state]}"


def importable() -> bool:
    """True if Python in this environment finds the package from any folder."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('nas_attn') is None)"
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([sys.executable, "-E", "-c", code], cwd=folder, check=False).returncode == 0
