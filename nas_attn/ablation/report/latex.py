"""The tables of an ablation as LaTeX floats with booktabs, for `\\input` into a document.

A two-column paper does not accept `longtable`, so this file splits long tables into floats that fit a page.
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

FLOAT_ROWS, FLOAT_LINES = (
    24,
    36,
)  # most rows of a float, and most lines with the notes below: so much fits a landscape page
NOTE_WIDTH = 180  # characters in a line of notes
WORD = 40  # longer words may be broken
BELOW = ("remarks", "inserted")  # columns that go below the table, because they are too wide
DOCUMENT = r"""% pdflatex ablation.tex; for a paper, \usepackage{booktabs} and \input{ablation_tables}
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\begin{document}
\input{ablation_tables}
\end{document}
"""
# without `belowcaptionskip` the caption touches the table
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
    """All tables as LaTeX floats; a comment in each row gives the numbers of its trials."""
    told = f"{about(view)} This applies to all tables of the ablation."
    floats: list[str] = []
    for t in ablation_tables(view):
        lines = [_line(t, *row) for row in zip(t.table.rows, t.rows, strict=True)]
        for i, page in enumerate(_pages(lines, 0 if floats else len(told) / NOTE_WIDTH)):
            floats.append(_float(t, page, view.header["name"], "" if floats else told, continued=i > 0))
    head = " ".join(f"{view.header['name']}, nas_attn {__version__}; {about(view)}".split())
    return f"% {head}\n" + "\n".join(floats)


@dataclass(frozen=True)
class _Line:
    """A row of a float: its cells, its note and inserted genes below the table, and its trials."""

    cells: tuple[str, ...]
    note: str
    inserted: str
    trials: str

    @property
    def height(self) -> float:
        """The estimated height in lines of text: each note begins a new line; the inserted genes share lines."""
        arm = f"{self.cells[0]}: {self.inserted}; " if self.inserted else ""
        return 1 + math.ceil(len(self.note) / NOTE_WIDTH) + len(arm) / NOTE_WIDTH


def _line(t: TitledTable, cells: tuple[str, ...], row: ComparisonRow) -> _Line:
    # remarks and long verdicts are too wide for a table: they become numbered notes
    named = dict(zip(t.table.columns, cells, strict=True))
    named["verdict"], *rest = re.split(r"[:;] ", named["verdict"], maxsplit=1)
    note = "; ".join(x for x in (*rest, named["remarks"]) if x)
    return _Line(tuple(cell for c, cell in named.items() if c not in BELOW), note, row.inserted, ranges(row.trials))


def _pages(lines: Iterable[_Line], height: float) -> Iterator[list[_Line]]:
    """The rows of each float, which must fit one page; `height` lines of the first page are already taken."""
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
        below.append(f"Inserted modules: {arms}.")
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
# stand-ins for the start or end of math, and for a possible line break; other control characters are removed
_MARK, _BREAK = "\0", "\1"
_PIECES = re.compile(rf".{{1,{WORD // 2}}}$|.{{0,{WORD // 2}}}[,;/_(=]|.{{5}}")


def _tex(text: str) -> str:
    """The text as LaTeX that pdflatex compiles."""
    plain = "".join(c for c in " ".join(text.split()) if c.isprintable())
    marked = re.sub(r"(?<![\w.])([-+]?\d+\.\d+)", rf"{_MARK}\1{_MARK}", plain)  # in math, for a true minus sign
    broken = " ".join(_breakable(word) for word in marked.split(" "))
    return "".join(_SIGNS.get(c) or _letter(c) for c in broken)


def _breakable(word: str) -> str:
    """The word; if it is longer than `WORD`, with possible line breaks."""
    return _BREAK.join(_PIECES.findall(word)) if len(word) > WORD else word


def _letter(c: str) -> str:
    """The nearest ASCII character: the character itself, without its accent, or a question mark."""
    if c.isascii():
        return c
    bare = "".join(x for x in unicodedata.normalize("NFKD", c) if x.isascii() and x.isprintable())
    return "".join(_SIGNS.get(x, x) for x in bare) or "?"
