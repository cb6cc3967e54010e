"""An ablation's tables as files: Markdown, LaTeX with booktabs, CSV. Each figure can be traced to its trials."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn._version import __version__
from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.rows import Row, family_rows
from nas_attn.ablation.report.tables import TitledTable, ablation_tables
from nas_attn.ablation.report.words import confidence, planned_seeds, shown_verdict, summary
from nas_attn.ablation.view import AblationView
from nas_attn.atomic_files import write_text_atomic
from nas_attn.statistics.paired import Paired

PARTIAL = "PARTIAL: training is not finished"
FLOAT_ROWS, FLOAT_LINES = 24, 36  # of a table, and with what stands below it: a landscape page has room for them
NOTE_WIDTH = 180  # characters of a line below
WORD = 40  # characters of the longest word that is never broken
BELOW = ("remarks", "inserted")  # columns that would make a page too wide
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
    about = f"{_about(view)} This holds for all tables of the ablation."
    head = "% " + " ".join(f"{view.header['name']}, nas_attn {__version__}; {_about(view)}".split()) + "\n"
    floats: list[str] = []
    for t in ablation_tables(view):
        lines = [_line(t, *row) for row in zip(t.table.rows, family_rows(view, t.family), strict=True)]
        done = 0
        for count in _fitting(lines, 0 if floats else len(about) / NOTE_WIDTH):
            floats.append(_float(t, lines[done : done + count], view, "" if floats else about, continued=done > 0))
            done += count
    return head + "\n".join(floats)


@dataclass(frozen=True)
class _Line:
    """A row of a float: its cells, what stands below the float about it, what it inserts, its trials."""

    cells: tuple[str, ...]
    note: str
    inserted: str
    trials: str

    @property
    def height(self) -> float:
        """In lines of text, about: a note begins a line of its own, what is inserted goes on in one."""
        arm = f"{self.cells[0]}: {self.inserted}; " if self.inserted else ""
        return 1 + math.ceil(len(self.note) / NOTE_WIDTH) + len(arm) / NOTE_WIDTH


def _line(t: TitledTable, cells: tuple[str, ...], row: Row) -> _Line:
    # remarks and long verdicts make a page too wide: they stand below, numbered
    verdict, remarks = (t.table.columns.index(name) for name in ("verdict", "remarks"))
    word, *rest = re.split(r"[:;] ", cells[verdict], maxsplit=1)
    note = "; ".join(x for x in (*rest, cells[remarks]) if x)
    kept = (word if i == verdict else cell for i, cell in enumerate(cells) if t.table.columns[i] not in BELOW)
    return _Line(tuple(kept), note, row.inserted, ranges(row.trials))


def _fitting(lines: Sequence[_Line], about: float) -> Iterator[int]:
    """How many rows each float takes, as it cannot break over pages; the first also has what holds for all."""
    count, height = 0, about
    for line in lines:
        if count and (count == FLOAT_ROWS or height + line.height > FLOAT_LINES):
            yield count
            count, height = 0, 0.0
        count, height = count + 1, height + line.height
    if count:
        yield count


def _float(t: TitledTable, rows: Sequence[_Line], view: AblationView, about: str, *, continued: bool) -> str:
    columns = [c for c in t.table.columns if c not in BELOW]
    align = "".join("l" if i == 0 or c == "verdict" else "r" for i, c in enumerate(columns))
    lines = [" & ".join(map(_tex, columns)) + r" \\", r"\midrule"]
    notes = [row.note for row in rows if row.note]
    marks = (rf"\textsuperscript{{{i}}}" for i in itertools.count(1))
    for row in rows:
        cells = [_tex(c) for c in row.cells]
        cells[columns.index("verdict")] += next(marks) if row.note else ""
        lines.append(" & ".join(cells) + rf" \\ % {row.trials}")
    name = f"{t.title} ({view.header['name']}){', continued' if continued else ''}. "
    caption = _tex(name + (f"{PARTIAL}. " if t.partial else "") + ("" if continued else t.method))
    body = "\n".join(lines)
    below = [rf"\textsuperscript{{{i}}} {_tex(text)}" for i, text in enumerate(notes, 1)]
    if arms := "; ".join(rf"\emph{{{_tex(row.cells[0])}}}: {_tex(row.inserted)}" for row in rows if row.inserted):
        below.append(f"Inserted by arm: {arms}.")
    if about:
        below.append(_tex(about))
    size = r"\scriptsize" if len(columns) > 8 else r"\small"
    under = "\n\n".join(below)
    return (
        f"\\begin{{table}}[p]\n\\centering{size}\\setlength{{\\tabcolsep}}{{3pt}}"
        "\\setlength{\\belowcaptionskip}{4pt}"  # above a table a caption has no distance of its own
        f"\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{align}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        f"\\par\\vspace{{2pt}}\\begin{{minipage}}{{\\linewidth}}\\raggedright\\footnotesize\n{under}\n"
        f"\\end{{minipage}}\n\\end{{table}}\n"
    )


_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "±": r"$\pm$", "Δ": r"$\Delta$",
    "–": "--", "−": "$-$", "×": r"$\times$", "γ": r"$\gamma$", "·": r"$\cdot$", "…": r"\ldots{}",
    "\0": "$", "\1": r"\allowbreak{}",
}  # fmt: skip
# around what is set in math, and where a line may end; no other control character is let through
_MARK, _BREAK = "\0", "\1"
_PIECES = re.compile(rf".{{1,{WORD // 2}}}$|.{{0,{WORD // 2}}}[,;/_(=]|.{{5}}")


def _tex(text: str) -> str:
    """Text as LaTeX that pdflatex compiles, whatever is in it."""
    plain = "".join(c for c in " ".join(text.split()) if c.isprintable())
    marked = re.sub(r"(?<![\w.])([-+]?\d+\.\d+)", rf"{_MARK}\1{_MARK}", plain)  # signed numbers, for the minus
    broken = " ".join(_breakable(word) for word in marked.split(" "))
    return "".join(_SIGNS.get(c) or _letter(c) for c in broken)


def _breakable(word: str) -> str:
    """A word with places where a line may end, where it is too long for a narrow column."""
    return _BREAK.join(_PIECES.findall(word)) if len(word) > WORD else word


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
    trained = f"Data: {data}. Each trial: {how}. Seeds: {planned_seeds(view)}."
    return f"Full architecture: {full}. Base model: {view.header['base']}. {trained}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
