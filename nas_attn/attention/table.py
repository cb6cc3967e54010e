"""The table behind the registry: entries by name, and functions that add entries.

The files of the zoo and of users add entries here, so this file must not import them at its start.
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

Taken = Callable[[ModuleEntry], str]  # entry that already has the name -> "refuse", "keep" or "replace"
_ADDING: ContextVar[tuple[Taken, list[ModuleEntry]] | None] = ContextVar("_ADDING", default=None)
TABLE: dict[str, ModuleEntry] = {}
BEGUN: set[str] = set()  # stages of filling the table that have begun: "zoo", "own"
_LISTENERS: list[Callable[[], None]] = []


@contextlib.contextmanager
def adding(taken: Taken) -> Iterator[list[ModuleEntry]]:
    """A context that adds all modules registered inside it, or none if an exception is raised; then calls listeners.

    Args:
        taken: called with the present entry if a new one has its module name or class name. It returns `refuse` (an
            error), `keep` (the present entry stays and the new one is not added) or `replace`.

    Yields:
        The list of new entries, including those that were not added. It grows with each registration.
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
    tell()


def add(entry: ModuleEntry, where: str = "") -> None:
    """Put a checked entry into the table. Inside `adding`, its `taken` decides about names that are in use.

    Args:
        entry: the entry, already checked.
        where: the place that an error names.

    Raises:
        UserError: the module name or the class name is taken.
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
                remedy=f"{held.cls.__name__} of {held.origin} has this name; choose another one.",
            )
        del TABLE[held.name]
    TABLE[entry.name] = entry
    if _ADDING.get() is None and "own" in BEGUN:
        tell()


def listen(listener: Callable[[], None]) -> None:
    """Call `listener` each time modules have been added to the filled table."""
    if listener not in _LISTENERS:
        _LISTENERS.append(listener)


def present() -> list[ModuleEntry]:
    """The entries that are in the table now; this function loads nothing."""
    return list(TABLE.values())


def load_zoo() -> None:
    """Import the files of the zoo once; each file adds its module."""
    if "zoo" not in BEGUN:
        BEGUN.add("zoo")
        for info in pkgutil.iter_modules(importlib.import_module(ZOO).__path__):
            if not info.name.startswith("_"):  # such a file holds code that several modules share
                importlib.import_module(f"{ZOO}.{info.name}")


def _refuse(held: ModuleEntry) -> str:
    return "refuse"


def tell() -> None:
    """Call all listeners, because the table or the layers of users have changed."""
    for listener in _LISTENERS:
        listener()
