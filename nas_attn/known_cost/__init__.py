"""A sampler for Optuna that knows what each point costs, and its model.

The folder stands alone: it needs numpy, scipy and, for the sampler, Optuna. OptunaHub can take it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sampler import KnownCostSampler as KnownCostSampler

__all__ = ["KnownCostSampler"]


def __getattr__(name: str) -> Any:
    """Import the sampler, and with it Optuna, only when it is asked for: the model does not need it."""
    if name == "KnownCostSampler":
        from .sampler import KnownCostSampler

        return KnownCostSampler
    raise AttributeError(name)
