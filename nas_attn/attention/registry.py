"""The zoo as a table: name -> ModuleEntry.

A file in `attention/zoo/` holds one class with the `@attention(...)` decorator. The search, the cost count, the lists
and the tests then find the class; it needs no other entry. Modules of users come from files and installed packages, see
`user.py`. The table is filled on first use, so importing this file does not import torch.
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
    """Class decorator that registers an attention module under `name`.

    The class may have these classmethods. Each also receives the searchable settings as keywords:
    `unsupported(channels)` -> reason or None,
    `attention_logits(channels, height, width)` -> number of logits per image,
    `from_settings(channels)` -> dict of further constructor arguments,
    `effective(height, width)` -> hashable key, equal for settings that compute the same function,
    `extra_macs(channels, height, width)` -> multiply-accumulates per image that fvcore cannot count.

    Classes of the zoo are also completed: their constructor raises `SlotRefused` with the reason from `unsupported`,
    if it does not call this hook itself, and a docstring without a `Shape:` section gets one. If the constructor has
    two channel arguments, `unsupported` gets the last one, the output channels.

    Args:
        name: the name in the grammar: lower case letters, digits and underscores.
        family: the group under which the module is listed.
        paper: title and arXiv number.
        licence: the origin of the code, and the licence of the published code.
        cannot: abilities that the module lacks: key of `LIMITS` -> reason.
        costs: cost of ops that have no rule in `nas_attn.cost`, e.g. `{"aten::lgamma": 0}`. Key: the traced op, as the
            error about it names it. Value: multiply-accumulates per output element, a whole number, 0 for elementwise
            ops. The cost holds inside this module only. If a cost does not grow with the output of an op, declare it
            in `extra_macs` instead.
        weights: tells if published weights load, and from which code.

    Returns:
        The decorator. It returns the class itself.

    Raises:
        UserError: the class, a setting or a hook breaks a rule, or the name is taken.
    """

    def register(cls: type) -> type:
        from nas_attn.attention import decorated, validation

        where = caller(1)
        if not getattr(cls, "__module__", "").startswith(ZOO):
            load_zoo()  # so that the names of the zoo are taken first
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

    Args:
        name: the name in the grammar, e.g. `acmix`.
        where: the place that an error names.

    Raises:
        UnknownName: there is no such module; the message suggests the nearest name.
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
        UnknownName: there is no such class; the message suggests the nearest name.
    """
    for entry in _table().values():
        if entry.cls.__name__ == class_name:
            return entry
    raise UnknownName("attention class", class_name, (e.cls.__name__ for e in _table().values()))


def _table() -> dict[str, ModuleEntry]:
    from nas_attn.attention import user

    return user.filled()
