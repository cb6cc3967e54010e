"""nas_attn: which attention module belongs at which neck slot of a YOLO detector, on your data, and what it costs.

Importing the package is cheap: neither torch nor ultralytics is loaded. As soon as anything loads Ultralytics, the
modules of the zoo become known to its model YAMLs and checkpoints.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nas_attn import _registration
from nas_attn._version import __version__

if TYPE_CHECKING:
    from nas_attn.cost import CostTable
    from nas_attn.space import Architecture, Gene, SearchSpace, Slot
    from nas_attn.study import load_study, run_search

_HOMES = {
    "Architecture": "nas_attn.space",
    "CostTable": "nas_attn.cost",
    "Gene": "nas_attn.space",
    "SearchSpace": "nas_attn.space",
    "Slot": "nas_attn.space",
    "load_study": "nas_attn.study",
    "run_search": "nas_attn.study",
}
__all__ = ["Architecture", "CostTable", "Gene", "SearchSpace", "Slot", "__version__", "load_study", "run_search"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nas_attn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


_registration.install()
