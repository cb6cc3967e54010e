"""Writes the tables of an ablation as Markdown, LaTeX and CSV. Each row gives the numbers of its trials."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.latex import DOCUMENT, latex
from nas_attn.ablation.report.rows import ComparisonRow, family_rows
from nas_attn.ablation.report.tables import ablation_tables
from nas_attn.ablation.report.words import PARTIAL, about, confidence, ranges, summary
from nas_attn.ablation.view import AblationView
from nas_attn.atomic_files import write_text_atomic
from nas_attn.evaluate.score import Score
from nas_attn.statistics.paired import Paired

FILES = ("ablation.md", "ablation.tex", "ablation_tables.tex", "ablation.csv")


def csv_columns(score: Score) -> tuple[str, ...]:
    """The columns of the CSV; those of means have the score in their names."""
    return (
        *("family", "comparison", "kinds", "model", "inserted", "architecture", "seeds"),
        *(f"val_{score.key}_mean", f"val_{score.key}_sd"),
        *("val_delta", "val_delta_low", "val_delta_high", "val_delta_sd"),
        *("confidence", "p_uncorrected", "p_corrected", "effect_dz"),
        *("verdict", "verdict_words", "more_seeds", "power_then"),
        *(f"test_{score.key}_mean", f"test_{score.key}_sd", "test_delta", "test_delta_low", "test_delta_high"),
        *("gmacs", "params_m", "trials", "remarks", "partial"),
    )


def write_tables(view: AblationView, folder: Path) -> list[Path]:
    """Write `ablation.md`, `ablation.csv`, and `ablation.tex`, a document that inputs `ablation_tables.tex`.

    Raises:
        UserError: the folder cannot be written to.
    """
    texts = markdown(view), DOCUMENT, latex(view), csv_text(view)
    for file, text in zip(table_files(folder), texts, strict=True):
        write_text_atomic(file, text)
    return table_files(folder)


def table_files(folder: Path) -> list[Path]:
    """The paths of the files that `write_tables` writes."""
    return [Path(folder) / name for name in FILES]


def markdown(view: AblationView) -> str:
    """All tables as Markdown text; each row gives the numbers of its trials."""
    parts = [f"# {view.header['name']}", about(view), summary(view)]
    if view.partial:
        parts.insert(1, f"**{PARTIAL}.**")
    for t in ablation_tables(view):
        columns = (*t.table.columns, "trials")
        rows = [(*cells, ranges(r.trials)) for cells, r in zip(t.table.rows, t.rows, strict=True)]
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
        parts += [f"## {t.title}", "\n".join(lines), t.method]
    return "\n\n".join(parts) + "\n"


def csv_text(view: AblationView) -> str:
    """CSV text with all figures at full precision: one row for each contrast and each base."""
    out = io.StringIO()
    writer = csv.DictWriter(out, csv_columns(view.score), lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures(view))
    return out.getvalue()


def figures(view: AblationView) -> list[dict[str, Any]]:
    """The rows of all tables as JSON-ready values by `csv_columns`; missing values are None."""
    return [_figures(view, row) for family in FAMILIES for row in family_rows(view, family)]


def _figures(view: AblationView, r: ComparisonRow) -> dict[str, Any]:
    d, result = r.decision, r.result
    return {
        "family": r.family,
        "comparison": r.label,
        "kinds": " ".join(r.kinds),
        "model": r.arm.model if r.arm is not None and r.arm.model else view.header["base"],
        "inserted": r.inserted,
        "architecture": str(r.arm.architecture) if r.arm is not None else "",
        "seeds": result.n if result else r.val.n if r.val else 0,
        **_moments(f"val_{view.score.key}", r.val),
        **_delta("val", result),
        "val_delta_sd": result.sd if result else None,
        "confidence": confidence(view) if any(_bounded(x) for x in (result, r.test_result)) else None,
        "p_uncorrected": result.p if result else None,
        "p_corrected": d.p if d else None,
        "effect_dz": result.effect if result else None,
        "verdict": r.verdict,
        "verdict_words": r.words,
        "more_seeds": d.more if d else None,
        "power_then": d.power_then if d else None,
        **_moments(f"test_{view.score.key}", r.test),
        **_delta("test", r.test_result),
        "gmacs": r.cost.get("gmacs"),
        "params_m": r.cost.get("params_m"),
        "trials": " ".join(map(str, r.trials)),
        "remarks": "; ".join(r.remarks),
        "partial": view.partial,
    }


def _bounded(result: Paired | None) -> bool:
    return result is not None and result.low is not None


def _moments(name: str, moments: object) -> dict[str, object]:
    return {f"{name}_mean": getattr(moments, "mean", None), f"{name}_sd": getattr(moments, "sd", None)}


def _delta(split: str, result: object) -> dict[str, object]:
    names = {"delta": "mean", "delta_low": "low", "delta_high": "high"}
    return {f"{split}_{name}": getattr(result, field, None) for name, field in names.items()}


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
