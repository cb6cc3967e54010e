"""A community's model YAML as written: its rows, and the row numbers that its comments claim."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nas_attn.detector.adoption import names
from nas_attn.detector.adoption.unreadable import full_width, unreadable
from nas_attn.detector.integrity import KEY
from nas_attn.detector.model_yaml import FACTORS, HEADS, check_detector
from nas_attn.detector.surgery import absolute
from nas_attn.errors import UserError
from nas_attn.files import parse_yaml

_CLAIM = re.compile(
    r"[#\s]*(?:layer\s*|row\s*)?(\d+)(?![\w.,×%])", re.IGNORECASE
)  # `# 17 (P3/8-small)`, `#9`, `# 0-P1/2`
_OF_THE_NETWORK = {"activation", "end2end", "inplace", "kpt_shape", "reg_max", "text_model"}  # what the parser reads
_READ_APART = {"nc", "scales", "scale", "anchors", "ch", "channels", "names", "yaml_file", "backbone", "head", *FACTORS}


@dataclass(frozen=True)
class Row:
    """One row of the file.

    Attributes:
        number: counted from 0 over backbone and head.
        sources: absolute rows that it reads; -1 is the image.
        written: the same as the file has them.
        content: [from, repeats, module, arguments], with `C2f` for `C2f_ACmix`.
        named: what its module is.
        claim: number that the comment behind it gives; None without one.
        as_written: module as the file has it.
    """

    number: int
    sources: tuple[int, ...]
    written: tuple[int, ...]
    content: list[Any]
    named: names.Named
    claim: int | None
    as_written: str

    @property
    def is_plain(self) -> bool:
        """Whether it is a row that the base has too."""
        return self.named.module is None or bool(self.named.block)


@dataclass(frozen=True)
class Article:
    """A model YAML.

    Attributes:
        path: its file.
        rows: backbone and head.
        backbone: number of rows of the backbone.
        settings: top-level keys that decide the network, beside rows and scales.
        nc: number of classes; None where the file gives none.
        unread: other top-level keys, which Ultralytics does not read.
        scale: the top-level key of that name, which Ultralytics does not read either; empty where the file has none.
        scales: scale -> [depth, width, largest channel count].
        factors: depth and width factor of a YOLOv5 YAML; empty where it has none.
        anchors: the head's arguments with YOLOv5's anchors, which are left out; empty where it had none.
    """

    path: Path
    rows: tuple[Row, ...]
    backbone: int
    settings: dict[str, Any]
    nc: int | None
    scales: dict[str, list[float]]
    factors: tuple[float, ...]
    anchors: str = ""
    unread: tuple[str, ...] = ()
    scale: str = ""
    plain: tuple[int, ...] = field(init=False)  # numbers of the rows that the base has too

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", tuple(r.number for r in self.rows if r.is_plain))

    @property
    def attention(self) -> list[Row]:
        """The rows of attention alone."""
        return [r for r in self.rows if not r.is_plain]

    @property
    def blocks(self) -> list[Row]:
        """The rows of a block with attention inside."""
        return [r for r in self.rows if r.named.block]


def read_article(path: Path) -> Article:
    """Read and check a community's YAML.

    Raises:
        UserError: it is no detector's model YAML, or an exported one, or names a module that nobody knows.
    """
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8", errors="ignore")
        source = parse_yaml(text)
    except OSError as error:
        raise UserError("a model YAML must be readable", got=error.strerror, where=where) from error
    except yaml.MarkedYAMLError as error:
        raise unreadable(error, text, where) from error
    except yaml.YAMLError as error:
        raise UserError("a model YAML must be readable as YAML", got=str(error), where=where) from error
    try:
        _check(source, where)
    except UserError as error:
        four = "Write all four, the last may be empty: [-1, 1, ACmix, []]." if _is_short_row(error.got) else ""
        error.remedy = error.remedy or full_width(text.splitlines()) or four
        raise
    if KEY in source:
        remedy = "`python -m nas_attn train` takes it as it is."
        raise UserError("a file to adopt must be a community's, not an exported one", where=where, remedy=remedy)
    source = copy.deepcopy(source)
    anchors = _without_anchors(source)
    rows = tuple(_rows(source, _claims(text), where))
    return Article(
        Path(path),
        rows,
        len(source["backbone"]),
        {k: v for k, v in source.items() if k in _OF_THE_NETWORK},
        source.get("nc"),
        {k: list(v) for k, v in (source.get("scales") or {}).items()},
        tuple(source.get(f, 1.0) for f in FACTORS) if any(f in source for f in FACTORS) else (),
        anchors,
        tuple(k for k in source if k not in _OF_THE_NETWORK | _READ_APART),
        str(source.get("scale") or ""),
    )


def parser_names() -> set[str]:
    """Names that Ultralytics' own parser knows in a row."""
    import inspect

    from torch import nn
    from ultralytics.nn import tasks

    return {k for k, v in vars(tasks).items() if inspect.isclass(v) and issubclass(v, nn.Module)
            and v.__module__.startswith("ultralytics.")}  # fmt: skip


def _check(source: Any, where: str) -> None:
    if source is None:
        raise UserError("a model YAML must not be empty", where=where)
    if isinstance(source, dict) and isinstance(source.get("head"), list) and source["head"]:
        last = source["head"][-1]
        module = last[2] if isinstance(last, list) and len(last) > 2 else None
        if module == "Classify":
            rule = "a model to adopt must be a detector of objects, masks, keypoints or rotated boxes"
            raise UserError(rule, got="a classification model, which has no slots", where=where)
        if isinstance(module, str) and module not in HEADS:
            rule = f"a model's last row must be its head, one of {', '.join(HEADS)}"
            spelt = {names.folded(h): h for h in HEADS}
            close = difflib.get_close_matches(names.folded(module), spelt, n=1, cutoff=0.8)
            meant = f"Did you mean '{spelt[close[0]]}'? " if close else ""
            remedy = meant + "A head of somebody's own cannot be built: write the one of Ultralytics that it replaced."
            raise UserError(rule, got=f"'{module}'", where=where, remedy=remedy)
    check_detector({"nc": 1, **source} if isinstance(source, dict) else source, where)


def _is_short_row(got: Any) -> bool:
    """Whether what was refused is a row with less than [from, repeats, module, arguments], of a plausible module."""
    parts = got if isinstance(got, list) else [got]
    return len(parts) < 4 and isinstance(parts[-1], str) and names.folded(parts[-1]) in names.spellings()


def _without_anchors(source: dict[str, Any]) -> str:
    """Take YOLOv5's anchors out of the head's arguments; returns what these were, where there were any."""
    head = source["head"][-1]
    kept = [a for i, a in enumerate(head[3]) if not (i == 1 and (a == "anchors" or isinstance(a, list)))]
    if len(kept) == len(head[3]):
        return ""
    was, head[3] = head[3], kept
    return f"[{', '.join(map(str, was))}]"


def _rows(source: dict[str, Any], claims: list[int | None], where: str) -> Iterator[Row]:
    theirs = parser_names()
    contents = [*source["backbone"], *source["head"]]
    if len(claims) != len(contents):
        claims = [None] * len(contents)
    for number, (content, claim) in enumerate(zip(contents, claims, strict=True)):
        name = content[2]
        named = names.lookup(name, theirs)
        if named is None:
            raise names.unknown(name, theirs, f"{where}, row {number}")
        written = tuple(content[0] if isinstance(content[0], list) else [content[0]])
        sources = tuple(absolute(content[0], number))
        if named.module and not named.block and len(written) > 1:
            rule = "a row of attention must read one row"
            raise UserError(rule, got=list(written), where=f"{where}, row {number} ({name})")
        built = [content[0], content[1], named.block or name, content[3]]
        yield Row(number, sources, written, built, named, claim, name)


def _claims(text: str) -> list[int | None]:
    """The number in the comment behind each row; comments are no part of what YAML reads."""
    lines = text.splitlines()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    found = []
    for key, value in root.value:
        if key.value in ("backbone", "head"):
            for row in value.value:
                found.append((key.value != "backbone", _claim(lines, row.end_mark)))
    return [claim for _, claim in sorted(found, key=lambda item: item[0])]


def _claim(lines: list[str], end: Any) -> int | None:
    if end.line >= len(lines):
        return None
    behind = lines[end.line][end.column :]
    comment = re.match(r"[\s,\]]*#(.*)", behind)
    match = _CLAIM.match(comment[1]) if comment else None
    return int(match[1]) if match else None
