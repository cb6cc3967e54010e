"""`Choice`: declares the values of a constructor argument that a search may try."""

from __future__ import annotations

import ast
import math
import re
import sys
from dataclasses import dataclass
from typing import Any

from nas_attn.errors import UserError

_UNSET = object()
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # a word of the grammar
# Local variables of Ultralytics' YAML parser, 8.4.100 to 8.4.190. The parser replaces an argument that has one of these
# names with the value of the variable.
_PARSER_LOCALS = """
a act args ast base_modules block c1 c2 ch cm d default_act depth end2end f hidden_channels i j kpt_shape layers legacy
m m_ max_channels n n_ nc reg_max repeat_modules restricted save scale scales t verbose width
"""
PARSER_WORDS = frozenset(_PARSER_LOCALS.split())


def unwritable(value: Any) -> str | None:
    """The reason why the grammar and a model YAML cannot write an option and read it back; None if they can."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | tuple):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value!r}, which is not finite"
    if isinstance(value, str):
        return None if _WORD.fullmatch(value) and survives_parser(value) else f"{value!r}, which cannot be read back"
    if isinstance(value, tuple):
        inner = [unwritable(v) if not isinstance(v, tuple) else f"nested tuple {v!r}" for v in value]
        return next((reason for reason in inner if reason), None)
    return None


def survives_parser(word: str) -> bool:
    """True if a string in a YAML row's arguments reaches the constructor unchanged.

    Ultralytics evaluates the string if it is a literal (`None`, `3`) or the name of a local variable of the parser. It
    fails if the string is not an expression (`if`, `a-`).
    """
    if word in PARSER_WORDS:
        return False
    try:
        ast.literal_eval(word)
    except ValueError:
        return True
    except SyntaxError:
        return False
    return False


class Choice:
    """The searchable options of one constructor argument, given as `Annotated[int, Choice(3, 5, 7)]`.

    Args:
        options: the values that a search may choose: ints, floats, words, or tuples of these.
        default: the value used if none is chosen. If left out, it is the constructor's default, or the first option if
            the constructor has no default.
    Raises:
        UserError: the options are not distinct, an option cannot be written, or the default is not an option.
    """

    def __init__(self, *options: Any, default: Any = _UNSET) -> None:
        where = caller(1)
        for option in options:
            if reason := unwritable(option):
                raise UserError(
                    "an option of `Choice` must be a number, a word or a tuple of these, which the grammar can write",
                    got=reason,
                    where=where,
                    remedy="For yes and no, write 0 and 1, or words such as `on` and `off`. For a list, write a tuple.",
                )
        if not options or len(set(options)) != len(options):
            remedy = "Write for example `Choice(3, 5, 7)`."
            raise UserError("`Choice` needs distinct options", got=shown(options), where=where, remedy=remedy)
        if default is not _UNSET and default not in options:
            raise default_refused(options, default, "", where)
        self.options = options
        self._default = default

    def default(self, constructor_default: Any) -> Any:
        """The option that is used if none is chosen.

        Args:
            constructor_default: the argument's default in the signature; `inspect.Parameter.empty` if it has none.

        Raises:
            UserError: the constructor's default is not an option, and `Choice` was given no `default`.
        """
        from inspect import Parameter

        if self._default is not _UNSET:
            return self._default
        if constructor_default is Parameter.empty:
            return self.options[0]
        value = tuple(constructor_default) if isinstance(constructor_default, list) else constructor_default
        if value not in self.options:
            raise default_refused(self.options, constructor_default, "the constructor's ", "")
        return self.options[self.options.index(value)]


def default_refused(options: tuple[Any, ...], default: Any, whose: str, where: str) -> UserError:
    """The error for a default that is not an option."""
    return UserError(
        f"{whose or 'the '}default must be one of the options {shown(options)} of its `Choice`",
        got=repr(default),
        where=where,
        remedy="Add it to the options, or give the search another default: "
        f"`Choice({shown(options)}, default={options[0]!r})`.",
    )


def shown(options: tuple[Any, ...]) -> str:
    """The options as Python source text; `none` if there are none."""
    return ", ".join(map(repr, options)) or "none"


def caller(depth: int) -> str:
    """`file:line` of the frame `depth` levels above the calling function; empty if that frame has no file."""
    frame = sys._getframe(depth + 1)
    file = frame.f_code.co_filename
    return "" if file.startswith("<string") else f"{file}:{frame.f_lineno}"


@dataclass(frozen=True)
class Setting:
    """One searchable hyperparameter of a module: its name, its options and its default."""

    name: str
    options: tuple[Any, ...]
    default: Any
