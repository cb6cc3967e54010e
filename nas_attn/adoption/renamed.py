"""The error for a model that cannot be built because `--as` gives a row another module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas_attn.adoption.article import ArticleRow
from nas_attn.adoption.foreign import numbered
from nas_attn.adoption.wiring import Wiring, shown
from nas_attn.detector.model import community_names
from nas_attn.errors import UserError


def renamed_refusal(wiring: Wiring, failed: int) -> UserError | None:
    """The error that names the renamed rows at or above a row that cannot be built; None if none can be the reason.

    A renamed row can be the reason if its arguments differ from those of the base, or if an unknown layer is read as
    attention, which keeps the shape of its map.

    Args:
        wiring: the repaired file.
        failed: number of the row that cannot be built.
    """
    article = wiring.article
    there = dict(zip(article.plain, wiring.reference or (), strict=False))
    suspects = [r for r in article.rows[: failed + 1] if r.meaning and _may_not_fit(r, there.get(r.number))]
    if not suspects:
        return None
    meaning, name = suspects[0].meaning, suspects[0].as_written
    suspects = [r for r in suspects if (r.meaning, r.as_written) == (meaning, name)]
    base = [there[r.number] for r in suspects if r.number in there]
    instead = f"{wiring.base} has {_shown(base)} there. " if base else ""
    if suspects[0].is_plain:
        rule = f"a row that `--as` reads as {meaning} must have the arguments of {meaning}"
        got = _shown([r.content for r in suspects])
        remedy = f"--as changes only the name: the arguments are read as those of {meaning}. {instead}"
        remedy += f"Write the arguments that {meaning} needs."
    else:
        rule = f"a row that `--as` reads as {meaning} must keep the channels and the size of its map"
        got = f"{name}, which is unknown here"
        remedy = "A layer that changes the map's shape cannot be read as attention."
    where = f"{article.path}, {numbered([r.number for r in suspects])} ({name})"
    return UserError(rule, got=f"{got}, and {shown(article, failed)} cannot be built", where=where, remedy=remedy)


def _may_not_fit(row: ArticleRow, base: Sequence[Any] | None) -> bool:
    if not row.is_plain:
        return community_names.lookup(row.as_written, ()) is None
    return base is None or row.content[3] != base[3]


def _shown(rows: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"[{', '.join(map(str, row[3]))}]" for row in rows)
