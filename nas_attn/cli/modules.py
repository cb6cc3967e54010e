"""`modules`: lists the zoo, or shows one module in detail; `modules check` and `gallery` have their own files."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nas_attn.cli import modules_check, modules_gallery
from nas_attn.cli.options import Json, Modules, epilog, use_modules

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
    """`modules acmix` means `modules show acmix`, and `--json` may come before it."""

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

    The list shows the settings, the cost and the limits of each module. `modules NAME` shows one module in detail.
    """
    use_modules(modules)
    if ctx.invoked_subcommand is not None:
        return
    from nas_attn.api import modules as all_modules
    from nas_attn.cli.tables import stdout

    found = all_modules()
    if as_json:
        print(json.dumps(found.records, indent=1))
        return
    out = stdout()
    out.print(found)
    for line in found.note.splitlines():
        out.print(f"  {line}", markup=False)


@app.command("show", hidden=True, epilog=epilog(SHOW_EXAMPLES))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a module.")],
    modules: Modules = None,
    as_json: Json = False,
) -> None:
    """Show one module: settings, cost, paper, licence, limits."""
    use_modules(modules)
    from nas_attn.api.module_table import CHANNELS, SIDE, describe, limits, options
    from nas_attn.attention import registry
    from nas_attn.space.architecture import module_name

    entry = registry.get(module_name(name))
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
        "settings": "\n".join(f"{s.name} {options(s)}" for s in entry.settings) or "none",
        f"cost at {CHANNELS}x{SIDE}x{SIDE}": f"{cost} (default settings)",
        "deterministic": "yes" if entry.deterministic else "no",
        "cannot": "\n".join(text.removeprefix("cannot ") for text in limits(entry)) or "nothing is known",
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
