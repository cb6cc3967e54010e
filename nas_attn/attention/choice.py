"""How a module's constructor declares what may be searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_UNSET = object()


class Choice:
    """The searchable options of one constructor argument, given as `Annotated[int, Choice(3, 5, 7)]`.

    Args:
        options: the values that a search may choose; ints, floats, strings or tuples of ints.
        default: the value used where nobody chose; otherwise the constructor's own default where that is an
            option, else the first option.
    """

    def __init__(self, *options: Any, default: Any = _UNSET) -> None:
        if not options or len(set(options)) != len(options):
            raise ValueError(f"`Choice` needs distinct options, but got {options!r}.")
        if default is not _UNSET and default not in options:
            raise ValueError(f"`default` must be one of {options!r}, but got {default!r}.")
        self.options = options
        self._default = default

    def default(self, constructor_default: Any) -> Any:
        """The option that stands where nobody chose."""
        if self._default is not _UNSET:
            return self._default
        return constructor_default if constructor_default in self.options else self.options[0]


@dataclass(frozen=True)
class Setting:
    """One searchable hyperparameter of a module: its name, its options and its default."""

    name: str
    options: tuple[Any, ...]
    default: Any
