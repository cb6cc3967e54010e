"""`modules`: lists the zoo, or shows one module in detail; `modules check` and `gallery` have their own files."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from nas_attn.cli import modules_check, modules_gallery
from nas_attn.cli.modules_gallery import CHANNELS, SIDE
from nas_attn.cli.options import Json, Modules, epilog, use_modules

if TYPE_CHECKING:
    from nas_attn.attention import ModuleEntry, Setting
    from nas_attn.cost import Cost

NAME = "modules"
EXAMPLES = """
nas-attn modules
nas-attn modules acmix
"""
SHOW_EXAMPLES = """
nas-attn modules acmix
nas-attn modules mine --modules mine.py
"""


class _Group(TyperGroup):
    """`modules acmix` means `modules show acmix`, and `--json` may stand before it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        words = args if args[0] in self.commands else ["show", *args]
        return super().resolve_command(ctx, [*words, "--json"] if ctx.params.get("as_json") else words)


app = typer.Typer(
    cls=_Group,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[NAME | check [NAME]... | gallery -o FILE]",
    epilog=epilog(EXAMPLES),
)
for subcommand in (modules_check, modules_gallery):
    app.command(subcommand.NAME, epilog=epilog(subcommand.EXAMPLES))(subcommand.command)


@app.callback()
def listing(ctx: typer.Context, modules: Modules = None, as_json: Json = False) -> None:
    """List the attention modules, or show one of them.

    The list tells the settings, the cost and the limits of each module. `modules NAME` shows one module in detail.
    """
    use_modules(modules)
    if ctx.invoked_subcommand is not None:
        return
    from nas_attn.attention import registry

    entries = registry.entries()
    described = [describe(e) for e in entries]
    if as_json:
        print(json.dumps(described, indent=1))
        return
    from rich import box
    from rich.table import Table

    from nas_attn.cli.tables import stdout

    table = Table(box=box.SIMPLE)
    table.add_column("module", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("settings (first: default)", overflow="fold", max_width=36)
    for column in (f"GMACs at {CHANNELS}x{SIDE}x{SIDE}", "params"):
        table.add_column(column, justify="right", max_width=10)
    table.add_column("deter-\nministic")
    for e, shown in zip(entries, described, strict=True):
        table.add_row(
            e.name,
            e.family,
            "\n".join(f"{s.name} {_options(s)}" for s in e.settings if s.name != "residual"),
            "does not fit" if shown["gmacs"] is None else f"{shown['gmacs']:.4f}",
            "" if shown["params"] is None else f"{shown['params']:,}",
            "yes" if e.deterministic else "no",
        )
    out = stdout()
    out.print(table)
    for e, shown in zip(entries, described, strict=True):
        for text in (*_limits(e), *([f"does not fit there: {shown['refused']}"] if shown["refused"] else [])):
            out.print(f"  {e.name} {text}", markup=False)
    out.print("  Every module but none has the setting residual: none, scaled. Paper and licence: modules NAME")


@app.command("show", hidden=True, epilog=epilog(SHOW_EXAMPLES))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a module.")],
    modules: Modules = None,
    as_json: Json = False,
) -> None:
    """Show one module: settings, cost, paper, licence, limits."""
    use_modules(modules)
    from nas_attn.attention import registry

    entry = registry.get(name)
    shown = describe(entry)
    if as_json:
        print(json.dumps(shown, indent=1))
        return
    from nas_attn.cli.tables import stdout

    cost = f"does not fit: {shown['refused']}"
    if shown["gmacs"] is not None:
        cost = f"{shown['gmacs']:.4f} GMACs, {shown['params']:,} parameters"
    lines = {
        "class": shown["class"],
        "family": entry.family,
        "settings": "\n".join(f"{s.name} {_options(s)}" for s in entry.settings) or "none",
        f"cost at {CHANNELS}x{SIDE}x{SIDE}": f"{cost} (default settings)",
        "deterministic": "yes" if entry.deterministic else "no",
        "cannot": "\n".join(text.removeprefix("cannot ") for text in _limits(entry)) or "nothing is known",
        "forms": ", ".join(entry.forms),
        "paper": entry.paper,
        "licence": entry.licence,
        "published weights": entry.weights or "unknown",
        "what it does": shown["doc"],
    }
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False, title=entry.name, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines.items():
        table.add_row(label, text.replace("[", r"\["))
    stdout().print(table)


def describe(entry: ModuleEntry) -> dict[str, Any]:
    """All facts about a module, JSON-ready; `gmacs` and `params` are those of the default gene on the listed map."""
    import inspect

    refused, cost = _counted(entry)
    return {
        "name": entry.name,
        "class": entry.cls.__name__,
        "family": entry.family,
        "paper": entry.paper,
        "licence": entry.licence,
        "weights": entry.weights,
        "settings": {s.name: {"options": list(s.options), "default": s.default} for s in entry.settings},
        "map": [CHANNELS, SIDE, SIDE],
        "gmacs": cost.gmacs if cost else None,
        "params": cost.params if cost else None,
        "refused": refused,
        "deterministic": entry.deterministic,
        "cannot": dict(entry.cannot),
        "forms": list(entry.forms),
        "doc": (inspect.getdoc(entry.cls) or "").split("\n\n")[0],
    }


def _counted(entry: ModuleEntry) -> tuple[str | None, Cost | None]:
    """The reason why the default gene does not fit the listed map, or its cost there.

    Raises:
        UserError: the module raises an error.
    """
    from nas_attn.cost.counter import gene_cost
    from nas_attn.errors import NasAttnError, UserError
    from nas_attn.space import Gene

    settings = entry.defaults()
    with contextlib.redirect_stdout(sys.stderr):  # a user's module may print; stdout is for the list alone
        try:
            if (refused := entry.refusal(CHANNELS, SIDE, SIDE, settings)) is not None and not entry.is_none:
                return refused, None
            return None, gene_cost(Gene.of(entry.name, settings), CHANNELS, SIDE, SIDE)
        except NasAttnError:
            raise
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            got = f"{type(error).__name__}: {error}"
            remedy = f"`python -m nas_attn modules check {entry.name}` says more."
            raise UserError("a module must not raise", got=got, where=entry.origin, remedy=remedy) from error


def _limits(entry: ModuleEntry) -> list[str]:
    from nas_attn.attention.registry import LIMITS

    return [f"cannot {LIMITS.get(key, key)}: {reason}" for key, reason in entry.cannot.items()]


def _options(setting: Setting) -> str:
    first = [setting.default, *(o for o in setting.options if o != setting.default)]
    return ", ".join("(" + ",".join(map(str, o)) + ")" if isinstance(o, tuple) else str(o) for o in first)
