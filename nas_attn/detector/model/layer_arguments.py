"""The constructor arguments of a user's layer, from the arguments in its row: the signature of its class decides.

A community's parser adds the channels for the classes that it knows. Therefore the first parameters tell what a row
leaves out; `nas_attn/adoption/README.md` has the rule.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from nas_attn.errors import UserError

_BOTH = ("channel", "channels", "ch", "c", "chan", "chans", "plane", "planes", "dim", "dims", "features")
INPUTS = {  # names of a parameter for the input channels, without case and underscores
    *("c1", "chin", "cin", "nin", "inp", "dimin", "channelsin"),
    *(f"{start}{name}" for start in ("in", "input") for name in _BOTH),
}
OUTPUTS = {  # the same for the output channels
    *("c2", "chout", "cout", "nout", "oup", "ouc", "dimout", "channelsout"),
    *(f"{start}{name}" for start in ("out", "output", "ou") for name in _BOTH),
}
ALONE = {  # the same if the class does not tell input from output
    *_BOTH,
    *("c0", "nf", "width", "embeddim", "numchannels", "nchannels", "numfeatures", "hiddensize"),
}
NARROW = 16  # least number of channels before scaling; a smaller number that scales to the channels is a setting
REPEATS = ("n", "num_repeats", "repeats")


def layer_arguments(
    cls: type, given: Sequence[Any], channels: int, scaled: Callable[[int], int], repeats: int
) -> tuple[list[Any], int]:
    """(constructor arguments of a layer, number of layers in sequence).

    Args:
        cls: the class.
        given: the arguments in the row.
        channels: channels of the map that the row reads.
        scaled: the channels that Ultralytics makes of a number in a row: limited, multiplied by width, rounded to 8.
        repeats: number of layers that the row means at the scale's depth.

    Raises:
        UserError: the class does not take these arguments.
    """
    values = [_literal(value) for value in given]
    names = [name.lower().replace("_", "") for name in _parameters(cls)]
    first, second = [*names, "", ""][:2]
    times = repeats
    if first in INPUTS | ALONE and second in OUTPUTS:
        stated = bool(values) and _is_width(values[0])
        values = [channels, scaled(values[0]) if stated else channels, *values[stated:]]
        if names[2:3] and _parameters(cls)[2] in REPEATS:
            values, times = [*values[:2], repeats, *values[2:]], 1
    elif first in INPUTS | ALONE:
        values = [channels, *_without(values, channels, scaled)]
    elif not names:
        values = _without(values, channels, scaled)
    try:
        inspect.signature(cls).bind(*values)
    except TypeError as error:
        rule = "a layer's row must have the arguments that its class takes"
        takes = f"{cls.__name__}{inspect.signature(cls)}"
        raise UserError(rule, got=f"{_shown(values)} for {takes}: {error}", remedy=_REMEDY) from None
    return values, times


_REMEDY = "The rule by which a row's arguments are completed is in nas_attn/adoption/README.md."


def following(cls: type, arguments: Sequence[Any], channels: int) -> list[Any]:
    """The arguments of the next layer of a row with repeats: those of the first, for the channels that it now reads."""
    names = [name.lower().replace("_", "") for name in _parameters(cls)]
    return [channels, *arguments[1:]] if names and names[0] in INPUTS | ALONE else list(arguments)


def _parameters(cls: type) -> list[str]:
    found = inspect.signature(cls).parameters.values()
    return [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _without(values: list[Any], channels: int, scaled: Callable[[int], int]) -> list[Any]:
    """The arguments without a leading number of the channels that the row reads, before or after scaling by width."""
    first = values[0] if values and _is_width(values[0]) else 0
    return values[first == channels or (first >= NARROW and scaled(first) == channels) :]


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _literal(value: Any) -> Any:
    """A text in a row as Ultralytics' parser reads it: the value of a Python literal, else the text."""
    if isinstance(value, str):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return value
    return value


def _shown(values: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, values))}]"
