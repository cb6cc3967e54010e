"""The parts of a class of the zoo that `@attention` writes, because all have them alike; not of users' classes.

The refusal stands in the constructor, so that it holds for model YAMLs, for `Scaled`, for subclasses and for a class
that is called by hand. Unpickling and copying call no constructor, so they refuse nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from nas_attn.attention.entry import CHANNEL_ARGUMENTS
from nas_attn.errors import SlotRefused

HOOKS = {  # docstrings of hooks that have none
    "unsupported": "The reason why these settings cannot stand on that many channels; None if they can.",
    "attention_logits": "Attention logits per image.",
}
SHAPE = "Shape:\n    (N, C, H, W) -> (N, C, H, W)."


def refuse_unsupported(cls: Any, settings: Collection[str]) -> None:
    """Let the constructor raise `SlotRefused` with the reason that `cls.unsupported` gives; its signature stays.

    A constructor that asks the hook itself, because it has something to check before, stays as it is. A subclass that
    has a hook of its own is asked that one.

    Args:
        cls: a class of the zoo, with or without that hook.
        settings: names of the searchable arguments.
    """
    construct = cls.__init__
    code = getattr(inspect.unwrap(construct), "__code__", None)
    if not hasattr(cls, "unsupported") or code is None or "unsupported" in code.co_names:
        return
    signature = inspect.signature(construct)
    channels = [name for name in signature.parameters if name in CHANNEL_ARGUMENTS]
    if not channels:
        return

    def reason(self: Any, *args: Any, **kwargs: Any) -> str | None:
        try:
            bound = signature.bind(self, *args, **kwargs)
        except TypeError:  # the constructor says what is missing, or too much
            return None
        bound.apply_defaults()
        given = {name: tuple(v) if isinstance(v, list) else v for name, v in bound.arguments.items()}
        hook: Callable[..., str | None] = self.unsupported
        return hook(given[channels[-1]], **{n: v for n, v in given.items() if n in settings})

    @wraps(construct)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if refused := reason(self, *args, **kwargs):
            raise SlotRefused(refused)
        construct(self, *args, **kwargs)

    cls.__init__ = __init__


def complete_docstrings(cls: Any) -> None:
    """Write the docstrings that hooks lack, and the shape into the docstring of a class that tells none."""
    for name, text in HOOKS.items():
        hook = getattr(getattr(cls, name, None), "__func__", None)
        if hook is not None and hook.__doc__ is None:
            hook.__doc__ = text
    if cls.__doc__ and "Shape:" not in cls.__doc__:
        text, *errors = inspect.cleandoc(cls.__doc__).partition("\nRaises:")
        gap = "\n" if "\nArgs:" in text else "\n\n"
        cls.__doc__ = f"{text.rstrip()}{gap}{SHAPE}{''.join(errors)}"
