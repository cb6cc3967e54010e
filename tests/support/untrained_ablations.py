"""Ablations without training: a plan on a synthetic evaluator, run by the real supervisor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from untrained_searches import SLOTS, InlineEngine, make_plan

from nas_attn.ablation.plan.arms import Choices, make_design
from nas_attn.ablation.plan.bases import AblatedBase
from nas_attn.ablation.plan.prepare import AblationPlan
from nas_attn.ablation.plan.settings import Request
from nas_attn.ablation.record import record_plan
from nas_attn.ablation.report.rows import family_rows
from nas_attn.ablation.run import Ablation
from nas_attn.ablation.view import AblationView
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import NONE, Architecture, Gene
from nas_attn.study import observer
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.controls import conv_genes
from nas_attn.study.folder import RunFolder

ACMIX, LSKA = "p3=acmix(head=4,kernel_att=7)", "p4=lska(k_size=23)"
FULL = f"{ACMIX} {LSKA} p5=none"
QUIET = {"effect_sd": 0.0, "noise_sd": 0.002, "seed_sd": 0.02}
KINDS = ("leave-one-out", "add-one-in")


class Silent(observer.Silent):
    """An observer that stores its messages."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.measured: list[str | None] = []

    def slots(self, view: Any, *arguments: Any) -> None:
        self.measured += arguments

    def note(self, text: str) -> None:
        self.notes.append(text)


class Stopped(Exception):
    """The simulated end of the process."""


class StoppingEngine(InlineEngine):
    """An engine whose process ends after some trials."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def wait(self, timeout: float | None = None) -> Any:
        if self.after == 0:
            raise Stopped
        self.after -= 1
        return super().wait(timeout)


def ablation_plan(
    folder: Path,
    evaluator: Any = None,
    *,
    full: str = FULL,
    kinds: Iterable[str] = KINDS,
    further: Iterable[str] = (),
    scales: Iterable[str] = (),
    score: str = "map50_95",
    **settings: Any,
) -> AblationPlan:
    """A plan on three slots of a fake yolo11n."""
    evaluator = evaluator or SyntheticEvaluator()
    study = make_plan(evaluator, score=score)
    study.header["fingerprints"]["modules"] = {}
    architecture = study.space.canonical(Architecture.parse(full))
    choices = Choices(
        space=study.space,
        full=architecture,
        fits=lambda slot, gene: True,
        conv=lambda slot, gene: _conv(slot, gene),
        everywhere=(*study.space.names, "td.p4"),
        scales=tuple(scales),
        further=tuple(study.space.canonical(Architecture.parse(t)) for t in further),
        controls=settings.get("controls", False),
    )
    design = make_design(choices, kinds)
    config = AblationConfig(kinds=list(kinds), controls=settings.pop("controls", False), **settings)
    request = Request("ablation", folder, None, study.config, config, full, 100, None, tuple(kinds))
    costs = {a.name: {"gmacs": 3.0, "params_m": 2.6} for a in design.arms}
    found = {m: AblatedBase(m, None, SLOTS, evaluator) for m in (None, *scales)}  # type: ignore[arg-type]
    probed = tuple(s for s in study.space.names if any(s in a.filled for a in design.arms))
    for scale in scales:
        object.__setattr__(found[scale], "base", type("Base", (), {"name": scale.removesuffix(".yaml")}))
    return AblationPlan(request, study, design, found, costs, probed, (), architecture)


def run_ablation_plan(plan: AblationPlan, engine: Any = None, observer: Any = None) -> AblationView:
    """Run or continue a plan."""
    folder = RunFolder(plan.request.folder)
    folder.create()
    folder.log.repair()
    record_plan(plan, folder)
    with engine or InlineEngine() as e:
        return Ablation(plan, folder, e, observer or Silent()).run()


def _conv(slot: str, gene: Gene) -> Gene | None:
    found = next(s for s in SLOTS if s.name == slot)
    return None if gene in (NONE,) or gene.module == "conv" else conv_genes(found, "none")[0]


def verdicts(view: AblationView, family: str = "base") -> dict[str, str]:
    return {d.contrast.label: d.verdict for d in view.decisions if d.contrast.family == family}


def words(view: AblationView, family: str = "base") -> dict[str, str]:
    return {r.label: r.words for r in family_rows(view, family)}


@pytest.fixture
def ablated(tmp_path: Path):
    """A function (evaluator, options) -> the view of a finished ablation."""

    def run(evaluator: Any = None, **options: Any) -> AblationView:
        return run_ablation_plan(ablation_plan(tmp_path / "ablation", evaluator, **options))

    return run
