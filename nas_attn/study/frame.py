"""A study as a table: one row per trial, units in column names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas_attn.study.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("score", "test_score", "map50_95", "map50", "recall", "test_map50_95")
COSTS = ("gmacs", "gmacs_fvcore_default", "gflops_torch", "params_m")


def frame(trials: Sequence[Trial]) -> pd.DataFrame:
    """The trials as a table: one row per trial, in the order of their numbers, refused and running trials included.

    Args:
        trials: the trials of a study.

    Returns:
        A table with the columns `number`, `state`, `role`, `architecture`, `seed`, `score` and `test_score` (by the
        score of the study), `map50_95`, `map50`, `recall`, `test_map50_95`, `gmacs` and `gmacs_fvcore_default` (giga
        multiply-accumulates), `gflops_torch` (giga operations of the fused model, by torch's counter), `params_m`
        (million parameters), `seconds` (wall time), `epochs`, `imgsz` (pixels), `device`, `precision`, `flags` (joined
        by `; `), `comparable`, `reason`, `origin` (the earlier study that trained it, and its number there), and one
        column per slot with its gene. A value that a trial does not have is NaN or None.
    """
    import pandas as pd

    slots = list(dict.fromkeys(s for t in trials for s in t.architecture.slots))
    rows = [_row(t, slots) for t in trials]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *slots]).astype(_TYPES)


_COLUMNS = (
    *("number", "state", "role", "architecture", "seed"),
    *FIGURES,
    *COSTS,
    *("seconds", "epochs", "imgsz", "device", "precision", "flags", "comparable", "reason", "origin"),
)
_TYPES = {
    **dict.fromkeys(("number", "seed"), "int64"),
    **dict.fromkeys((*FIGURES, *COSTS, "seconds"), "float64"),
    **dict.fromkeys(("epochs", "imgsz"), "Int64"),
    "comparable": "bool",
}


def _row(trial: Trial, slots: list[str]) -> dict[str, Any]:
    e = trial.evaluation
    measured = (
        {
            "score": trial.score,
            "test_score": trial.test_score,
            "map50_95": trial.map50_95,
            "map50": e.map50 if trial.stopped is None else None,
            "recall": e.scores.get("val", {}).get("recall") if trial.stopped is None else None,
            "test_map50_95": e.test_map50_95,
            "seconds": e.seconds,
            "epochs": e.epochs,
            "imgsz": e.imgsz,
            "device": e.device,
            "precision": e.precision,
            "flags": "; ".join(trial.flags),
        }
        if e
        else {}
    )
    genes = {slot: str(gene) for slot, gene in trial.architecture}
    return {
        **dict.fromkeys(slots),
        **dict.fromkeys(_COLUMNS),
        "number": trial.number,
        "state": trial.state,
        "role": trial.role,
        "architecture": str(trial.architecture),
        "seed": trial.seed,
        **{name: trial.cost.get(name) for name in COSTS},
        "flags": "",
        "comparable": trial.usable,
        "reason": trial.reason,
        "origin": trial.origin,
        **measured,
        **genes,
    }
