"""A study and its candidates as JSON-ready dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas_attn.analysis.front import judged
from nas_attn.analysis.noise import noise_figures
from nas_attn.study.trial import Candidate
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.api.study import Study


def study_dict(study: Study) -> dict[str, Any]:
    """The study with all that its posterior says.

    Its keys are `study`, `candidates` and `front` (each candidate with its estimate), `picks`, `noise`, `effects`
    (modules at slots), `conclusion` (sentences) and `trials`.
    """
    effects = study.effects()
    return {
        "study": {"name": study.name, "folder": str(study.folder), "base": study.base, "slots": study.view.slots},
        "candidates": [record(study.view, c) for c in study.candidates()],
        "front": study.front().records,
        "picks": study.picks().records,
        "noise": noise_figures(study.view),
        "effects": effects.records,
        "conclusion": effects.conclusion,
        "trials": [
            {
                "number": t.number,
                "architecture": str(t.architecture),
                "seed": t.seed,
                "map50_95": t.map50_95,
                "gmacs": t.cost.get("gmacs"),
                "params_m": t.cost.get("params_m"),
                "state": t.state,
            }
            for t in study.trials
        ],
    }


def record(view: StudyView, candidate: Candidate) -> dict[str, Any]:
    """A candidate with the judgement on it and its cost."""
    return {
        "architecture": candidate.key,
        "mean": candidate.mean,
        "sd": candidate.sd,
        "seeds": list(candidate.seeds),
        **judged(view, candidate),
        **candidate.cost,
    }
