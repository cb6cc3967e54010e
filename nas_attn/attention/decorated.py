"""Code and docstrings that `@attention` adds to each class of the zoo, because they are alike in all of them.

Classes of users stay as they are. The added refusal runs in the constructor, so it holds for model YAMLs, for `Scaled`,
for subclasses and for direct calls. Unpickling and copying do not call the constructor, so they refuse nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any

from nas_attn.attention.entry import CHANNEL_ARGUMENTS
from nas_attn.errors import SlotRefused

HOOKS = {  # docstrings of hooks that have none
    "unsupported": "The reason why these settings do not fit that number of channels; None if they fit.",
    "attention_logits": "Attention logits per image.",
}
SHAPE = "Shape:\n    (N, C, H, W) -> (N, C, H, W)."


def refuse_unsupported(cls: Any, settings: Collection[str]) -> None:
    """Make the constructor raise `SlotRefused` with the reason from `cls.unsupported`; its signature stays the same.

    A constructor that calls the hook itself, because it must check something first, is not changed. If a subclass
    overrides the hook, the subclass's hook is called.

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
        except TypeError:  # the constructor itself reports missing or extra arguments
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
    """Add docstrings to hooks that have none, and a `Shape:` section to a class docstring that has none."""
    for name, text in HOOKS.items():
        hook = getattr(getattr(cls, name, None), "__func__", None)
        if hook is not None and hook.__doc__ is None:
            hook.__doc__ = text
    if cls.__doc__ and "Shape:" not in cls.__doc__:
        text, *errors = inspect.cleandoc(cls.__doc__).partition("\nRaises:")
        gap = "\n" if "\nArgs:" in text else "\n\n"
        cls.__doc__ = f"{text.rstrip()}{gap}{SHAPE}{''.join(errors)}"
