"""The reader of an attention row's arguments as settings; missing settings get values that fit the map.

Communities write the arguments that their own branch of the parser expects: none, channels before or after scaling by
width, settings alone, or both. The settings are checked by building the module.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas_attn.adoption.argument_types import check_types, literal
from nas_attn.adoption.community_code import Usage, community_usage, without_map_size
from nas_attn.attention.entry import CHANNEL_ARGUMENTS, RESIDUAL, ModuleEntry
from nas_attn.errors import SlotRefused, UserError
from nas_attn.space.architecture import Gene, write_value

CHANNEL_NAMES = {"c1", "c2", "ch", "c", "c_", "dim", "channels"}
WIDE = 64  # a leading number of at least this is read as channels, unless it is an option of a setting
REDUCTIONS = {"se": "rd_ratio"}  # articles give r; the setting of the module is 1 / r
_BUILD_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class FeatureMap:
    """The map that a module works on.

    Attributes:
        channels: channels of the map in the built model.
        size: height and width of the map at the image size of the final training.
        factors: depth factor, width factor and largest channel count of the scale.
        where: the row, for messages.
    """

    channels: int
    size: int
    factors: tuple[float, float, float]
    where: str

    def is_width(self, value: object) -> bool:
        """True if a number is the channels of the map, before or after scaling by width."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        scaled = -(-min(value, self.factors[2]) * self.factors[1] // 8) * 8
        return value == self.channels or scaled == self.channels


@dataclass
class Reading:
    """The meaning of a row's arguments.

    Attributes:
        gene: the module with its settings; None if the settings of the registry cannot express the arguments.
        raw: (class name, constructor arguments) if there is no gene.
        settings: all settings; without a gene, some values are not among the options.
        taken: setting that the row leaves out -> its value in words, with a reason if it is not the published default.
        refused: the reason why the gene differs from the row's own arguments; empty if it does not.
        said: a text about differences between the published class and the settings, e.g. in the hidden width.
        notes: texts about oddities in the arguments.
    """

    gene: Gene | None
    raw: tuple[str, list[Any]] = ("", [])
    settings: dict[str, Any] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    refused: str = ""
    said: str = ""
    notes: list[str] = field(default_factory=list)


def read_arguments(entry: ModuleEntry, arguments: Sequence[Any], place: FeatureMap, name: str = "") -> Reading:
    """The settings of a module, read from a community's arguments.

    Args:
        entry: the module.
        arguments: the arguments in the row.
        place: the map that the module works on.
        name: the name in the row, which shows which collection its author used.

    Raises:
        SlotRefused: no settings of the module fit the map.
        UserError: an argument has a wrong type.
    """
    values, size = without_map_size(name, [literal(a) for a in arguments])
    values, notes = _without_channels(entry, values, place)
    usage = community_usage(entry, name, values, place.channels, size)
    reading = _read(entry, usage, place, name or entry.name)
    reading.notes = list(dict.fromkeys([*notes, *filter(None, [usage.note])]))
    reading.said = usage.said
    return reading


def _read(entry: ModuleEntry, usage: Usage, place: FeatureMap, name: str) -> Reading:
    bound, strict = _bind(entry, usage.values)
    if bound is not None:
        settings = {k: v for k, v in bound.items() if k in {s.name for s in entry.settings}}
        full, refusal = carried(entry, {**usage.chosen, **settings}, place)
        if refusal is None and _says(entry, full, bound, place.channels):
            return Reading(Gene.of(entry.name, full), settings=full, taken=_taken(entry, settings, full, usage, place))
        if refusal is not None:
            return _substituted(entry, full, refusal)
    check_types(name, _parameters(entry), usage.values, place.where)
    raw = _raw(entry, strict, place)
    if isinstance(raw, list):
        own = {**_usual(entry), **_named(entry, strict)}
        return Reading(None, (entry.cls.__name__, raw), own)
    full, _ = carried(entry, {**usage.chosen, **_readable(entry, strict)}, place)
    return _substituted(entry, full, raw)


def carried(entry: ModuleEntry, given: Mapping[str, Any], place: FeatureMap) -> tuple[dict[str, Any], str | None]:
    """(settings that fit a map, the reason why the given settings do not fit).

    Settings that are not given start from their usual value. If this combination does not fit, the nearest one is
    taken, which keeps the given settings if possible. The reason is None if all given settings are kept.

    Args:
        entry: the module.
        given: the settings that the row states.
        place: the map.

    Raises:
        SlotRefused: no settings fit.
    """
    wanted = {**_usual(entry), **given}
    options = {s.name: s.options for s in entry.settings}

    def distance(settings: Mapping[str, Any]) -> tuple[int, int, int]:
        changed = [n for n in settings if settings[n] != wanted[n]]
        steps = sum(abs(options[n].index(settings[n]) - options[n].index(wanted[n])) for n in changed)
        return sum(n in given for n in changed), len(changed), steps

    first = _refusal(entry, wanted, place)
    if first is None:
        return wanted, None
    for settings in sorted((c for c in entry.combinations() if c[RESIDUAL.name] == "none"), key=distance):
        if _refusal(entry, settings, place) is None:
            kept = all(settings[n] == v for n, v in given.items())
            return settings, None if kept else first
    raise SlotRefused(f"no settings of {entry.name} fit there: {first}", where=place.where)


def _usual(entry: ModuleEntry) -> dict[str, Any]:
    """Setting -> usual value: the default of the published code if it is an option, else the default of the zoo."""
    published = {n: p.default for n, p in _parameters(entry).items()}
    return {s.name: next((o for o in s.options if o == published.get(s.name)), s.default) for s in entry.settings}


def _refusal(entry: ModuleEntry, settings: Mapping[str, Any], place: FeatureMap) -> str | None:
    return entry.refusal(place.channels, place.size, place.size, settings)


def _without_channels(entry: ModuleEntry, values: list[Any], place: FeatureMap) -> tuple[list[Any], list[str]]:
    """(the values after the leading channel numbers, notes about wrong channel numbers)."""
    notes: list[str] = []
    first = next((s for s in entry.settings if s.name != RESIDUAL.name), None)
    for _ in range(2):
        if not values or (len(values) == 1 and first and values[0] in first.options):
            break
        value = values[0]
        known = place.is_width(value) or (isinstance(value, str) and value in CHANNEL_NAMES)
        wide = isinstance(value, int) and value >= WIDE and not (first and value in first.options)
        if not known and not wide:
            break
        if not known:
            notes.append(f"says {value} channels, but the map has {place.channels}")
        values = values[1:]
    return values, notes


def _parameters(entry: ModuleEntry) -> dict[str, inspect.Parameter]:
    """Name -> parameter of the constructor, without the channels."""
    found = inspect.signature(entry.cls, eval_str=True).parameters
    return {name: p for name, p in found.items() if name not in CHANNEL_ARGUMENTS}


def _taken(
    entry: ModuleEntry, given: Mapping[str, Any], full: Mapping[str, Any], usage: Usage, place: FeatureMap
) -> dict[str, str]:
    """Setting that was not given -> its value in words, with a reason if it is not the published default."""
    wanted = {**_usual(entry), **usage.chosen, **given}
    reason = _refusal(entry, wanted, place)
    found = {}
    for name, value in full.items():
        if name in given or name == RESIDUAL.name:
            continue
        published = _parameters(entry)[name].default
        why = ""
        if value != wanted[name]:
            why = f" ({write_value(wanted[name])} does not fit there: {reason})"
        elif name in usage.differs:
            why = f" (the class of this name in the collections has {usage.differs[name]})"
        elif name in usage.chosen:
            why = ""
        elif published is not inspect.Parameter.empty and published not in (value, None):
            why = f" (published code has {published})"
        found[name] = write_value(value) + why
    return found


def _readable(entry: ModuleEntry, values: Sequence[Any]) -> dict[str, Any]:
    """Setting -> value, for the values that are options of the parameter at their position."""
    options = {s.name: s.options for s in entry.settings}
    return {n: v for n, v in zip(_parameters(entry), values, strict=False) if v in options.get(n, ())}


def _bind(entry: ModuleEntry, values: Sequence[Any]) -> tuple[dict[str, Any] | None, list[Any]]:
    """(parameter -> value, values with converted reductions); the first is None if a value fits no setting.

    Values are matched in the order of the constructor. If one does not fit, each value goes to the next setting that
    has it as an option.
    """
    parameters = list(_parameters(entry))
    options = {s.name: s.options for s in entry.settings if s.name != RESIDUAL.name}
    values = [_reduced(entry, v) for v in values]
    in_order = dict(zip(parameters, values, strict=False))
    if len(values) <= len(parameters) and all(_is_option(v, options[n]) for n, v in in_order.items() if n in options):
        return in_order, list(values)
    found: dict[str, Any] = {}
    rest = list(options)
    for value in values:
        name = next((n for n in rest if _is_option(value, options[n])), None)
        if name is None:
            return None, list(values)
        found[name] = value
        rest = rest[rest.index(name) + 1 :]
    return found, list(values)


def _is_option(value: Any, options: Sequence[Any]) -> bool:
    return value in options and not isinstance(value, bool)  # in Python, True equals 1


def _reduced(entry: ModuleEntry, value: Any) -> Any:
    name = REDUCTIONS.get(entry.name)
    if name and isinstance(value, int) and not isinstance(value, bool) and value > 1:
        return 1 / value
    return value


def _says(entry: ModuleEntry, settings: Mapping[str, Any], bound: Mapping[str, Any], channels: int) -> bool:
    """True if building from the settings gives every bound argument its value."""
    names = list(inspect.signature(entry.cls, eval_str=True).parameters.values())
    given = entry.arguments(channels, settings)
    made = {p.name: given[i] if i < len(given) else p.default for i, p in enumerate(names)}
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in bound.items()}
    return all((list(made[k]) if isinstance(made[k], tuple) else made[k]) == v for k, v in listed.items())


def _raw(entry: ModuleEntry, values: Sequence[Any], place: FeatureMap) -> list[Any] | str:
    """The constructor arguments with the channels in place; a text with the reason if the class does not take them."""
    import torch

    channels = place.channels
    rest = [list(v) if isinstance(v, tuple) else v for v in values]
    arguments: list[Any] = []
    for name in inspect.signature(entry.cls, eval_str=True).parameters:
        if name in CHANNEL_ARGUMENTS:
            arguments.append(channels)
        elif rest:
            arguments.append(rest.pop(0))
        else:
            break
    if rest:
        return f"{entry.cls.__name__} does not take {len(rest)} of its arguments"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            shape = entry.cls(*arguments).eval()(torch.zeros(1, channels, 8, 8)).shape
    except UserError as error:  # a message of this package
        return str(error).splitlines()[0].rstrip(".")
    except _BUILD_ERRORS:  # a message of torch or Python would name no argument
        return f"{entry.cls.__name__} cannot be built with them at {channels} channels"
    if tuple(shape) != (1, channels, 8, 8):
        return "it would change the map's shape"
    return _refusal(entry, {**entry.defaults(), **_named(entry, values)}, place) or arguments


def _named(entry: ModuleEntry, values: Sequence[Any]) -> dict[str, Any]:
    """Setting -> value in the order of the constructor; a value need not be an option."""
    return {n: v for n, v in zip(_parameters(entry), values, strict=False) if n in entry.defaults()}


def _substituted(entry: ModuleEntry, full: Mapping[str, Any], reason: str) -> Reading:
    return Reading(Gene.of(entry.name, full), settings=dict(full), refused=reason)
