"""`modules`: what the zoo holds."""

from __future__ import annotations

import json

from nas_attn.cli.options import Json

NAME = "modules"


def command(as_json: Json = False) -> None:
    """List the attention modules with their searchable settings and papers."""
    from nas_attn.attention import registry

    entries = registry.entries()
    if as_json:
        print(
            json.dumps(
                {
                    "modules": [
                        {
                            "name": e.name,
                            "class": e.cls.__name__,
                            "family": e.family,
                            "paper": e.paper,
                            "settings": {s.name: list(s.options) for s in e.settings},
                        }
                        for e in entries
                    ]
                },
                indent=1,
            )
        )
        return
    from rich import box
    from rich.table import Table

    from nas_attn.cli.tables import stdout

    table = Table(box=box.SIMPLE)
    for column in ("module", "family", "settings (first: default)", "paper"):
        table.add_column(column, overflow="fold", no_wrap=column in ("module", "family"))
    for e in entries:
        settings = (f"{s.name} {', '.join(_text(o) for o in _default_first(s))}" for s in e.settings)
        table.add_row(e.name, e.family, "\n".join(settings), e.paper)
    stdout().print(table)


def _default_first(setting) -> list:
    return [setting.default, *(o for o in setting.options if o != setting.default)]


def _text(option) -> str:
    return "(" + ",".join(map(str, option)) + ")" if isinstance(option, tuple) else str(option)
