"""An ablation's tables as files: Markdown, LaTeX with booktabs, CSV. Each figure can be traced to its trials."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_attn import __version__
from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.rows import Row, confidence, family_rows, shown_verdict, summary
from nas_attn.ablation.statistics import Paired
from nas_attn.ablation.tables import TitledTable, ablation_tables
from nas_attn.ablation.view import AblationView
from nas_attn.files import write_text_atomic

PARTIAL = "PARTIAL: training is not finished"
FLOAT_ROWS = 24
FILES = ("ablation.md", "ablation.tex", "ablation_tables.tex", "ablation.csv")
CSV_COLUMNS = (
    *("family", "comparison", "kinds", "model", "inserted", "architecture", "seeds"),
    *(
        "val_map50_95_mean",
        "val_map50_95_sd",
        "val_delta",
        "val_delta_low",
        "val_delta_high",
        "val_delta_sd",
        "confidence",
    ),
    *("p_uncorrected", "p_corrected", "effect_dz", "verdict", "verdict_words", "more_seeds", "power_then"),
    *("test_map50_95_mean", "test_map50_95_sd", "test_delta", "test_delta_low", "test_delta_high"),
    *("gmacs", "params_m", "trials", "remarks", "partial"),
)


def write_tables(view: AblationView, folder: Path) -> list[Path]:
    """Write `ablation.md`, `ablation.tex` (a document) with `ablation_tables.tex` (to be \\input), and `ablation.csv`.

    Raises:
        UserError: the folder cannot be written to.
    """
    texts = markdown(view), DOCUMENT, latex(view), csv_text(view)
    for file, text in zip(table_files(folder), texts, strict=True):
        write_text_atomic(file, text)
    return table_files(folder)


def table_files(folder: Path) -> list[Path]:
    """The files that `write_tables` writes."""
    return [Path(folder) / name for name in FILES]


def markdown(view: AblationView) -> str:
    """All tables as Markdown, each row with the numbers of its trials."""
    parts = [f"# {view.header['name']}", _about(view), summary(view)]
    if view.partial:
        parts.insert(1, f"**{PARTIAL}.**")
    numbers = _trials(view)
    for t in ablation_tables(view):
        columns = (*t.table.columns, "trials")
        rows = [(*row, trials) for row, trials in zip(t.table.rows, numbers[t.family], strict=True)]
        lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
        parts += [f"## {t.title}", "\n".join(lines), t.method]
    return "\n\n".join(parts) + "\n"


DOCUMENT = r"""% pdflatex ablation.tex; for a paper, \usepackage{booktabs} and \input{ablation_tables}
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\begin{document}
\input{ablation_tables}
\end{document}
"""


def latex(view: AblationView) -> str:
    """All tables as LaTeX floats; comments name the trials of each row."""
    numbers = _trials(view)
    head = "% " + " ".join(f"{view.header['name']}, nas_attn {__version__}; {_about(view)}".split()) + "\n"
    floats = []
    for t in ablation_tables(view):
        # a float cannot break over pages
        for start in range(0, len(t.table.rows), FLOAT_ROWS):
            rows = slice(start, start + FLOAT_ROWS)
            part = replace(t, table=replace(t.table, rows=t.table.rows[rows], keys=t.table.keys[rows]))
            floats.append(_float(part, numbers[t.family][rows], view, continued=start > 0))
    return head + "\n".join(floats)


def _float(t: TitledTable, trials: list[str], view: AblationView, *, continued: bool) -> str:
    # remarks and long verdicts make a page too wide: they stand below, numbered
    shown = [i for i, c in enumerate(t.table.columns) if c not in ("remarks", "inserted")]
    verdict = t.table.columns.index("verdict")
    align = "".join("l" if i == 0 or i == verdict else "r" for i in shown)
    lines = [" & ".join(_tex(t.table.columns[i]) for i in shown) + r" \\", r"\midrule"]
    notes: list[str] = []
    for row, numbers in zip(t.table.rows, trials, strict=True):
        cells = list(row)
        cells[verdict], *rest = re.split(r"[:;] ", row[verdict], maxsplit=1)
        details = [x for x in (*rest, row[t.table.columns.index("remarks")]) if x]
        mark = ""
        if details:
            notes.append("; ".join(details))
            mark = rf"\textsuperscript{{{len(notes)}}}"
        lines.append(" & ".join(_tex(cells[i]) + (mark if i == verdict else "") for i in shown) + rf" \\ % {numbers}")
    name = f"{t.title} ({view.header['name']}){', continued' if continued else ''}. "
    caption = _tex(name + (f"{PARTIAL}. " if t.partial else "") + ("" if continued else t.method))
    body = "\n".join(lines)
    below = "\n\n".join(rf"\textsuperscript{{{i}}} {_tex(text)}" for i, text in enumerate(notes, 1))
    size = r"\scriptsize" if len(shown) > 8 else r"\small"
    return (
        f"\\begin{{table}}[p]\n\\centering{size}\\setlength{{\\tabcolsep}}{{3pt}}\n\\caption{{{caption}}}\n"
        f"\\begin{{tabular}}{{{align}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\vspace{{2pt}}\\begin{{minipage}}{{\\linewidth}}\\raggedright\\footnotesize\n{below}\n"
        f"\\end{{minipage}}\n\\end{{table}}\n"
    )


_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "±": r"$\pm$", "Δ": r"$\Delta$",
    "–": "--", "−": "$-$", "×": r"$\times$", "γ": r"$\gamma$", "·": r"$\cdot$", "…": r"\ldots{}",
}  # fmt: skip
_MARK = "\0"  # around what is set in math; no other control character is let through


def _tex(text: str) -> str:
    """Text as LaTeX that pdflatex compiles, whatever is in it."""
    plain = "".join(c for c in " ".join(text.split()) if c.isprintable())
    marked = re.sub(r"(?<![\w.])([-+]?\d+\.\d+)", rf"{_MARK}\1{_MARK}", plain)  # signed numbers, for the minus
    return "".join("$" if c == _MARK else _SIGNS.get(c) or _letter(c) for c in marked)


def _letter(c: str) -> str:
    """A character that every font has: itself, without its accent, or a question mark."""
    if c.isascii():
        return c
    bare = "".join(x for x in unicodedata.normalize("NFKD", c) if x.isascii() and x.isprintable())
    return "".join(_SIGNS.get(x, x) for x in bare) or "?"


def csv_text(view: AblationView) -> str:
    """Every figure at full precision, one row a contrast and one a base."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures(view))
    return out.getvalue()


def figures(view: AblationView) -> list[dict[str, Any]]:
    """The rows of all tables as JSON-ready values, `CSV_COLUMNS` each; what a row does not have is None."""
    return [_figures(view, family, row) for family in FAMILIES for row in family_rows(view, family)]


def _figures(view: AblationView, family: str, r: Row) -> dict[str, Any]:
    d, result = r.decision, r.decision.result if r.decision else None
    return {
        "family": family,
        "comparison": r.label,
        "kinds": " ".join(r.kinds),
        "model": r.arm.model if r.arm is not None and r.arm.model else view.header["base"],
        "inserted": r.inserted,
        "architecture": str(r.arm.architecture) if r.arm is not None else "",
        "seeds": result.n if result else r.val.n if r.val else 0,
        **_moments("val", r.val),
        **_delta("val", result),
        "val_delta_sd": result.sd if result else None,
        "confidence": confidence(view) if any(_bounded(x) for x in (result, r.test_result)) else None,
        "p_uncorrected": result.p if result else None,
        "p_corrected": d.p if d else None,
        "effect_dz": result.effect if result else None,
        "verdict": shown_verdict(view, d) if d else "",
        "verdict_words": r.verdict,
        "more_seeds": d.more if d else None,
        "power_then": d.power_then if d else None,
        **_moments("test", r.test),
        **_delta("test", r.test_result),
        "gmacs": r.cost.get("gmacs"),
        "params_m": r.cost.get("params_m"),
        "trials": " ".join(map(str, r.trials)),
        "remarks": "; ".join(r.remarks),
        "partial": view.partial,
    }


def _bounded(result: Paired | None) -> bool:
    return result is not None and result.low is not None


def _moments(split: str, moments: object) -> dict[str, object]:
    return {
        f"{split}_map50_95_mean": getattr(moments, "mean", None),
        f"{split}_map50_95_sd": getattr(moments, "sd", None),
    }


def _delta(split: str, result: object) -> dict[str, object]:
    names = {"delta": "mean", "delta_low": "low", "delta_high": "high"}
    return {f"{split}_{name}": getattr(result, field, None) for name, field in names.items()}


def _trials(view: AblationView) -> dict[str, list[str]]:
    """Family -> the numbers of each row's trials."""
    return {f: [ranges(r.trials) for r in family_rows(view, f)] for f in FAMILIES}


def ranges(numbers: tuple[int, ...]) -> str:
    """Ascending numbers in short: `0-2, 5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def _about(view: AblationView) -> str:
    c = view.header["config"]
    data = c.get("data") or "the generated data set"
    full = view.header["ablation"]["full"]
    how = f"{c['epochs']} epochs at {c['imgsz']} px, start {c['start']}"
    return f"Full architecture: {full}. Base: {view.header['base']}. Data: {data}. Each trial: {how}."


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
