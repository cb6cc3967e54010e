"""An ablation's tables as LaTeX with booktabs: floats for a document to `\\input`.

Floats, because `longtable` is refused in a paper of two columns; so long tables are cut here, to fit a page.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nas_attn._version import __version__
from nas_attn.ablation.report.rows import ComparisonRow
from nas_attn.ablation.report.tables import TitledTable, ablation_tables
from nas_attn.ablation.report.words import PARTIAL, about, ranges
from nas_attn.ablation.view import AblationView

FLOAT_ROWS, FLOAT_LINES = 24, 36  # of a table, and with what stands below it: a landscape page has room for them
NOTE_WIDTH = 180  # characters of a line below
WORD = 40  # characters of the longest word that is never broken
BELOW = ("remarks", "inserted")  # columns that would make a page too wide
DOCUMENT = r"""% pdflatex ablation.tex; for a paper, \usepackage{booktabs} and \input{ablation_tables}
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\begin{document}
\input{ablation_tables}
\end{document}
"""
# a caption has no distance to a table below it, unless `belowcaptionskip` gives one
_FLOAT = r"""\begin{table}[p]
\centering<size>\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}
\caption{<caption>}
\begin{tabular}{<align>}
\toprule
<head> \\
\midrule
<body>
\bottomrule
\end{tabular}
\par\vspace{2pt}\begin{minipage}{\linewidth}\raggedright\footnotesize
<below>
\end{minipage}
\end{table}
"""


def latex(view: AblationView) -> str:
    """All tables as LaTeX floats; comments name the trials of each row."""
    told = f"{about(view)} This holds for all tables of the ablation."
    floats: list[str] = []
    for t in ablation_tables(view):
        lines = [_line(t, *row) for row in zip(t.table.rows, t.rows, strict=True)]
        for i, page in enumerate(_pages(lines, 0 if floats else len(told) / NOTE_WIDTH)):
            floats.append(_float(t, page, view.header["name"], "" if floats else told, continued=i > 0))
    head = " ".join(f"{view.header['name']}, nas_attn {__version__}; {about(view)}".split())
    return f"% {head}\n" + "\n".join(floats)


@dataclass(frozen=True)
class _Line:
    """A row of a float: its cells, the text below the float about it, the genes that it inserts, its trials."""

    cells: tuple[str, ...]
    note: str
    inserted: str
    trials: str

    @property
    def height(self) -> float:
        """The height in lines of text, estimated: each note begins a new line, the genes inserted share lines."""
        arm = f"{self.cells[0]}: {self.inserted}; " if self.inserted else ""
        return 1 + math.ceil(len(self.note) / NOTE_WIDTH) + len(arm) / NOTE_WIDTH


def _line(t: TitledTable, cells: tuple[str, ...], row: ComparisonRow) -> _Line:
    # remarks and long verdicts make a page too wide: they stand below, numbered
    named = dict(zip(t.table.columns, cells, strict=True))
    named["verdict"], *rest = re.split(r"[:;] ", named["verdict"], maxsplit=1)
    note = "; ".join(x for x in (*rest, named["remarks"]) if x)
    return _Line(tuple(cell for c, cell in named.items() if c not in BELOW), note, row.inserted, ranges(row.trials))


def _pages(lines: Iterable[_Line], height: float) -> Iterator[list[_Line]]:
    """The rows of each float, which cannot break over pages; the first starts at a height, in lines of text."""
    page: list[_Line] = []
    for line in lines:
        if page and (len(page) == FLOAT_ROWS or height + line.height > FLOAT_LINES):
            yield page
            page, height = [], 0.0
        page.append(line)
        height += line.height
    if page:
        yield page


def _float(t: TitledTable, rows: Sequence[_Line], name: str, told: str, *, continued: bool) -> str:
    columns = [c for c in t.table.columns if c not in BELOW]
    body, below = [], []
    marks = itertools.count(1)
    for row in rows:
        cells = [_tex(c) for c in row.cells]
        if row.note:
            mark = rf"\textsuperscript{{{next(marks)}}}"
            cells[columns.index("verdict")] += mark
            below.append(f"{mark} {_tex(row.note)}")
        body.append(" & ".join(cells) + rf" \\ % {row.trials}")
    if arms := "; ".join(rf"\emph{{{_tex(row.cells[0])}}}: {_tex(row.inserted)}" for row in rows if row.inserted):
        below.append(f"Inserted by arm: {arms}.")
    title = f"{t.title} ({name}){', continued' if continued else ''}. {f'{PARTIAL}. ' if t.partial else ''}"
    parts = {
        "size": r"\scriptsize" if len(columns) > 8 else r"\small",
        "caption": _tex(title + ("" if continued else t.method)),
        "align": "".join("l" if i == 0 or c == "verdict" else "r" for i, c in enumerate(columns)),
        "head": " & ".join(map(_tex, columns)),
        "body": "\n".join(body),
        "below": "\n\n".join([*below, *([_tex(told)] if told else [])]),
    }
    return re.sub("<([a-z]+)>", lambda part: parts[part[1]], _FLOAT)


_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "±": r"$\pm$", "Δ": r"$\Delta$",
    "–": "--", "−": "$-$", "×": r"$\times$", "γ": r"$\gamma$", "·": r"$\cdot$", "…": r"\ldots{}",
    "\0": "$", "\1": r"\allowbreak{}",
}  # fmt: skip
# around text set in math, and at places where a line may end; no other control character is let through
_MARK, _BREAK = "\0", "\1"
_PIECES = re.compile(rf".{{1,{WORD // 2}}}$|.{{0,{WORD // 2}}}[,;/_(=]|.{{5}}")


def _tex(text: str) -> str:
    """Any text as LaTeX that pdflatex compiles."""
    plain = "".join(c for c in " ".join(text.split()) if c.isprintable())
    marked = re.sub(r"(?<![\w.])([-+]?\d+\.\d+)", rf"{_MARK}\1{_MARK}", plain)  # signed numbers, for the minus
    broken = " ".join(_breakable(word) for word in marked.split(" "))
    return "".join(_SIGNS.get(c) or _letter(c) for c in broken)


def _breakable(word: str) -> str:
    """A word; if it is too long for a narrow column, with places where a line may end."""
    return _BREAK.join(_PIECES.findall(word)) if len(word) > WORD else word


def _letter(c: str) -> str:
    """A character that every font has: itself, without its accent, or a question mark."""
    if c.isascii():
        return c
    bare = "".join(x for x in unicodedata.normalize("NFKD", c) if x.isascii() and x.isprintable())
    return "".join(_SIGNS.get(x, x) for x in bare) or "?"
