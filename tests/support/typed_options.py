"""Writes `nas_attn/api/options.py` from the configurations: `python tests/support/typed_options.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig

FILE = Path(__file__).parents[2] / "nas_attn" / "api" / "options.py"
HEAD = '''"""The keywords of `run_search`, `ablate` and `liveness`, with their types. None counts as not given.

Written by `python tests/support/typed_options.py` from fields of `StudyConfig` and `AblationConfig`; a test compares.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from nas_attn.space import Architecture
from nas_attn.study.trial import Candidate
'''
PATHS, NAMES = "str | Path", "str | Sequence[str]"
WIDER = {  # fields that accept more types in Python than in a YAML
    **dict.fromkeys(("data", "model", "weights", "space", "earlier"), PATHS),
    **dict.fromkeys(("slots", "kinds", "scales"), NAMES),
    "base": "str | Architecture | Candidate",
    "arms": "Sequence[str | Architecture | Candidate]",
    "first": "str | Sequence[str | Architecture]",
    "modules": "str | Sequence[str] | Mapping[str, Mapping[str, Sequence[Any]] | None]",
    **dict.fromkeys(("module_files", "layers"), "str | Path | Sequence[str | Path]"),
    "device": "str | int | Sequence[int]",
    "storage": "str",
    "ablation": "Mapping[str, Any]",
}
OF_A_SEARCH = ("name", "demo", "ablation")  # functions have another argument for a name; the others are for YAMLs
NOT_OF_AN_ABLATION = (
    *OF_A_SEARCH,
    *("sampler", "control_seeds", "first", "trials", "hours", "max_gmacs", "max_params", "storage"),
)
OF_A_MEASUREMENT = (
    *(
        "data",
        "model",
        "width",
        "weights",
        "start",
        "slots",
        "module_files",
        "layers",
        "seed",
        "epochs",
        "imgsz",
        "fraction",
    ),
    *("final_imgsz", "batch", "lr0", "precision", "live_threshold", "device", "jobs", "trial_minutes"),
)


def source() -> str:
    """The text of the written file."""
    study, ablation = StudyConfig.model_fields, AblationConfig.model_fields
    return "\n\n".join(
        (
            HEAD,
            _typed("SearchOptions", "a search", StudyConfig, [n for n in study if n not in OF_A_SEARCH]),
            _typed("AblationOptions", "an ablation", AblationConfig, list(ablation))
            + _fields(StudyConfig, [n for n in study if n not in (*ablation, *NOT_OF_AN_ABLATION)]),
            _typed("LivenessOptions", "a measurement of slots", StudyConfig, OF_A_MEASUREMENT),
        )
    )


def _typed(name: str, what: str, config: type[BaseModel], names: Any) -> str:
    return f'class {name}(TypedDict, total=False):\n    """Options of {what}."""\n' + _fields(config, names)


def _fields(config: type[BaseModel], names: Any) -> str:
    lines = []
    for name in names:
        found = config.model_fields[name]
        kind = WIDER.get(name) or _plain(found.annotation)
        lines.append(f'\n    {name}: {kind} | None\n    """{found.description}"""\n')
    return "".join(lines)


def _plain(annotation: Any) -> str:
    """The type of a field without None."""
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(annotation)))}]".replace("'", '"')
    if args := [a for a in get_args(annotation) if a is not type(None)]:
        return _plain(args[0])
    return str(annotation.__name__)


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(FILE)], check=True)
