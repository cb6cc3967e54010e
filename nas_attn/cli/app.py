"""The app with all commands. Its exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from nas_attn._version import __version__
from nas_attn.atomic_files import NAME_RULE
from nas_attn.cli import (
    ablate,
    adopt,
    cost,
    dashboard,
    doctor,
    export,
    hook,
    modules,
    report,
    search,
    slots,
    studies,
    train,
)
from nas_attn.cli.options import epilog
from nas_attn.environment import one_command
from nas_attn.errors import ConfigError, ExportChanged, NasAttnError, UserError, room_wanted
from nas_attn.lines import say
from nas_attn.stopping import INTERRUPTED, say_stopped, stopping

# ClickException, the root of typer's usage errors: typer brings its own click under a private name
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]

EXAMPLES = """
nas-attn slots --model yolo11n.yaml
nas-attn search mine --data D.yaml --trials 100
"""

app = typer.Typer(
    name="nas_attn",
    help="Find the attention module for each neck slot of a YOLO detector, on your data, and count its cost.",
    epilog=epilog(EXAMPLES),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (search, studies, ablate, dashboard, report, export, train, adopt, slots, cost, doctor):
    app.command(command.NAME, epilog=epilog(command.EXAMPLES))(command.command)
app.add_typer(modules.app, name=modules.NAME)
app.add_typer(hook.app, name=hook.NAME)


def _version(asked: bool) -> None:
    if asked:
        print(f"nas-attn {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read the options before the command."""


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    """A context that adds the values before an edit to errors about an edited export."""
    try:
        yield
    except (ConfigError, ExportChanged) as error:
        problems = error.problems if isinstance(error, ConfigError) else (error,)
        if not any(isinstance(problem, ExportChanged) for problem in problems):
            raise
        from nas_attn.detector.neck.export_diff import explained

        raise explained(error) from None


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    os.environ["YOLO_AUTOINSTALL"] = "0"  # Ultralytics must not run pip install, here or in started processes
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings of libraries are for their developers; -W shows them
    try:
        with one_command(), stopping() as came, room_wanted(), _explaining():
            result = app(arguments, standalone_mode=False, prog_name="nas-attn")
    except NasAttnError as error:
        say(f"error: {error}", sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        say(f"error: {UserError(NAME_RULE, got=f'{error.filename!r} ({error.strerror})')}", sys.stderr)
        return UserError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except SystemExit as error:  # no command of this package raises it itself
        if isinstance(error.__context__, BrokenPipeError):  # the reader of stdout has enough, as `| head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        print(f"error: a module or a library ended the command (SystemExit: {error.code})", file=sys.stderr)
        return 1
    except USAGE_ERROR as error:
        error.show(sys.stderr)
        return int(error.exit_code)
    if result == INTERRUPTED:  # typer turns the interrupt itself into this result
        say_stopped(came[0] if came else "")
    return result if isinstance(result, int) else 0
