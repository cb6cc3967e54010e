"""An architecture as Optuna parameters: `slot` (its value is a module) and `slot.module.setting`."""

from __future__ import annotations

from typing import Any

from nas_attn.space import NONE, Architecture
from nas_attn.space.architecture import write_value


def parameters(architecture: Architecture) -> dict[str, Any]:
    """The Optuna parameters of an architecture: name -> value."""
    found: dict[str, Any] = {}
    for slot, gene in architecture:
        found[slot] = gene.module
        if gene != NONE:
            settings = {"residual": "none", **gene.as_dict()}
            found.update({f"{slot}.{gene.module}.{k}": encoded(v) for k, v in settings.items()})
    return found


def encoded(value: Any) -> Any:
    """The value of a setting in a form that Optuna accepts: a tuple becomes text."""
    return write_value(value) if isinstance(value, tuple) else value
