"""The lineage of an article's file: the model YAML of Ultralytics from which it was made, and its scale."""

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

STATED = "yolov5"  # files of this model state one scale, as depth and width
LIKE = 0.8  # least share of equal rows for the nearest base
_LITERALS = {"None": None, "True": True, "False": False}


@dataclass(frozen=True)
class Lineage:
    """A file's base.

    Attributes:
        name: name of the shipped YAML; empty if none has the same rows.
        source: the content of that YAML.
        differences: each difference between the file and that YAML besides attention, in words.
        extra: if no base has the same rows, the numbers of the rows that the nearest base does not have.
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
    """The shipped detector with the same modules in the same order; of several, the one with the fewest differences.

    If there is none, the result has no name, and `differences` names the nearest detector.
    """
    own = [_plain(article.rows[n].content, article.nc) for n in article.plain]
    modules = [row[1] for row in own]
    own_layers = [bool(article.rows[n].layer) for n in article.plain]
    found, like = [], []
    for name, path in packaged().items():
        source = read_yaml(path)
        rows = [_plain(row, source["nc"]) for row in (*source["backbone"], *source["head"])]
        if rows[-1][1] not in HEADS:
            continue
        theirs = [row[1] for row in rows]
        pairs = list(zip(theirs, modules, own_layers, strict=False))[:-1]
        if len(theirs) == len(modules) and all(free or t == m for t, m, free in pairs):
            differs = [*_row_differences(article, own, rows, name), *_setting_differences(article.settings, source)]
            same_scale = bool(article.scales) and not set(article.scales) <= set(source.get("scales") or ())
            found.append((len(differs), same_scale, len(name), name, source, differs))
        else:
            matcher = difflib.SequenceMatcher(None, modules, theirs, autojunk=False)
            like.append((matcher.ratio(), -len(name), name, matcher))
    if not found:
        share, _, nearest, matcher = max(like, key=lambda one: one[:2])
        if share < LIKE:
            return Lineage(differences=("no base that Ultralytics ships has its rows",))
        blocks = matcher.get_matching_blocks()
        equal = {article.plain[b.a + i] for b in blocks for i in range(b.size)}
        extra = tuple(n for n in article.plain if n not in equal)
        more = ", ".join(f"row {n} ({article.rows[n].as_written})" for n in extra)
        missing = ", which has rows that are missing here"
        return Lineage(
            differences=(f"the nearest base is {nearest}" + (f", which lacks {more}" if more else missing),),
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
        of_base: True if the base has the same scale.
    """

    key: str
    factors: tuple[float, float, float]
    of_base: bool


def choose_scale(article: Article, lineage: Lineage, asked: str | None, findings: Findings) -> Scale:
    """The scale to build: the requested one, else the one in the name of the file, else its first or stated one.

    Args:
        article: the file.
        lineage: its base.
        asked: the requested scale, if any.
        findings: receives repairs and suspicions.

    Raises:
        UnknownName, UserError: the file does not define the requested scale.
    """
    theirs = dict((lineage.source or {}).get("scales") or {})
    where = str(article.path)
    if article.scales:
        if article.factors:
            findings.suspect(None, "scale", f"it has {' and '.join(FACTORS)}, but Ultralytics reads its `scales`")
        named = _named(article.path)
        key = asked or named or next(iter(article.scales))
        if article.scale not in ("", key) and not asked:
            why = "the file name has it" if named else "it is the first, and the file name has none"
            other = f"; --model-scale {article.scale} chooses the other" if article.scale in article.scales else ""
            read = f"`scale: {article.scale}` is a key that Ultralytics does not read"
            findings.suspect(None, "scale", f"{read}: scale {key} is used, as in Ultralytics, because {why}{other}")
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
            where = f"{where}, which has no scales; those of {lineage.name} are used"
            raise UnknownName("scale", key, theirs, where=where)
        findings.repair(None, "scales", "missing", f"{key}: {theirs[key]}", f"as in {lineage.name}")
        return Scale(key, tuple(theirs[key]), True)
    if asked is not None:
        raise UserError("the file must define the requested scale", got=f"{asked}; it defines none", where=where)
    own = lineage.source or {}
    depth, width = (own.get(f, 1.0) for f in FACTORS)
    return Scale("n", (depth, width, UNLIMITED), lineage.source is not None)


def _of_factors(
    article: Article, lineage: Lineage, asked: str | None, theirs: dict[str, Sequence[float]], findings: Findings
) -> Scale:
    """The scale of a YOLOv5 file, which states depth and width."""
    depth, width = article.factors
    whose = lineage.name if theirs else STATED
    stated = f"depth_multiple {depth:g} and width_multiple {width:g}"
    known = theirs or read_yaml(packaged()[STATED])["scales"]
    key = next((k for k, f in known.items() if (f[0], f[1]) == (depth, width)), None)
    if asked is not None and asked != key:
        is_it = f"which is scale {key} of {whose}" if key else f"which is no scale of {whose}"
        raise UserError(
            "the file must define the requested scale",
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
    findings.repair(None, "scales", stated, f"scale {key}", f"as in {lineage.name}")
    return Scale(key, (depth, width, theirs[key][2]), True)


def base_name(lineage: Lineage, key: str) -> str:
    """The name of a base at a scale, as `load_base` takes it, e.g. `yolo11n`."""
    many = len((lineage.source or {}).get("scales") or ()) > 1
    return re.sub(r"(\d+)", rf"\g<1>{key}", lineage.name, count=1) if many else lineage.name


def _named(path: Path) -> str:
    """The scale in a file's name, as Ultralytics reads it."""
    from ultralytics.nn.tasks import guess_model_scale

    return str(guess_model_scale(path))


def _plain(row: Sequence[Any], nc: int | None) -> list[Any]:
    """[repeats, module, arguments] of a row, with literals in one form so that equal rows compare equal."""
    _, repeats, module, arguments = row
    known = [_LITERALS.get(a, a) if isinstance(a, str) else a for a in arguments]
    if module in HEADS and known and known[0] == nc:
        known[0] = "nc"
    return [repeats, module, known]


def _row_differences(article: Article, own: list[list[Any]], theirs: list[list[Any]], name: str) -> list[str]:
    found = []
    for number, ours, base in zip(article.plain, own, theirs, strict=True):
        if ours != base:
            found.append(f"row {number} is {_shown(ours)}, but {name} has {_shown(base)}")
    return found


def _setting_differences(own: dict[str, Any], source: dict[str, Any]) -> list[str]:
    keys = ({*own, *source}) - {"nc", "scales", "scale", "backbone", "head", "kpt_shape", "anchors", *FACTORS}
    return [
        f"`{k}` is {own.get(k, 'missing')}, but the base has {source.get(k, 'none')}"
        for k in sorted(keys)
        if own.get(k) != source.get(k)
    ]


def _shown(row: Sequence[Any]) -> str:
    repeats, module, arguments = row
    return f"[{repeats}, {module}, [{', '.join(map(str, arguments))}]]"
