"""Signatures of functions whose keywords are fields of a `TypedDict`, for notebooks; editors read the `TypedDict`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])


def with_keywords(options: type, *configs: type[BaseModel]) -> Callable[[F], F]:
    """A decorator that writes each keyword of `**options: Unpack[OPTIONS]` into a function's signature and docstring.

    Without it, `help()` and the completion of a notebook do not know the keywords. Their default in the signature is
    None, which counts as not given.

    Args:
        options: the `TypedDict`.
        configs: the configurations whose descriptions explain the keywords; the first one that has a field counts.
    """

    def shown(function: F) -> F:
        signature = inspect.signature(function)
        named = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        own = {p.name for p in named}
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in options.__annotations__.items()
            if name not in own
        ]
        texts = {n: field.description for config in reversed(configs) for n, field in config.model_fields.items()}
        lines = "".join(f"\n    {p.name}: {texts[p.name]}" for p in keywords)
        function.__doc__ = f"{inspect.getdoc(function)}\n\nOptions:{lines}"
        function.__signature__ = signature.replace(parameters=[*named, *keywords])  # type: ignore[attr-defined]
        return function

    return shown
