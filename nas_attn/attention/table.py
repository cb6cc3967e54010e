"""The table that the registry reads: entries by name, and the ways to add one.

It imports neither the zoo's files nor a user's, because both write into it.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from nas_attn.attention.entry import ModuleEntry
from nas_attn.errors import UserError

ZOO = "nas_attn.attention.zoo"

Taken = Callable[[ModuleEntry], str]  # holder of a name -> fate of a newcomer of that name: refuse, keep or replace
_ADDING: ContextVar[tuple[Taken, list[ModuleEntry]] | None] = ContextVar("_ADDING", default=None)
TABLE: dict[str, ModuleEntry] = {}
BEGUN: set[str] = set()  # stages of filling the table that were begun: "zoo", "own"
_LISTENERS: list[Callable[[], None]] = []


@contextlib.contextmanager
def adding(taken: Taken) -> Iterator[list[ModuleEntry]]:
    """A context that adds all of its modules or, if an exception is raised, none; listeners are called afterwards.

    Args:
        taken: decides about a newcomer whose module name or class name an entry has: `refuse`, `keep` (the entry stays
            and the newcomer is not added) or `replace`.

    Yields:
        The list of newcomers, also of those not added; it grows as they come.
    """
    before = dict(TABLE)
    newcomers: list[ModuleEntry] = []
    token = _ADDING.set((taken, newcomers))
    try:
        yield newcomers
    except BaseException:
        TABLE.clear()
        TABLE.update(before)
        raise
    finally:
        _ADDING.reset(token)
    _tell()


def add(entry: ModuleEntry, where: str = "") -> None:
    """Put a checked entry into the table; within `adding`, by its rule.

    Raises:
        UserError: its module name or class name is taken.
    """
    taken, newcomers = _ADDING.get() or (_refuse, [])
    newcomers.append(entry)
    for held in [e for e in TABLE.values() if e.name == entry.name or e.cls.__name__ == entry.cls.__name__]:
        answer = taken(held)
        if answer == "keep":
            return
        if answer == "refuse":
            same = held.name == entry.name
            raise UserError(
                f"{'module' if same else 'class'} names must be unique",
                got=f"'{entry.name if same else entry.cls.__name__}' twice",
                where=where,
                remedy=f"It is taken by {held.cls.__name__} of {held.origin}; give yours another.",
            )
        del TABLE[held.name]
    TABLE[entry.name] = entry
    if _ADDING.get() is None and "own" in BEGUN:
        _tell()


def listen(listener: Callable[[], None]) -> None:
    """Call `listener` whenever modules were added to the filled table."""
    if listener not in _LISTENERS:
        _LISTENERS.append(listener)


def present() -> list[ModuleEntry]:
    """The entries that the table holds so far; loads nothing."""
    return list(TABLE.values())


def load_zoo() -> None:
    """Import the zoo's files, once; each adds its module."""
    if "zoo" not in BEGUN:
        BEGUN.add("zoo")
        for info in pkgutil.iter_modules(importlib.import_module(ZOO).__path__):
            if not info.name.startswith("_"):  # shared code of a family
                importlib.import_module(f"{ZOO}.{info.name}")


def _refuse(held: ModuleEntry) -> str:
    return "refuse"


def _tell() -> None:
    for listener in _LISTENERS:
        listener()
