"""`register`: makes a class of a script or a notebook cell an attention module."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from nas_attn.attention import registry
from nas_attn.errors import UnknownName, UserError

C = TypeVar("C", bound=type)
ABOUT = ("family", "paper", "licence", "cannot", "costs", "weights")


@overload
def register(cls: C, /) -> C: ...
@overload
def register(
    cls: str | None = None,
    /,
    *,
    name: str | None = None,
    family: str = "own",
    paper: str = "",
    licence: str = "",
    cannot: Mapping[str, str] | None = None,
    costs: Mapping[str, int] | None = None,
    weights: str = "",
) -> Callable[[C], C]: ...
def register(cls: Any = None, /, *, name: str | None = None, **about: Any) -> Any:
    """Register a class as an attention module. The class may be in a notebook cell, a script or a Python module.

    Write `@register`, `@register("name", paper="...")` or `register(MyModule)`. The source of the class, and of
    everything in its namespace that it uses, becomes the text of one file. Worker processes, run folders and
    checkpoints get this text. If the code has changed, a second call replaces the module.

    A search varies the module if `modules=` or the search space names it.

    Args:
        cls: the class, a `torch.nn.Module` that maps (N, C, H, W) to (N, C, H, W); or the module's name in the grammar.
            Without a name, the name of the class is used, in lower case with underscores: `my_module` for `MyModule`.
        name: the name in the grammar, as a keyword.
        about: further arguments of `nas_attn.attention.attention`: `family`, `paper`, `licence`, `cannot`, `costs`,
            `weights`.

    Returns:
        The registered class. It has the same code, but it belongs to a new Python module.

    Raises:
        UserError: the class breaks a rule of modules, or its source does not run alone.
    """
    if unknown := sorted(about.keys() - ABOUT):
        raise UnknownName("keyword", unknown[0], ABOUT, where="register()")
    if isinstance(cls, type):
        return _registered(cls, name, about)
    named = name if cls is None else cls
    if named is not None and not isinstance(named, str):
        raise UserError("`register` must be given a class or a name", got=repr(cls))
    return lambda found: _registered(found, named, about)


def _registered(cls: Any, name: str | None, about: dict[str, Any]) -> type:
    if not isinstance(cls, type):
        raise UserError("`register` must decorate a class", got=repr(cls))
    from nas_attn.attention import trust, user
    from nas_attn.attention.class_source import self_contained

    name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    given = "".join(f", {key}={value!r}" for key, value in about.items())
    text = self_contained(cls, without=register, head=f"@attention({name!r}{given})")
    source = user.Source(name, text)
    user.ensure([source])
    trust.remember([source])
    return registry.get(name).cls
