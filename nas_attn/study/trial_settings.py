"""The field `train` of a study: training settings in Ultralytics' names, as values, as words, and compared.

`nas_attn.detector.proxy.train_settings` checks names and values, because only Ultralytics knows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

from nas_attn.environment import shell_word

MOST = 2**53  # a record holds whole numbers below it


def _recordable(value: Any) -> Any:
    """A setting in a form that a record holds: a tuple becomes a list.

    Raises:
        ValueError: it has another type, or is not finite.
    """
    parts = list(value) if isinstance(value, list | tuple) else [value]
    if not all(isinstance(p, str) or (isinstance(p, int | float) and abs(p) < MOST) for p in parts):
        raise ValueError("must be a finite number, text, true or false, or a list of them")
    return parts if isinstance(value, tuple) else value


Setting = Annotated[Any, AfterValidator(_recordable)]


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings in a recorded configuration; studies of earlier releases have none."""
    return dict(config.get("train") or {})


def as_words(settings: Mapping[str, Any]) -> str:
    """The settings as words of a command line, e.g. `hsv_h=0.0 mosaic=0.5`."""
    pairs = ((name, value if isinstance(value, str) else _number(value)) for name, value in sorted(settings.items()))
    return " ".join(shell_word(f"{name}={text}") for name, text in pairs)


def _number(value: Any) -> str:
    return str(value) if isinstance(value, bool) else json.dumps(value, separators=(",", ":"))


def trained_with(trained: str, config: Mapping[str, Any]) -> str:
    """A sentence part on how trials are trained, with the settings of a recorded configuration, if it has any."""
    words = as_words(settings_of(config))
    return f"{trained}, with {words}" if words else trained


def differing(
    old: Mapping[str, Any], new: Mapping[str, Any], places: tuple[str, str] = ("then", "now")
) -> Iterator[str]:
    """The settings that differ, each with both values.

    Args:
        old, new: the settings of a recorded study, and those that are asked for now.
        places: the words behind the values of the two.
    """
    for name in sorted({*old, *new}):
        then, now = (s.get(name, "not set") for s in (old, new))
        if then != now:
            yield f"the training setting {name} ({then} {places[0]}, {now} {places[1]})"
