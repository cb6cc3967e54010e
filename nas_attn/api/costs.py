"""`cost_of` and `costs_of`: the cost of architectures, counted before any training."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.analysis.tables import Table
from nas_attn.api.layer_files import use_layers
from nas_attn.api.listing import Listing
from nas_attn.cost.cost import Cost
from nas_attn.space import NONE, Architecture
from nas_attn.study.trial import Candidate, Displayed

DEFAULT_MODEL = "yolo11n.yaml"
OTHER = ("gflops_ultralytics", "gmacs_fvcore_default", "gflops_torch")  # figures by the conventions of other tools
FIGURES = ("gmacs", "gmacs_fvcore_default", "gflops_torch", "params_m", "gflops_ultralytics")


@dataclass(frozen=True, repr=False)
class ModelCost(Displayed):
    """The cost of a base model with an architecture, for one image, in eval mode and not fused.

    Attributes:
        architecture: the gene at each slot, with all settings.
        model: name of the base model.
        imgsz: image size in pixels.
        cost: the counts as exact integers.
        gflops_ultralytics: 1e9 floating point operations of the fused model, as Ultralytics reports them; None if it
            reports none.
    """

    architecture: Architecture
    model: str
    imgsz: int
    cost: Cost
    gflops_ultralytics: float | None

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates per image, in units of 1e9."""
        return self.cost.gmacs

    @property
    def params_m(self) -> float:
        """Parameters, in units of 1e6."""
        return self.cost.params_m

    def as_dict(self) -> dict[str, Any]:
        """The figures as a JSON-ready dictionary; the names contain the units."""
        return {
            "architecture": str(self.architecture),
            **self.cost.as_dict(),
            "gflops_ultralytics": self.gflops_ultralytics,
        }

    def __repr__(self) -> str:
        return f"{self.gmacs:.4f} GMACs, {self.params_m:.4f} M parameters at {self.imgsz} px: {self.architecture}"


def cost_of(
    architecture: str | Architecture | Candidate = "",
    *,
    model: str | Path = DEFAULT_MODEL,
    nc: int = 80,
    imgsz: int = 640,
    width: float | None = None,
    layers: str | Path | Sequence[str | Path] | None = None,
) -> ModelCost:
    """Count the cost of an architecture on a base model; nothing is trained.

    Args:
        architecture: e.g. `"p3=acmix(head=4) p5=lska(k_size=23)"`; empty for the unchanged base. Settings that are
            left out have their defaults.
        model: the base model: a name that Ultralytics ships, or the path of a YAML or a checkpoint.
        nc: number of classes.
        imgsz: image size of the final training in pixels; a multiple of the model's stride.
        width: width factor; None means the width factor of the model.
        layers: Python files with your own layers, which rows of the model name.

    Raises:
        UserError: there is no such model, slot, module or setting, a gene cannot be used at its slot, or `nc` or
            `imgsz` breaks a rule.
    """
    return costs_of([architecture], model=model, nc=nc, imgsz=imgsz, width=width, layers=layers)[0]


def costs_of(
    architectures: Iterable[str | Architecture | Candidate],
    *,
    model: str | Path = DEFAULT_MODEL,
    nc: int = 80,
    imgsz: int = 640,
    width: float | None = None,
    layers: str | Path | Sequence[str | Path] | None = None,
) -> Listing[ModelCost]:
    """The costs of several architectures on one base model, in the given order.

    This function does the same as `python -m nas_attn cost`. Arguments and errors are those of `cost_of`.
    """
    from nas_attn.bundle.named_model import named_architecture, named_model
    from nas_attn.cost import CostTable
    from nas_attn.detector.model.base_model import build_yaml
    from nas_attn.detector.model.flops import ultralytics_gflops
    from nas_attn.detector.model.head_form import check_head
    from nas_attn.detector.neck.surgery import architecture_yaml

    use_layers(layers)
    named = named_model(str(model), nc=nc, width=width, imgsz=imgsz)
    base, slots = named.base, named.slots
    by_name = {s.name: s for s in slots}
    wanted = []
    for text in (a.key if isinstance(a, Candidate) else str(a) for a in architectures):
        found = (
            named_architecture(text, slots, imgsz) if text else Architecture.none(n for n in by_name if "." not in n)
        )
        check_head(base, [by_name[slot] for slot, gene in found if gene != NONE], where=text)
        wanted.append(found)
    counted = CostTable.build(named.built, {s: [dict(a).get(s.name, NONE) for a in wanted] for s in slots}, imgsz)
    with redirect_stdout(sys.stderr):  # a module may print, but stdout is for results
        costs = [
            ModelCost(
                a,
                base.name,
                imgsz,
                counted.cost(a),
                ultralytics_gflops(build_yaml(architecture_yaml(base, slots, a)[0]), imgsz),
            )
            for a in wanted
        ]
    records = [c.as_dict() for c in costs]
    rows = tuple((r["architecture"], *("-" if r[f] is None else f"{r[f]:.4f}" for f in FIGURES)) for r in records)
    table = Table(("architecture", *FIGURES), rows, tuple(r["architecture"] for r in records))
    title = f"{base.name} at {imgsz} px, {nc} classes"
    return Listing(costs, records, table, title=title, optional=OTHER, note="\n".join(named.notes))
