"""Wiring: the sources of each row in an article's file are compared with the base, to find mistakes of renumbering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas_attn.adoption.alignment import aligned
from nas_attn.adoption.article import Article, ArticleRow
from nas_attn.adoption.findings import Findings
from nas_attn.detector.model.rows import Rewritten, absolute
from nas_attn.errors import UserError

REPAIR, IN_LINE, KEEP = "repair", "in-line", "keep"
MODES = (REPAIR, IN_LINE, KEEP)


@dataclass
class Wiring:
    """The rows that each row of a file reads, after the repair of certain mistakes.

    Attributes:
        article: the file.
        sources: for each row of the file, the absolute numbers of the rows that it reads.
        same: True if every row reads the same rows as in the base, apart from attention.
        joined: rows of the base that other rows of the base read by absolute numbers.
        reference: rows of the base, one for each plain row of the file; None if no base is known.
        base: name of the base; empty if no base is known.
        completed: the base after the completion of its own layers; None if it has the plain rows of the file.
    """

    article: Article
    sources: list[list[int]]
    same: bool = True
    joined: frozenset[int] = frozenset()
    reference: Sequence[Sequence[Any]] | None = None
    base: str = ""
    completed: Rewritten | None = None

    def base_row(self, index: int) -> int:
        """The row of the base that a plain row, given by its index among plain rows, became."""
        return self.completed.row_map[index] if self.completed else index

    def base_output(self, index: int) -> int:
        """The row of the base that readers of a plain row read."""
        return self.completed.outputs[index] if self.completed else index

    def file_row(self, row: int) -> int:
        """The number, in the file, of the row that became a row of the base."""
        before = [n for i, n in enumerate(self.article.plain) if self.base_row(i) <= row]
        return before[-1]

    def root(self, number: int) -> int:
        """The index, among plain rows, of the row itself or of the plain row before attention; -1 is the image."""
        while number >= 0 and not self.article.rows[number].is_plain:
            number = self.sources[number][0]
        return self.article.plain.index(number) if number >= 0 else -1

    def behind(self, number: int) -> list[int]:
        """The row and the rows before it up to the plain row that it works on, the row itself first."""
        found = [number]
        while not self.article.rows[found[-1]].is_plain:
            found.append(self.sources[found[-1]][0])
        return found

    def output(self, index: int, before: int) -> int:
        """The row that a reader of a plain row should read: the last attention after it, else the plain row itself.

        Args:
            index: index of the plain row among plain rows; -1 is the image.
            before: number of the reader.
        """
        if index < 0:
            return -1
        own = [r.number for r in self.article.attention if r.number < before and self.root(r.number) == index]
        return own[-1] if own else self.article.plain[index]

    def readers(self, number: int) -> list[int]:
        """The rows that read a row."""
        return [n for n, sources in enumerate(self.sources) if number in sources]


def check_wiring(article: Article, reference: Sequence[Sequence[Any]] | None, base: str, mode: str,
                 findings: Findings) -> Wiring:  # fmt: skip
    """Compare the sources of all rows with those of the base, and repair as `mode` allows.

    Args:
        article: the file.
        reference: rows of the base, one for each plain row of the file; None if no base is known.
        base: name of the base, for messages.
        mode: `repair` corrects certain mistakes, `in-line` also lets the rows below read every attention, and `keep`
            changes nothing.
        findings: receives repairs and suspicions.

    Raises:
        UserError: a row reads a row that is not above it, and the intended row is unknown.
    """
    wiring = Wiring(article, [list(r.sources) for r in article.rows], reference=reference, base=base)
    for row in article.attention:
        _check_above(article, row, row.sources[0])
    numbers = (r[0] if isinstance(r[0], list) else [r[0]] for r in reference or ())
    wiring.joined = frozenset(n for given in numbers for n in given if n >= 0)
    never = mode != KEEP and reference is not None and _never_renumbered(wiring, reference)
    for index, number in enumerate(article.plain):
        row = article.rows[number]
        if reference is None:
            for source in row.sources:
                _check_above(article, row, source)
        else:
            _compare(wiring, row, index, reference[index], base, mode, never, findings)
    _unread(wiring, mode, findings)
    _bypassed(wiring, mode, findings)
    return wiring


def shown(article: Article, number: int) -> str:
    """Text for messages, such as `row 17 (ACmix)`."""
    return "the image" if number < 0 else f"row {number} ({article.rows[number].as_written})"


def _check_above(article: Article, row: ArticleRow, source: int) -> None:
    if not (0 <= source < row.number or (row.number == 0 and source == -1)):
        where = f"{article.path}, {shown(article, row.number)}"
        written = next((w for w, s in zip(row.written, row.sources, strict=True) if s == source and w < 0), None)
        got = f"row {source}" if written is None else f"{written}, with {row.number} rows above"
        raise UserError("a row must read rows above it", got=got, where=where)


def _compare(wiring: Wiring, row: ArticleRow, index: int, base_row: Sequence[Any], base: str, mode: str, never: bool,
             findings: Findings) -> None:  # fmt: skip
    """Compare the sources of one row with the base.

    Args:
        wiring: the wiring, which is repaired in place.
        row: the row.
        index: its index among plain rows.
        base_row: the same row of the base.
        base, mode, findings: as `check_wiring` takes them.
        never: True if the whole file still has the row numbers of the base.
    """
    article, kind = wiring.article, "head" if row.number == len(wiring.article.rows) - 1 else "join"
    wanted = absolute(base_row[0], index)
    given = base_row[0] if isinstance(base_row[0], list) else [base_row[0]]
    if len(wanted) != len(row.sources):
        _compare_some(wiring, row, wanted, base, mode, findings)
        return
    above = [s < row.number for s in row.sources]
    roots = [wiring.root(s) if ok else None for s, ok in zip(row.sources, above, strict=True)]
    wrong = [j for j, (r, w) in enumerate(zip(roots, wanted, strict=True)) if r != w]
    if wrong and all(above) and sorted(map(str, roots)) == sorted(map(str, wanted)):
        findings.suspect(row.number, kind, f"{shown(article, row.number)} reads the rows that {base} reads there, but "
                         "in another order: kept")  # fmt: skip
        wiring.same = False
        return
    inserted = sum(a.number < row.number for a in article.attention)
    now, whys, stale = list(row.sources), [], False
    for j in wrong:
        source, right = row.sources[j], wiring.output(wanted[j], row.number)
        what = f"{base} reads its row {wanted[j]} there, which is {shown(article, right)} in this file"
        if mode != KEEP and (not above[j] or _is_slip(row, j, right, wanted[j], given[j], inserted)):
            now[j] = right
            stale = stale or row.written[j] == wanted[j]
            whys.append(f"{what}, while {_standing(article, roots[j], source, base)}")
        else:
            _check_above(article, row, source)
            me = f"{shown(article, row.number)} reads {shown(article, source)}"
            findings.suspect(row.number, kind, f"{me}, but {what}: kept")
            wiring.same = False
    if stale or never:  # a number of the row, or all numbers of the file, were not renumbered after the insertion
        for j, source in enumerate(row.sources):
            right = wiring.output(wanted[j], row.number)
            if j not in wrong and right != source and row.written[j] == wanted[j]:
                now[j] = right
                whys.append(f"{shown(article, right)} comes after row {source}, which is still the number in {base}")
    if whys:
        wiring.sources[row.number] = now
        findings.repair(row.number, row.as_written, _from(row), _from(row, now), "; ".join(whys))


def _compare_some(
    wiring: Wiring, row: ArticleRow, wanted: Sequence[int], base: str, mode: str, findings: Findings
) -> None:
    """Compare a row that has more or fewer sources than in the base.

    Only numbers that are still those of the base are repaired. Any other number may be intended, because the row is
    not a copy of the base anyway.
    """
    article, kind = wiring.article, "head" if row.number == len(wiring.article.rows) - 1 else "join"
    roots = [wiring.root(s) if s < row.number else None for s in row.sources]
    pairs = aligned(
        [[2 * (roots[j] == w) or int(row.written[j] == w >= 0) for w in wanted] for j in range(len(row.sources))]
    )
    stale = {j: i for j, i in pairs if roots[j] != wanted[i]} if mode != KEEP else {}
    now = list(row.sources)
    whys = []
    for j, i in stale.items():
        now[j] = wiring.output(wanted[i], row.number)
        whys.append(f"{base} reads its row {wanted[i]} there, which is {shown(article, now[j])} in this file")
    for j, source in enumerate(row.sources):
        if j not in stale:
            _check_above(article, row, source)
    text = f"{shown(article, row.number)} reads {_rows(len(row.sources))}, but {base} reads {len(wanted)} there: kept"
    further = {row.written[j] for j in range(len(row.sources)) if j not in dict(pairs)} if stale else set()
    for number in sorted(further & wiring.joined):
        text += f". Its source {number} may need a new number too: row {number} of {base} is "
        text += f"{shown(article, wiring.output(number, row.number))} here"
    findings.suspect(row.number, kind, text)
    if whys:
        wiring.sources[row.number] = now
        findings.repair(row.number, row.as_written, _from(row), _from(row, now), "; ".join(whys))
    wiring.same = False


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _never_renumbered(wiring: Wiring, reference: Sequence[Sequence[Any]]) -> bool:
    """True if every wrong number is still that of the base, and only the head has other numbers.

    Such a file is a copy of the base with attention inserted: its right numbers are right by chance.
    """
    wrong = []
    for index, number in enumerate(wiring.article.plain):
        row, wanted = wiring.article.rows[number], absolute(reference[index][0], index)
        if len(wanted) != len(row.sources):
            continue
        for source, written, right in zip(row.sources, row.written, wanted, strict=True):
            if written < 0:
                continue
            if written != right and number != len(wiring.article.rows) - 1:
                return False
            if source >= number or wiring.root(source) != right:
                wrong.append(written == right)
    return bool(wrong) and all(wrong)


def _is_slip(row: ArticleRow, j: int, now: int, wanted: int, given: int, inserted: int) -> bool:
    """True if a wrong source is a mistake of renumbering.

    It is one if the number is still that of the base, or if it is wrong by at most the number of inserted rows.
    """
    if row.written[j] < 0:
        return row.written[j] == given
    return row.written[j] == wanted or abs(row.sources[j] - now) <= max(1, inserted)


def _standing(article: Article, root: int | None, source: int, base: str) -> str:
    if root is None:
        return f"row {source} is not above it"
    if source < 0:
        return f"{source} is the image"
    row = article.rows[source]
    behind = "comes after" if not row.is_plain else "is"
    return f"row {source} ({row.as_written}) {behind} row {root} of {base}"


def _from(row: ArticleRow, sources: Sequence[int] | None = None) -> str:
    """The `from` of a row as text, with the written or the given sources."""
    if sources is None:
        numbers = list(row.written)
    else:
        numbers = [w if s == own and w < 0 else s for s, own, w in zip(sources, row.sources, row.written, strict=True)]
    return str(numbers if isinstance(row.content[0], list) else numbers[0])


def _unread(wiring: Wiring, mode: str, findings: Findings) -> None:
    """Repair attention that no row reads, if exactly one row can read it; otherwise report it."""
    article = wiring.article
    for row in reversed(article.attention):
        if wiring.readers(row.number):
            continue
        root = wiring.root(row.number)
        behind = wiring.behind(row.number)[1:]
        could = [n for n in dict.fromkeys(n for b in behind for n in wiring.readers(b)) if n not in behind]
        could = [n for n in could if n > row.number]
        everyone = [n for n in wiring.readers(article.plain[root]) if n not in (*behind, row.number)]
        if could and mode != KEEP and (mode == IN_LINE or (everyone == could and len(could) == 1)):
            for n in could:
                reader = article.rows[n]
                was = _from(reader, wiring.sources[n])
                wiring.sources[n] = [row.number if s in behind else s for s in wiring.sources[n]]
                why = f"no row read {shown(article, row.number)}, which comes after row {behind[-1]}"
                findings.repair(n, reader.as_written, was, _from(reader, wiring.sources[n]), why)
        else:
            more = " With --wiring in-line, the rows below read it." if could and mode != IN_LINE else ""
            findings.suspect(row.number, "unread", f"no row reads {shown(article, row.number)}: it has no effect and "
                             f"is left out.{more}")  # fmt: skip


def _bypassed(wiring: Wiring, mode: str, findings: Findings) -> None:
    """Report rows that skip attention: they read the row before it, although the attention is above them."""
    article = wiring.article
    read = {r.number for r in article.attention if wiring.readers(r.number)}
    for number in article.plain:
        row = article.rows[number]
        for j, source in enumerate(wiring.sources[number]):
            if source < 0:
                continue
            last = wiring.output(wiring.root(source), number)
            if last == source or last not in read or source not in wiring.behind(last):
                continue
            past = f"{shown(article, number)} reads {shown(article, source)} and skips {shown(article, last)} after it"
            if mode == IN_LINE:
                was = _from(row, wiring.sources[number])
                wiring.sources[number][j] = last
                findings.repair(number, row.as_written, was, _from(row, wiring.sources[number]),
                                f"it skipped {shown(article, last)}, and --wiring in-line was given")  # fmt: skip
            else:
                other = [n for n in wiring.readers(last) if n != number]
                who = ", ".join(shown(article, n) for n in other)
                findings.suspect(number, "bypass", f"{past}, so only {who} reads the attention: kept. If all "
                                 f"should read it, write {last} for {source}, or give --wiring in-line")  # fmt: skip
