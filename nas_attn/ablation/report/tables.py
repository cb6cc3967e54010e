"""The tables of an ablation as text, for the report, the dashboard, the terminal and the files."""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.rows import ComparisonRow, Moments, family_rows
from nas_attn.ablation.report.words import level, method
from nas_attn.ablation.view import AblationView
from nas_attn.analysis.tables import EMPTY, Table, number, signed
from nas_attn.statistics.paired import Paired

TINY_P = 0.0001


@dataclass(frozen=True)
class TitledTable:
    """A table with its title, its method, and its rows as numbers.

    Attributes:
        family: key of `FAMILIES`.
        title: its title.
        table: the rows as text.
        rows: the same rows as numbers and words.
        method: sentences on the method behind the figures.
        partial: True until training is finished.
    """

    family: str
    title: str
    table: Table
    rows: tuple[ComparisonRow, ...]
    method: str
    partial: bool


def ablation_tables(view: AblationView) -> list[TitledTable]:
    """The table against the base, then the table of each other family that has rows."""
    found = []
    for family, title in FAMILIES.items():
        rows = family_rows(view, family)
        table = (
            _base_table(rows, level(view), view.score.words) if family == "base" else _contrast_table(rows, level(view))
        )
        if rows:
            found.append(TitledTable(family, title, table, tuple(rows), method(view, family), view.partial))
    return found


def _base_table(rows: list[ComparisonRow], level: str, score: str) -> Table:
    has_test = any(r.test is not None for r in rows)
    columns = [
        *("arm", "inserted", "seeds", f"val {score}", f"Δ to base [{level}]", "p (Holm)", "d"),
        *((f"test {score}", f"Δ on test [{level}]") if has_test else ()),
        *("GMACs", "params (M)", "verdict", "remarks"),
    ]
    body, keys = [], []
    for r in rows:
        body.append(
            (
                r.label,
                r.inserted or EMPTY,
                str(r.val.n) if r.val else "0",
                spread(r.val),
                *_compared(r),
                *((spread(r.test), estimate(r.test_result)) if has_test else ()),
                number(r.cost.get("gmacs"), 3),
                number(r.cost.get("params_m"), 3),
                r.words,
                "; ".join(r.remarks),
            )
        )
        keys.append(str(r.arm.architecture) if r.arm is not None and r.arm.model is None else None)
    return Table(tuple(columns), tuple(body), tuple(keys))


def _contrast_table(rows: list[ComparisonRow], level: str) -> Table:
    has_test = any(r.test_result is not None for r in rows)
    columns = [
        *("comparison", "seeds", f"Δ [{level}]", "p (Holm)", "d"),
        *((f"Δ on test [{level}]",) if has_test else ()),
        *("verdict", "remarks"),
    ]
    body = tuple(
        (
            r.label,
            str(r.result.n) if r.result else "0",
            *_compared(r),
            *((estimate(r.test_result),) if has_test else ()),
            r.words,
            "; ".join(r.remarks),
        )
        for r in rows
    )
    return Table(tuple(columns), body, (None,) * len(rows))


def spread(moments: Moments | None) -> str:
    """The mean ± standard deviation, e.g. `0.3967 ± 0.0061`; a dash without a mean."""
    if moments is None:
        return EMPTY
    return number(moments.mean) + (f" ± {moments.sd:.4f}" if moments.sd is not None else "")


def estimate(result: Paired | None) -> str:
    """The difference with its interval, e.g. `+0.0120 [-0.0031, +0.0271]`, or without one if there is none."""
    if result is None:
        return EMPTY
    if result.low is None or result.high is None:
        return signed(result.mean)
    return f"{signed(result.mean)} [{signed(result.low)}, {signed(result.high)}]"


def p_value(p: float | None) -> str:
    """A p-value as papers write it, e.g. `0.012` or `< 0.0001`."""
    if p is None:
        return EMPTY
    return f"< {TINY_P:g}" if p < TINY_P else f"{p:.4f}" if p < 0.01 else f"{p:.3f}"


def effect_size(result: Paired) -> str:
    """The standardised difference with its sign, or a dash."""
    return EMPTY if result.effect is None else f"{result.effect:+.2f}"


def _compared(row: ComparisonRow) -> tuple[str, str, str]:
    if row.decision is None or row.result is None:
        return EMPTY, EMPTY, EMPTY
    return estimate(row.result), p_value(row.decision.p), effect_size(row.result)
