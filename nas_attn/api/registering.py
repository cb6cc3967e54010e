"""A class of a script or a notebook cell as an attention module."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from nas_attn.attention import registry

C = TypeVar("C", bound=type)


@overload
def register(cls: C, /) -> C: ...
@overload
def register(name: str | None = None, /, **about: Any) -> Callable[[C], C]: ...
def register(cls: Any = None, /, **about: Any) -> Any:
    """Register an attention module that stands in a notebook cell, a script or a module.

    Use it as `@register`, as `@register("name", paper="...")`, or as `register(MyModule)`. The class, and whatever it
    uses of its namespace, becomes the text of one file: worker processes, run folders and checkpoints carry it. A
    second call with changed code replaces the module.

    A search varies the module where `modules=` or a search space names it.

    Args:
        cls: the class, a `torch.nn.Module` that maps (N, C, H, W) to (N, C, H, W); or the module's name in the
            grammar. The name is the class's in lower case with underscores if none is given: `MyModule`, `my_module`.
        about: further arguments of `nas_attn.attention.attention`: `family`, `paper`, `licence`, `cannot`, `costs`.

    Returns:
        The registered class: the same code, in a module of its own.

    Raises:
        UserError: the class breaks a rule, or its source does not stand alone.
    """
    if isinstance(cls, type):
        return _registered(cls, None, about)
    return lambda found: _registered(found, cls, about)


def _registered(cls: type, name: str | None, about: dict[str, Any]) -> type:
    from nas_attn.attention import trust, user
    from nas_attn.attention.class_source import self_contained

    name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    given = "".join(f", {key}={value!r}" for key, value in about.items())
    text = self_contained(cls, without="register", head=f"@attention({name!r}{given})")
    source = user.Source(name, text)
    user.ensure([source])
    trust.remember([source])
    return registry.get(name).cls
