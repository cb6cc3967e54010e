"""The card of a bundle: the identity, the cost and the sources of a model, computed with the installed packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas_attn._version import __version__
from nas_attn.attention import registry, user
from nas_attn.cost import COUNTING, CostTable
from nas_attn.cost.cost import Cost
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.flops import ultralytics_gflops
from nas_attn.errors import UserError
from nas_attn.space import Architecture, Slot

FORMAT = 1
CARD = "card.json"
COUNTS = ("macs", "macs_fvcore_default", "flops_torch", "params")
COUNTERS = ("torch", "ultralytics", "fvcore")  # packages whose versions affect the counts
LICENCE = "AGPL-3.0-or-later"
ULTRALYTICS = {
    "what": "Ultralytics, the detector",
    "source": "Jocher, Qiu, Chaurasia: Ultralytics YOLO, https://github.com/ultralytics/ultralytics",
}


def count(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture, imgsz: int, counting: int = COUNTING
) -> tuple[Cost, Cost]:
    """The cost of an architecture and the cost of its base.

    Args:
        base: the base model.
        slots: its slots.
        architecture: the architecture.
        imgsz: image size in pixels.
        counting: number of the counting rules.
    """
    genes = dict(architecture.genes)
    cells = {s: [genes[s.name]] for s in slots if s.name in genes}
    table = CostTable.build(base.build(), cells, imgsz, counting=counting)
    return table.cost(architecture), table.base


def cost_part(found: Cost, base: Cost, exported: BaseModel, imgsz: int) -> dict[str, Any]:
    """The cost part of a card: exact integers, the usual units, and the number that Ultralytics prints.

    Args:
        found: cost of the architecture.
        base: cost of its base.
        exported: the exported model.
        imgsz: image size in pixels.
    """
    return {
        "imgsz": imgsz,
        "counting": COUNTING,
        "counts": dict(zip(COUNTS, found.as_tuple(), strict=True)),
        "base_counts": dict(zip(COUNTS, base.as_tuple(), strict=True)),
        **found.as_dict(),
        "gflops_ultralytics": ultralytics_gflops(exported.build(), imgsz),
    }


def versions() -> dict[str, str]:
    """The versions of the installed packages that affect the numbers in a card: package -> version."""
    names = ("torch", "ultralytics", "fvcore", "onnx", "onnxruntime")
    found = {n: importlib.metadata.version(n) for n in names if _installed(n)}
    return {"nas_attn": __version__, "python": platform.python_version(), **found}


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def entries(architecture: Architecture) -> list[registry.ModuleEntry]:
    """The modules of an architecture, each listed once, without `none`."""
    found = (registry.get(name) for name in dict.fromkeys(gene.module for _, gene in architecture))
    return [e for e in found if not e.is_none]


def own_sources(architecture: Architecture, base: BaseModel) -> dict[str, user.Source]:
    """The sources of the user's modules in an architecture and own layers in its base: path in the bundle -> source."""
    names = {e.name for e in entries(architecture)}
    found: dict[str, user.Source] = {}
    for source in (*(s for s in user.sources() if names & set(s.names)), *base.sources):
        plain = f"modules/{source.stem}.py"
        found[f"modules/{source.digest}/{source.stem}.py" if plain in found else plain] = source
    return found


def layers_part(base: BaseModel, sources: Mapping[str, user.Source]) -> list[dict[str, Any]]:
    """The layers part of a card: source and digest of each layer of the user in the base.

    Args:
        base: the base model.
        sources: path in the bundle -> source.
    """
    files = {source: name for name, source in sources.items()}
    return [
        {"name": name, "source": files[source], "sha256": hashlib.sha256(source.text.encode()).hexdigest()}
        for name, source in base.layers.items()
    ]


def modules_part(architecture: Architecture, sources: Mapping[str, user.Source]) -> list[dict[str, Any]]:
    """The modules part of a card: paper, licence, source and digest of each module.

    Args:
        architecture: the architecture.
        sources: path in the bundle -> source of the user's own modules.
    """
    rows = []
    for entry in entries(architecture):
        file = next((name for name, source in sources.items() if entry.name in source.names), None)
        own = file is None and not entry.cls.__module__.startswith(registry.ZOO)
        rows.append(
            {
                "name": entry.name,
                "class": entry.cls.__name__,
                "paper": entry.paper,
                "licence": entry.licence or ("not declared by the author" if file or own else ""),
                "source": file or entry.cls.__module__,
                "sha256": hashlib.sha256(entry.source()).hexdigest(),
            }
        )
    return rows


def licences(modules: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The licences that apply to everybody who distributes the model: name of a part -> licence."""
    return {"nas_attn": LICENCE, "ultralytics": "AGPL-3.0", **{m["name"]: m["licence"] for m in modules}}


def to_cite(modules: Sequence[Mapping[str, Any]], base: str) -> list[dict[str, str]]:
    """The sources to cite, the most important first.

    Args:
        modules: the modules part of the card.
        base: name of the base model.
    """
    papers = [{"what": f"attention module {m['name']}", "source": m["paper"]} for m in modules if m["paper"]]
    tool = {"what": "the search", "source": f"nas_attn {__version__}"}
    version = importlib.metadata.version("ultralytics")
    return [*papers, {**ULTRALYTICS, "what": f"Ultralytics {version}: base model {base} and training"}, tool]


def seal(card: Mapping[str, Any]) -> str:
    """The sha256 of a card without its entry `sha256`."""
    content = {k: v for k, v in card.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(folder: Path) -> dict[str, Any]:
    """The card of a bundle.

    Raises:
        UserError: there is no card, or this version cannot read it.
    """
    file = Path(folder) / CARD
    remedy = "Name the folder that `python -m nas_attn export --bundle FOLDER` wrote."
    if not file.is_file():
        raise UserError(f"a bundle must be a folder with a {CARD}", got=f"'{folder}'", remedy=remedy)
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{CARD} must be readable as JSON", got=str(error), where=str(file)) from None
    needed = ("architecture", "base", "cost", "files", "imgsz", "modules", "onnx", "versions", "weights")
    if not isinstance(card, dict) or card.get("format") != FORMAT or any(k not in card for k in needed):
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        rule = f"{CARD} must be the card of a bundle, of format {FORMAT}"
        raise UserError(rule, got=f"format {found}", where=str(file), remedy="Write the bundle again.")
    return card


def file_digest(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def state_digest(state: Mapping[str, Any]) -> str:
    """The sha256 of a state dict: names, types, shapes and values of its tensors."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode() + value.numpy().tobytes())
    return digest.hexdigest()


def state_sums(state: Mapping[str, Any]) -> dict[str, float]:
    """Two sums over all values of a state dict, in float64.

    Other seeds give other sums. Another processor changes only the last digits, so sums are compared with a tolerance.
    """
    values = [state[name].detach().cpu().double() for name in sorted(state)]
    return {"sum": sum(float(v.sum()) for v in values), "sum_of_absolutes": sum(float(v.abs().sum()) for v in values)}
