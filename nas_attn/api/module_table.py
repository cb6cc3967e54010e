"""`modules`: the list of the attention modules, and all facts about one module."""

from __future__ import annotations

import contextlib
import inspect
import sys
from typing import Any

from nas_attn.analysis.tables import Table
from nas_attn.api.listing import Listing
from nas_attn.attention import ModuleEntry, Setting, registry
from nas_attn.cost.cost import Cost

CHANNELS, SIDE = 64, 80  # the map of all listed costs: P3 of yolo11n at 640 px
COLUMNS = ("module", "family", "settings", f"GMACs at {CHANNELS}x{SIDE}x{SIDE}", "params", "deterministic")


def modules() -> Listing[ModuleEntry]:
    """All attention modules: those of the zoo, of installed packages, and of the user.

    The table shows the settings (the default option first) and the cost of the default settings on a (64, 80, 80) map:
    GMACs (1e9 multiply-accumulates) and number of parameters.

    Raises:
        UserError: a module raises an error while its cost is counted.
    """
    entries = registry.entries()
    records = [describe(e) for e in entries]
    rows = tuple(
        (
            e.name,
            e.family,
            "\n".join(f"{s.name} {options(s)}" for s in e.settings if s.name != "residual"),
            "does not fit" if r["gmacs"] is None else f"{r['gmacs']:.4f}",
            "" if r["params"] is None else f"{r['params']:,}",
            "yes" if e.deterministic else "no",
        )
        for e, r in zip(entries, records, strict=True)
    )
    lines = [
        f"{e.name} {text}"
        for e, r in zip(entries, records, strict=True)
        for text in (*limits(e), *([f"does not fit this map: {r['refused']}"] if r["refused"] else []))
    ]
    lines.append(
        "Every module except none has the setting residual: none, scaled. `modules NAME` shows paper and licence."
    )
    narrow = {name: name for name in COLUMNS} | {"deterministic": "deter-\nministic"}
    return Listing(
        entries,
        records,
        Table(COLUMNS, rows, (None,) * len(rows)),
        narrow=narrow,
        optional=("deterministic",),
        note="\n".join(lines),
    )


def describe(entry: ModuleEntry) -> dict[str, Any]:
    """All facts about a module as a JSON-ready dictionary; `gmacs` and `params` are for its default settings on `map`.

    Raises:
        UserError: the module raises an error.
    """
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


def limits(entry: ModuleEntry) -> list[str]:
    """A text for each ability that a module lacks, with the reason."""
    return [f"cannot {registry.LIMITS.get(key, key)}: {reason}" for key, reason in entry.cannot.items()]


def options(setting: Setting) -> str:
    """The options of a setting as text, the default first."""
    first = [setting.default, *(o for o in setting.options if o != setting.default)]
    return ", ".join("(" + ",".join(map(str, o)) + ")" if isinstance(o, tuple) else str(o) for o in first)


def _counted(entry: ModuleEntry) -> tuple[str | None, Cost | None]:
    """(the reason why the default gene does not fit the listed map, its cost there); one of them is None.

    Raises:
        UserError: the module raises an error.
    """
    from nas_attn.cost.counter import gene_cost
    from nas_attn.errors import NasAttnError, UserError
    from nas_attn.space import Gene

    settings = entry.defaults()
    with contextlib.redirect_stdout(sys.stderr):  # a user's module may print, but stdout is for results
        try:
            if (refused := entry.refusal(CHANNELS, SIDE, SIDE, settings)) is not None and not entry.is_none:
                return refused, None
            return None, gene_cost(Gene.of(entry.name, settings), CHANNELS, SIDE, SIDE)
        except NasAttnError:
            raise
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            got = f"{type(error).__name__}: {error}"
            remedy = f"Correct it. `python -m nas_attn modules check {entry.name}` shows more."
            raise UserError("a module must not raise an error", got=got, where=entry.origin, remedy=remedy) from error
