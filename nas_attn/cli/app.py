"""All commands, and the exit codes of their errors: 0 done, 1 failed, 2 wrong input, 130 interrupted."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import typer

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
    train,
)
from nas_attn.environment import one_command
from nas_attn.errors import ConfigError, ExportChanged, NasAttnError, UserError, room_wanted
from nas_attn.stopping import INTERRUPTED, say_stopped, stopping

# ClickException, the root of typer's usage errors: typer brings its own click under a private name
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="nas_attn",
    help="Which attention module belongs at which neck slot of a YOLO detector, on your data, and what it costs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (search, ablate, dashboard, report, export, train, adopt, slots, cost, doctor):
    app.command(command.NAME)(command.command)
app.add_typer(modules.app, name=modules.NAME)
app.add_typer(hook.app, name=hook.NAME)


@contextlib.contextmanager
def _explaining() -> Iterator[None]:
    """A context whose errors about an edited export say the former values too."""
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
    os.environ["YOLO_AUTOINSTALL"] = "0"  # here and in every process started: nothing may run pip install by itself
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' advice to their own developers; -W shows it
    try:
        with one_command(), stopping() as came, room_wanted(), _explaining():
            result = app(arguments, standalone_mode=False, prog_name="nas-attn")
    except NasAttnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"error: {UserError(NAME_RULE, got=f'{error.filename!r} ({error.strerror})')}", file=sys.stderr)
        return UserError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except SystemExit as error:  # no command of this package raises it
        print(f"error: a module or a library ended the command (SystemExit: {error.code})", file=sys.stderr)
        return 1
    except USAGE_ERROR as error:
        error.show(sys.stderr)
        return int(error.exit_code)
    if result == INTERRUPTED:  # typer turns the interrupt itself into this result
        say_stopped(came[0] if came else "")
    return result if isinstance(result, int) else 0
