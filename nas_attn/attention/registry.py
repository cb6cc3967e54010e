"""The zoo as a table: name -> ModuleEntry.

A file in `attention/zoo/` holds one class with the `@attention(...)` decorator; nothing else is needed for it to be
searched, costed, listed and tested. Modules of users come from files and installed packages, see `user.py`. The table
is filled on first use, so that importing this file does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas_attn.attention.choice import caller
from nas_attn.attention.entry import CHANNEL_ARGUMENTS, LIMITS, MAX_LOGITS, RESIDUAL, ModuleEntry
from nas_attn.attention.table import ZOO, add, load_zoo
from nas_attn.errors import UnknownName

__all__ = [
    "CHANNEL_ARGUMENTS",
    "LIMITS",
    "MAX_LOGITS",
    "RESIDUAL",
    "ZOO",
    "ModuleEntry",
    "attention",
    "by_class_name",
    "entries",
    "get",
    "names",
]


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

    A constructor that does not ask `unsupported` itself is made to: it raises `SlotRefused` with the reason. Of two
    channel arguments the hook gets the last, the output's. A docstring without a section `Shape:` gets one.

    Args:
        name: its name in the grammar: lower case letters, digits and underscores.
        family: the group under which it is listed.
        paper: title and arXiv number.
        licence: the origin of the code, and the licence of the published code.
        cannot: abilities that it lacks: key of `LIMITS` -> reason.
        costs: cost of ops that have no rule in `nas_attn.cost`, e.g. `{"aten::lgamma": 0}`: traced op, as the error
            about it names it -> multiply-accumulates an output element, a whole number, 0 for elementwise ops. It
            holds inside this module only. A cost that does not grow with an op's output belongs in `extra_macs`.
        weights: says if published weights load, and from which code.

    Raises:
        UserError: the class, its settings or one of its hooks breaks a rule, or its name is taken.
    """

    def register(cls: type) -> type:
        from nas_attn.attention import decorated, validation

        where = caller(1)
        if not getattr(cls, "__module__", "").startswith(ZOO):
            load_zoo()  # its names stand first, whoever asks first
        settings = validation.read_settings(cls, where)
        if name != "none":
            settings += (RESIDUAL,)
        entry = ModuleEntry(
            name, cls, family, paper, settings, licence, dict(cannot or {}), {} if costs is None else costs, weights
        )
        validation.check(entry, where)
        if cls.__module__.startswith(ZOO):
            decorated.refuse_unsupported(cls, {s.name for s in settings})
            decorated.complete_docstrings(cls)
        add(entry, where)
        return cls

    return register


def names() -> list[str]:
    """Names of all modules of the registry, `none` first."""
    return sorted(_table(), key=lambda n: (n != "none", n))


def entries() -> list[ModuleEntry]:
    """All modules of the registry, in the order of `names()`."""
    return [_table()[n] for n in names()]


def get(name: str, *, where: str = "") -> ModuleEntry:
    """The entry of that name.

    Raises:
        UnknownName: there is none; the message names the nearest.
        UserError: the module belongs to an installed package that could not be loaded.
    """
    if name not in _table():
        from nas_attn.attention import user

        if name in user.BROKEN:
            raise user.BROKEN[name]
        raise UnknownName("attention module", name, _table(), where=where)
    return _table()[name]


def by_class_name(class_name: str) -> ModuleEntry:
    """The entry whose class has this name, e.g. `ACmix`.

    Raises:
        UnknownName: there is none; the message names the nearest.
    """
    for entry in _table().values():
        if entry.cls.__name__ == class_name:
            return entry
    raise UnknownName("attention class", class_name, (e.cls.__name__ for e in _table().values()))


def _table() -> dict[str, ModuleEntry]:
    from nas_attn.attention import user

    return user.filled()
