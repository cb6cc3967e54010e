"""The zoo as a table: name -> ModuleEntry.

A file in `attention/zoo/` holds one class with the `@attention(...)` decorator; existing there is all it takes to be
searched, costed, listed and tested. Modules of a user's own come from files and installed packages, see `user.py`. The
table is filled on first use, so that importing this file costs no torch.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar

from nas_attn.attention.choice import caller
from nas_attn.attention.entry import CHANNEL_ARGUMENTS, LIMITS, MAX_LOGITS, RESIDUAL, ModuleEntry
from nas_attn.errors import UnknownName, UserError

__all__ = [
    "CHANNEL_ARGUMENTS",
    "LIMITS",
    "MAX_LOGITS",
    "RESIDUAL",
    "ModuleEntry",
    "add",
    "adding",
    "attention",
    "by_class_name",
    "entries",
    "get",
    "listen",
    "names",
    "present",
]

ZOO = "nas_attn.attention.zoo"

Taken = Callable[[ModuleEntry], str]  # what becomes of a newcomer whose name has this holder: refuse, keep or replace
_ADDING: ContextVar[tuple[Taken, list[ModuleEntry]] | None] = ContextVar("_ADDING", default=None)
_TABLE: dict[str, ModuleEntry] = {}
_FILLED: set[str] = set()  # stages of filling it that were begun: "zoo", "own"
_LISTENERS: list[Callable[[], None]] = []


def attention(
    name: str,
    *,
    family: str = "own",
    paper: str = "",
    licence: str = "",
    cannot: Mapping[str, str] | None = None,
    costs: Mapping[str, int] | None = None,
    weights: str = "",
) -> Callable[[type], type]:
    """Class decorator that puts a module into the zoo under `name`.

    Optional classmethods of the class, all in terms of its searchable settings as keywords:
    `unsupported(channels)` -> reason or None, `attention_logits(channels, height, width)` -> count per image,
    `from_settings(channels)` -> further constructor arguments, `effective(height, width)` -> hashable form,
    `extra_macs(channels, height, width)` -> multiply-accumulates that fvcore cannot see.

    Args:
        name: its name in the grammar: lower case letters, digits and underscores.
        family: the group under which it is listed.
        paper: title and arXiv number.
        licence: whose code it is, and the licence of the published code.
        cannot: what it cannot do, a key of `LIMITS` -> the reason.
        costs: what ops cost that have no rule in `nas_attn.cost`, e.g. `{"aten::lgamma": 0}`: traced op, as the error
            about it names it -> multiply-accumulates an output element, a whole number, 0 for elementwise ops. It
            holds inside this module only. What does not grow with an op's output belongs in `extra_macs`.
        weights: whether published weights load, and whose.
    """

    def register(cls: type) -> type:
        from nas_attn.attention import validation

        where = caller(1)
        if not getattr(cls, "__module__", "").startswith(ZOO):
            _load_zoo()  # its names stand first, whoever asks first
        settings = validation.read_settings(cls, where)
        if name != "none":
            settings += (RESIDUAL,)
        entry = ModuleEntry(
            name, cls, family, paper, settings, licence, dict(cannot or {}), {} if costs is None else costs, weights
        )
        validation.check(entry, where)
        add(entry, where)
        return cls

    return register


@contextlib.contextmanager
def adding(taken: Taken) -> Iterator[list[ModuleEntry]]:
    """Modules are being added: all of them or, where an exception passes, none; whoever listens hears of it afterwards.

    Args:
        taken: what becomes of a newcomer whose module or class name an entry has: `refuse`, `keep` (the entry stays,
            the newcomer is in no list) or `replace`.

    Yields:
        The newcomers, kept out or not, as they come.
    """
    before = dict(_TABLE)
    newcomers: list[ModuleEntry] = []
    token = _ADDING.set((taken, newcomers))
    try:
        yield newcomers
    except BaseException:
        _TABLE.clear()
        _TABLE.update(before)
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
    for held in [e for e in _TABLE.values() if e.name == entry.name or e.cls.__name__ == entry.cls.__name__]:
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
        del _TABLE[held.name]
    _TABLE[entry.name] = entry
    if _ADDING.get() is None and "own" in _FILLED:
        _tell()


def listen(listener: Callable[[], None]) -> None:
    """Call `listener` whenever modules were added to the filled table."""
    if listener not in _LISTENERS:
        _LISTENERS.append(listener)


def names() -> list[str]:
    """Names of all modules in the zoo, `none` first."""
    return sorted(_table(), key=lambda n: (n != "none", n))


def entries() -> list[ModuleEntry]:
    """All modules of the zoo, in the order of `names()`."""
    return [_table()[n] for n in names()]


def present() -> list[ModuleEntry]:
    """What the table holds so far: nothing is loaded."""
    return list(_TABLE.values())


def get(name: str, *, where: str = "") -> ModuleEntry:
    """The zoo's entry of that name.

    Raises:
        UnknownName: there is none; the message names the nearest.
        UserError: it is that of an installed package which could not be loaded.
    """
    if name not in _table():
        from nas_attn.attention import user

        if name in user.BROKEN:
            raise user.BROKEN[name]
        raise UnknownName("attention module", name, _table(), where=where)
    return _table()[name]


def by_class_name(class_name: str) -> ModuleEntry:
    """The entry whose class has this name, e.g. `ACmix`."""
    for entry in _table().values():
        if entry.cls.__name__ == class_name:
            return entry
    raise UnknownName("attention class", class_name, (e.cls.__name__ for e in _table().values()))


def _refuse(held: ModuleEntry) -> str:
    return "refuse"


def _tell() -> None:
    for listener in _LISTENERS:
        listener()


def _load_zoo() -> None:
    if "zoo" not in _FILLED:
        _FILLED.add("zoo")
        for info in pkgutil.iter_modules(importlib.import_module(ZOO).__path__):
            if not info.name.startswith("_"):  # shared code of a family
                importlib.import_module(f"{ZOO}.{info.name}")


def _table() -> dict[str, ModuleEntry]:
    _load_zoo()
    if "own" not in _FILLED:
        _FILLED.add("own")  # before, for what is loaded may look into the table
        try:
            from nas_attn.attention import user

            user.load_installed()
        except BaseException:
            _FILLED.discard("own")
            raise
    return _TABLE
