"""nas_attn: which attention module belongs at which neck slot of a YOLO detector, on your data, and what it costs.

Importing the package is cheap: neither torch nor ultralytics is loaded. As soon as anything loads Ultralytics, the
modules of the zoo become known to its model YAMLs and checkpoints.

    import nas_attn as na

    study = na.run_search("mine", data="data.yaml", model="yolo11n.yaml", trials=24)
    study.front()
    study.export("knee", "best.yaml")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nas_attn import _registration
from nas_attn._version import __version__

if TYPE_CHECKING:
    from nas_attn.api import (
        Ablation,
        Adoption,
        Study,
        ablate,
        adopt,
        cost_of,
        costs_of,
        liveness,
        load_study,
        modules,
        plan_search,
        register,
        run_search,
        slots,
        studies,
    )
    from nas_attn.attention import Choice
    from nas_attn.cost import CostTable
    from nas_attn.engine import Engine, InlineEngine, LocalEngine
    from nas_attn.errors import NasAttnError, UserError
    from nas_attn.evaluate import Evaluation, Evaluator, Fidelity
    from nas_attn.evaluate.synthetic import SyntheticEvaluator
    from nas_attn.space import Architecture, Gene, SearchSpace, Slot
    from nas_attn.study.observer import Observer, Silent
    from nas_attn.study.trial import Candidate, Trial

_HOMES = {
    "api": (
        *("Ablation", "Adoption", "Study", "ablate", "adopt", "cost_of", "costs_of", "liveness", "load_study"),
        *("modules", "plan_search", "register", "run_search", "slots", "studies"),
    ),
    "attention": ("Choice",),
    "cost": ("CostTable",),
    "engine": ("Engine", "InlineEngine", "LocalEngine"),
    "evaluate": ("Evaluation", "Evaluator", "Fidelity"),
    "evaluate.synthetic": ("SyntheticEvaluator",),
    "space": ("Architecture", "Gene", "SearchSpace", "Slot"),
    "errors": ("NasAttnError", "UserError"),
    "study.observer": ("Observer", "Silent"),
    "study.trial": ("Candidate", "Trial"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "Ablation",
    "Adoption",
    "Architecture",
    "Candidate",
    "Choice",
    "CostTable",
    "Engine",
    "Evaluation",
    "Evaluator",
    "Fidelity",
    "Gene",
    "InlineEngine",
    "LocalEngine",
    "NasAttnError",
    "Observer",
    "SearchSpace",
    "Silent",
    "Slot",
    "Study",
    "SyntheticEvaluator",
    "Trial",
    "UserError",
    "__version__",
    "ablate",
    "adopt",
    "cost_of",
    "costs_of",
    "liveness",
    "load_study",
    "modules",
    "plan_search",
    "register",
    "run_search",
    "slots",
    "studies",
]


if not TYPE_CHECKING:  # type checkers know the names above, and find a misspelt one

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'nas_attn' has no attribute {name!r}")
        return getattr(importlib.import_module(f"nas_attn.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


_registration.install()
