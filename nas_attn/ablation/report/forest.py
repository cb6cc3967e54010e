"""What the forest plot of an ablation shows, as plain data; drawn by `forest_figure`."""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.ablation.decide import Decision
from nas_attn.ablation.report.rows import Row, family_rows, line_key
from nas_attn.ablation.report.words import level, shown_verdict
from nas_attn.ablation.view import AblationView
from nas_attn.statistics.paired import Paired


@dataclass(frozen=True)
class ForestLine:
    """One contrast.

    Attributes:
        key: its `line_key`, by which a click finds its trials.
        label: its name, e.g. `without p4`.
        inserted: what its arm inserts; empty for nothing.
        verdict: one of `decide`'s words; `dead` also where the arms were trained although only dead slots differ.
        words: the verdict as a person reads it.
        val: the comparison on val; None without a pair.
        test: the same on the test split; None where there is none.
        p: p-value corrected for looks and family; None where nothing was tested.
        cost: `gmacs` and `params_m` of the arm; empty before its first pair and where the line is about several.
        trials: numbers of the ablation's trials behind it.
        remarks: failures, flags, dead slots.
    """

    key: str
    label: str
    inserted: str
    verdict: str
    words: str
    val: Paired | None
    test: Paired | None
    p: float | None
    cost: dict[str, float]
    trials: tuple[int, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class ForestNumbers:
    """The contrasts of one family.

    Attributes:
        lines: in the order of the table.
        difference: the smallest difference in mAP50-95 that matters.
        level: the confidence of the intervals, e.g. `95 %`.
        partial: whether training is not finished.
    """

    lines: tuple[ForestLine, ...]
    difference: float
    level: str
    partial: bool

    @property
    def has_test(self) -> bool:
        """Whether a test split was scored."""
        return any(line.test is not None for line in self.lines)


def forest_numbers(view: AblationView, family: str = "base") -> ForestNumbers:
    """One line per contrast of a family; bases are what the others are compared with and have none."""
    rows = family_rows(view, family)
    lines = tuple(_line(view, row, row.decision) for row in rows if row.decision is not None)
    return ForestNumbers(lines, float(view.settings["difference"]), level(view), view.partial)


def _line(view: AblationView, row: Row, decision: Decision) -> ForestLine:
    return ForestLine(
        key=line_key(decision.contrast.family, row.label),
        label=row.label,
        inserted=row.inserted,
        verdict=shown_verdict(view, decision),
        words=row.verdict,
        val=decision.result,
        test=row.test_result,
        p=decision.p,
        cost=row.cost if decision.indices else {},
        trials=row.trials,
        remarks=row.remarks,
    )
