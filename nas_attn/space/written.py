"""Checks slots, modules, genes and sizes that a user gave, and converts them to the form that the space needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.space.architecture import Gene, module_name
from nas_attn.space.slot import Slot

_BUILD = 'Write for example: SearchSpace.build("yolo11n", all_slots(load_base("yolo11n")), ["acmix"], imgsz=320).'


def base_name(base: Any) -> str:
    """The name of a base model, checked."""
    if not isinstance(base, str) or not base.strip():
        raise UserError("a space's base must be the name of a model", got=repr(base), remedy=_BUILD)
    return base


def pixels(name: str, size: Any, where: str = "") -> int:
    """An image size in pixels, checked; `name` is the name of the argument."""
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
        raise UserError(f"`{name}` must be a number of pixels", got=repr(size), where=where, remedy="E.g. 640.")
    return int(size)


def slot_list(slots: Any, where: str) -> list[Slot]:
    """The slots as a list; a single slot may be given without a list."""
    given = [slots] if isinstance(slots, Slot) else slots
    if isinstance(given, str) or not isinstance(given, Iterable) or not all(isinstance(s, Slot) for s in given):
        rule, remedy = "slots must be `Slot` values", 'Take them from `all_slots(load_base("yolo11n"))`.'
        raise UserError(rule, got=repr(slots), where=where, remedy=remedy)
    return list(given)


def by_slot(found: Iterable[Any], kind: type) -> tuple[Any, ...]:
    """The choices at each slot, checked: at least one slot, and each slot once; `kind` is the class of a choice."""
    given = [found] if isinstance(found, kind) else found
    if not isinstance(given, Iterable) or isinstance(given, str):
        given = ()
    spaces = tuple(given)
    if not spaces or not all(isinstance(s, kind) for s in spaces):
        rule = "a space must have at least one slot, and genes for each slot"
        raise UserError(rule, got=repr(spaces or found), remedy=_BUILD)
    names = [s.slot.name for s in spaces]
    if len(set(names)) != len(names):
        raise UserError("a space must have each slot once", got=", ".join(names), remedy="Remove the repeated slots.")
    return spaces


def module_options(modules: Any, where: str) -> Mapping[str, Any]:
    """Module -> its options, or None for all options; a list of names becomes such a mapping too."""
    given = [modules] if isinstance(modules, str) else modules
    names = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
    found = dict.fromkeys(given) if names else given
    if not isinstance(found, Mapping) or not found:
        rule, remedy = "modules must be names, or map names to their settings", "E.g. {'acmix': {'head': [2, 4]}}."
        raise UserError(rule, got=repr(modules), where=where, remedy=remedy)
    return found


def combinations(
    modules: Mapping[str, Mapping[str, Sequence[Any]] | None], where: str
) -> list[tuple[Any, dict[str, Any]]]:
    """(entry, settings) of every gene that `modules` allows.

    Raises:
        ConfigError: modules, settings or options are unknown; the error lists all problems.
    """
    from nas_attn.attention import registry

    problems: list[UserError] = []
    found = []
    for name, wanted in modules.items():
        try:
            entry = registry.get(module_name(str(name)), where=where)
        except UserError as error:
            problems.append(error)
            continue
        allowed = {s.name: s.options for s in entry.settings}
        if not isinstance(wanted, Mapping | None):
            problems.append(UserError(f"`{name}` must map settings to lists of options", got=wanted, where=where))
            continue
        for setting, options in (wanted or {}).items():
            try:
                allowed[setting] = _options(entry, setting, options, where)
            except UserError as error:
                problems += error.problems if isinstance(error, ConfigError) else [error]
        if not entry.is_none and not problems:
            found += [(entry, c) for c in entry.combinations() if all(c[k] in v for k, v in allowed.items())]
    if problems:
        raise ConfigError(problems, where=where)
    return found


def _options(entry: Any, setting: str, options: Any, where: str) -> tuple[Any, ...]:
    """The options that a configuration gives for one setting, checked against the options of the zoo."""
    if setting not in entry.defaults():
        raise UnknownName(f"setting of {entry.name}", setting, entry.defaults(), where=where)
    if not isinstance(options, list | tuple) or not options:
        raise UserError(f"`{entry.name}.{setting}` must be a list of options", got=options, where=where)
    values = tuple(tuple(o) if isinstance(o, list) else o for o in options)
    problems = []
    for value in values:
        try:
            entry.complete({setting: value}, where=where)
        except UserError as error:
            problems.append(error)
    if problems:
        raise ConfigError(problems, where=where)
    return values


def genes_at(slot: Slot, genes: Any) -> tuple[Gene, ...]:
    """The genes that a search may choose at a slot, checked: `none` first, and each gene once."""
    listed = isinstance(genes, Iterable) and not isinstance(genes, str)
    found = tuple(Gene.parse(g) for g in genes) if listed else ()
    if not found or found[0] != Gene("none") or len(set(found)) != len(found):
        rule, remedy = "the genes at a slot must be distinct, `none` first", "E.g. ['none', 'acmix(head=4)']."
        raise UserError(rule, got=repr([str(g) for g in found] or genes), where=f"slot {slot.name}", remedy=remedy)
    return found


def gene_mapping(name: str, found: Any) -> dict[Gene, Any]:
    """The mapping with genes as keys, checked; `name` is the name of the argument."""
    if not isinstance(found, Mapping):
        raise UserError(f"`{name}` must be a mapping from genes", got=repr(found), remedy="If it is empty, omit it.")
    return {Gene.parse(g): v for g, v in found.items()}


def with_defaults(gene: Gene) -> Gene:
    """The gene with the defaults of all settings that it leaves out; unchanged if the zoo does not know it."""
    from nas_attn.attention import registry

    try:
        return Gene.of(gene.module, registry.get(gene.module).complete(gene.as_dict()))
    except (UserError, ImportError):  # a reader of records may have neither the module nor torch
        return gene
