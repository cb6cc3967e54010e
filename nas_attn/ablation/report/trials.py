"""The table of an ablation's trials. Ablation trial 3 is not trial 3 of the study: each log numbers its own."""

from __future__ import annotations

from collections.abc import Collection

from nas_attn.ablation.view import AblationView
from nas_attn.analysis.tables import Table, signed, trial_cells

NUMBER = "ablation trial"  # name of the column; a table of the study has `trial`
PAIRED = "Δ to base, same seed"  # name of the column of paired differences: seeds of an ablation are fresh


def arm_names(view: AblationView) -> dict[int, str]:
    """Number of a trial -> name of its arm."""
    found = {}
    for arm in view.design.arms:
        for index in range(view.looks.most):
            trial = view.trial(arm, index)
            if trial is not None:
                found[trial.number] = arm.name
    return found


def trials_table(view: AblationView, numbers: Collection[int] | None = None) -> Table:
    """The table of all trials by number, or of some trials by seed.

    Args:
        view: the ablation.
        numbers: numbers of the trials to show; None for all.
    """
    names = arm_names(view)
    has_test, words = any(t.test_score is not None for t in view.trials), view.score.words
    columns = (
        *(NUMBER, "state", "arm", "seed", f"val {words}", PAIRED),
        *((f"test {words}",) if has_test else ()),
        *("GMACs", "params (M)", "seconds", "architecture", "remark"),
    )
    shown = list(view.trials)
    if numbers is not None:
        shown = sorted((t for t in shown if t.number in numbers), key=lambda t: (t.seed, t.number))
    cells = [
        {**trial_cells(t), NUMBER: str(t.number), "arm": names.get(t.number, t.role), PAIRED: signed(t.delta)}
        for t in shown
    ]
    return Table(columns, tuple(tuple(c[name] for name in columns) for c in cells), tuple(c[NUMBER] for c in cells))
