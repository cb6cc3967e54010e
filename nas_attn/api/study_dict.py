"""A study and its candidates as JSON-ready dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas_attn.analysis.front import judged
from nas_attn.analysis.noise import noise_figures
from nas_attn.study.trial import Candidate
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.api.effects import Effects

Records = list[dict[str, Any]]


def study_dict(view: StudyView, answer: str, front: Records, picks: Records, effects: Effects) -> dict[str, Any]:
    """The study with all that its posterior says.

    `score` names the score by which it is read, and `not_searched_for` is true if its search did not look for it. In a
    candidate and a trial, `score` is the value. The other keys are `study`, `answer` (sentences), `candidates` and
    `front` (each candidate with its estimate), `picks`, `noise`, `effects` (modules at slots), `conclusion` (sentences)
    and `trials`.
    """
    base = str(view.header["base"])
    return {
        "study": {"name": view.name, "folder": str(view.folder), "base": base, "slots": view.slots},
        "score": view.score.name,
        "not_searched_for": bool(view.caution),
        "answer": answer,
        "candidates": [record(view, c) for c in view.candidates()],
        "front": front,
        "picks": picks,
        "noise": noise_figures(view),
        "effects": effects.records,
        "conclusion": effects.conclusion,
        "trials": [
            {
                "number": t.number,
                "architecture": str(t.architecture),
                "seed": t.seed,
                "score": t.score,
                "map50_95": t.map50_95,
                "gmacs": t.cost.get("gmacs"),
                "params_m": t.cost.get("params_m"),
                "state": t.state,
                "stopped_after": t.stopped,
                "origin": t.origin or None,
            }
            for t in view.trials
        ],
    }


def record(view: StudyView, candidate: Candidate) -> dict[str, Any]:
    """A candidate with the judgement on it and its cost."""
    return {
        "architecture": candidate.key,
        "mean": candidate.mean,
        "sd": candidate.sd,
        "seeds": list(candidate.seeds),
        "state": candidate.state,
        **judged(view, candidate),
        **candidate.cost,
    }
