"""The lineage of an article's file: the model YAML of Ultralytics that it was made from, and its scale."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.adoption.article import Article
from nas_attn.adoption.findings import Findings
from nas_attn.detector.model.base_model import UNLIMITED
from nas_attn.detector.model.model_yaml import FACTORS, read_yaml
from nas_attn.detector.model.shipped_models import packaged
from nas_attn.errors import UnknownName, UserError
from nas_attn.tasks import HEADS

STATED = "yolov5"  # its files state one scale as depth and width
LIKE = 0.8  # least share of equal rows at which a base is named as the nearest
_LITERALS = {"None": None, "True": True, "False": False}


@dataclass(frozen=True)
class Lineage:
    """A file's base.

    Attributes:
        name: name of the packaged YAML; empty if none has the same rows.
        source: its content.
        differences: differences of the file's other rows and settings to it, each in words.
        extra: if no base has the same rows, numbers of the rows that the nearest base does not have.
    """

    name: str = ""
    source: dict[str, Any] | None = None
    differences: tuple[str, ...] = ()
    extra: tuple[int, ...] = ()

    @property
    def rows(self) -> list[list[Any]] | None:
        """Rows of the base; None without one."""
        return None if self.source is None else [*self.source["backbone"], *self.source["head"]]


def find_lineage(article: Article) -> Lineage:
    """The packaged detector with the same modules in the same order, fewest differences first.

    If none has them, the result has no name, and its differences name the nearest.
    """
    own = [_plain(article.rows[n].content, article.nc) for n in article.plain]
    modules = [row[1] for row in own]
    found, like = [], []
    for name, path in packaged().items():
        source = read_yaml(path)
        rows = [_plain(row, source["nc"]) for row in (*source["backbone"], *source["head"])]
        if rows[-1][1] not in HEADS:
            continue
        theirs = [row[1] for row in rows]
        if theirs[:-1] == modules[:-1]:
            differs = [*_row_differences(article, own, rows, name), *_setting_differences(article.settings, source)]
            same_scale = bool(article.scales) and not set(article.scales) <= set(source.get("scales") or ())
            found.append((len(differs), same_scale, len(name), name, source, differs))
        else:
            matcher = difflib.SequenceMatcher(None, modules, theirs, autojunk=False)
            like.append((matcher.ratio(), -len(name), name, matcher))
    if not found:
        share, _, nearest, matcher = max(like, key=lambda one: one[:2])
        if share < LIKE:
            return Lineage(differences=("it has the rows of no base that Ultralytics ships",))
        blocks = matcher.get_matching_blocks()
        equal = {article.plain[b.a + i] for b in blocks for i in range(b.size)}
        extra = tuple(n for n in article.plain if n not in equal)
        more = ", ".join(f"row {n} ({article.rows[n].as_written})" for n in extra)
        missing = "" if more else "; it has rows that are missing here"
        return Lineage(
            differences=(f"its rows are nearest to {nearest}" + (f", which lacks {more}" if more else missing),),
            extra=extra,
        )
    _, _, _, name, source, differs = min(found, key=lambda f: f[:4])
    return Lineage(name, source, tuple(differs))


@dataclass(frozen=True)
class Scale:
    """A scale of the file.

    Attributes:
        key: its letter.
        factors: depth factor, width factor, largest channel count.
        of_base: True if the base has this very scale.
    """

    key: str
    factors: tuple[float, float, float]
    of_base: bool


def choose_scale(article: Article, lineage: Lineage, asked: str | None, findings: Findings) -> Scale:
    """The scale to build: the one asked for, else the one that the file states, else the one in its name.

    Raises:
        UnknownName, UserError: the file does not define the one asked for.
    """
    theirs = dict((lineage.source or {}).get("scales") or {})
    where = str(article.path)
    if article.scales:
        if article.factors:
            findings.suspect(None, "scale", f"{' and '.join(FACTORS)} stand beside `scales`, which Ultralytics reads")
        named = _named(article.path)
        key = asked or named or next(iter(article.scales))
        if article.scale not in ("", key) and not asked:
            why = "the file's name says so" if named else "it is the first, and the file's name says none"
            other = f"; --model-scale {article.scale} takes the other" if article.scale in article.scales else ""
            read = f"`scale: {article.scale}` is a key that Ultralytics does not read"
            findings.suspect(None, "scale", f"{read}: {key} is taken as Ultralytics would, for {why}{other}")
        if key not in article.scales:
            raise UnknownName("scale", key, article.scales, where=where)
        depth, width, channels = article.scales[key]
        return Scale(key, (depth, width, channels), list(theirs.get(key, ())) == [depth, width, channels])
    if article.factors:
        return _of_factors(article, lineage, asked, theirs, findings)
    if theirs:
        named = _named(article.path)
        key = asked or (named if named in theirs else next(iter(theirs)))
        if key not in theirs:
            raise UnknownName("scale", key, theirs, where=f"{where}, which defines none: those of {lineage.name}")
        findings.repair(None, "scales", "missing", f"{key}: {theirs[key]}", f"{lineage.name} has it so")
        return Scale(key, tuple(theirs[key]), True)
    if asked is not None:
        raise UserError(
            "the file must define the scale that is asked for", got=f"{asked}; it defines none", where=where
        )
    own = lineage.source or {}
    depth, width = (own.get(f, 1.0) for f in FACTORS)
    return Scale("n", (depth, width, UNLIMITED), lineage.source is not None)


def _of_factors(
    article: Article, lineage: Lineage, asked: str | None, theirs: dict[str, Sequence[float]], findings: Findings
) -> Scale:
    """A YOLOv5 file states depth and width, so it is one scale already."""
    depth, width = article.factors
    whose = lineage.name if theirs else STATED
    stated = f"depth_multiple {depth:g} and width_multiple {width:g}"
    known = theirs or read_yaml(packaged()[STATED])["scales"]
    key = next((k for k, f in known.items() if (f[0], f[1]) == (depth, width)), None)
    if asked is not None and asked != key:
        is_it = f"which is scale {key} of {whose}" if key else f"which is no scale of {whose}"
        raise UserError(
            "the file must define the scale that is asked for",
            got=f"{asked}; it states {stated}, {is_it}",
            where=str(article.path),
            remedy=f"Leave --model-scale out{f', or give {key}' if key else ''}; or change the two numbers.",
        )
    rows = lineage.rows or []
    widest = max((r[3][0] for r in rows[:-1] if r[3] and isinstance(r[3][0], int)), default=0)
    if key is None or not theirs or widest > theirs[key][2]:
        if theirs:
            findings.suspect(None, "scale", f"{stated} are no scale of {lineage.name}, so this is another network")
        of_base = not theirs and tuple((lineage.source or {}).get(f, 1.0) for f in FACTORS) == (depth, width)
        return Scale(key or "n", (depth, width, UNLIMITED), of_base and lineage.source is not None)
    findings.repair(None, "scales", stated, f"scale {key}", f"{lineage.name} calls them so")
    return Scale(key, (depth, width, theirs[key][2]), True)


def base_name(lineage: Lineage, key: str) -> str:
    """The name by which `load_base` takes a scale of a base, e.g. `yolo11n`."""
    many = len((lineage.source or {}).get("scales") or ()) > 1
    return re.sub(r"(\d+)", rf"\g<1>{key}", lineage.name, count=1) if many else lineage.name


def _named(path: Path) -> str:
    """The scale in a file's name, as Ultralytics reads it."""
    from ultralytics.nn.tasks import guess_model_scale

    return str(guess_model_scale(path))


def _plain(row: Sequence[Any], nc: int | None) -> list[Any]:
    """[repeats, module, arguments] with literals in one form, so that equal rows compare equal."""
    _, repeats, module, arguments = row
    known = [_LITERALS.get(a, a) if isinstance(a, str) else a for a in arguments]
    if module in HEADS and known and known[0] == nc:
        known[0] = "nc"
    return [repeats, module, known]


def _row_differences(article: Article, own: list[list[Any]], theirs: list[list[Any]], name: str) -> list[str]:
    found = []
    for number, ours, base in zip(article.plain, own, theirs, strict=True):
        if ours != base:
            found.append(f"row {number} is {_shown(ours)}, where {name} has {_shown(base)}")
    return found


def _setting_differences(own: dict[str, Any], source: dict[str, Any]) -> list[str]:
    keys = ({*own, *source}) - {"nc", "scales", "scale", "backbone", "head", "kpt_shape", "anchors", *FACTORS}
    return [
        f"`{k}` is {own.get(k, 'missing')}, where the base has {source.get(k, 'none')}"
        for k in sorted(keys)
        if own.get(k) != source.get(k)
    ]


def _shown(row: Sequence[Any]) -> str:
    repeats, module, arguments = row
    return f"[{repeats}, {module}, [{', '.join(map(str, arguments))}]]"
