"""The reader of a community's model YAML: its rows, and the row numbers in its comments."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nas_attn.adoption.block_arguments import without_map_size
from nas_attn.adoption.foreign import numbered, unknown_rows
from nas_attn.adoption.own_rows import IN_PLACE, INSERTED, standing
from nas_attn.adoption.unreadable_yaml import full_width, unreadable
from nas_attn.detector.model import community_names
from nas_attn.detector.model.export_key import KEY
from nas_attn.detector.model.model_yaml import FACTORS, check_detector
from nas_attn.detector.model.own_layers import check_own, is_own
from nas_attn.detector.model.rows import absolute, is_own_layer
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.safe_yaml import parse_yaml
from nas_attn.tasks import HEADS

_CLAIM = re.compile(
    r"[#\s]*(?:layer\s*|row\s*)?(\d+)(?![\w.,×%])", re.IGNORECASE
)  # `# 17 (P3/8-small)`, `#9`, `# 0-P1/2`
# keys that the parser reads
_OF_THE_NETWORK = {"activation", "end2end", "inplace", "kpt_shape", "reg_max", "text_model"}
_READ_APART = {"nc", "scales", "scale", "anchors", "ch", "channels", "names", "yaml_file", "backbone", "head", *FACTORS}


@dataclass(frozen=True)
class ArticleRow:
    """One row of the file.

    Attributes:
        number: row number, counted from 0 over backbone and head.
        sources: absolute numbers of the rows that it reads; -1 is the image.
        written: the same numbers as in the file.
        content: [from, repeats, module, arguments], with `C2f` for `C2f_ACmix`.
        named: the meaning of its module name.
        claim: the row number in its comment; None without one.
        as_written: name of the module in the file.
        meaning: the module that the user named instead with `--as`; empty if none.
        given: arguments as in the file; `content` has the arguments of a block without map sizes.
        layer: for an own layer of the user `inserted` or `in place`, see `own_rows.py`; empty for any other row.
    """

    number: int
    sources: tuple[int, ...]
    written: tuple[int, ...]
    content: list[Any]
    named: community_names.Named
    claim: int | None
    as_written: str
    meaning: str = ""
    given: tuple[Any, ...] = ()
    layer: str = ""

    @property
    def is_plain(self) -> bool:
        """True if the base has this row too."""
        return self.layer != INSERTED and (self.named.module is None or bool(self.named.block))


@dataclass(frozen=True)
class Article:
    """A model YAML.

    Attributes:
        path: its file.
        rows: backbone and head.
        backbone: number of rows of the backbone.
        settings: top-level keys that decide the network, besides rows and scales.
        nc: number of classes; None if the file has none.
        unread: top-level keys that Ultralytics does not read.
        scale: value of the key `scale`, which Ultralytics does not read either; empty if the file has none.
        scales: scale -> [depth, width, largest channel count].
        factors: depth and width factor of a YOLOv5 YAML; empty if the file has none.
        anchors: arguments of the head before YOLOv5's anchors were removed; empty if it had no anchors.
    """

    path: Path
    rows: tuple[ArticleRow, ...]
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
    def attention(self) -> list[ArticleRow]:
        """The rows of attention alone, and those of own layers that were inserted."""
        return [r for r in self.rows if not r.is_plain]

    @property
    def blocks(self) -> list[ArticleRow]:
        """The rows of a block with attention inside."""
        return [r for r in self.rows if r.named.block]


def read_article(
    path: Path,
    inside: str | None = None,
    meanings: Mapping[str, str] | None = None,
    changing: Collection[int] = (),
) -> Article:
    """Read and check a community's YAML.

    Args:
        path: the file.
        inside: place of attention in blocks, as `adopt` takes it; None for the usual place of each module.
        meanings: name in the file -> name to read instead.
        changing: rows of own layers that change the shape of their map.

    Raises:
        UserError: the file is no model YAML of a detector, or was exported by this package, or has an unknown or wrong
            row.
        ConfigError: several rows are unknown or wrong; the error lists all of them.
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
    problems: list[UserError] = []
    try:
        problems += _check(source, where, meanings or {})
    except UserError as error:
        four = "Write all four, the last may be empty: [-1, 1, ACmix, []]." if _is_short_row(error.got) else ""
        error.remedy = error.remedy or full_width(text.splitlines()) or four
        raise
    if KEY in source:
        remedy = "`python -m nas_attn train` takes it as it is."
        raise UserError("a file to adopt must not be an export of nas_attn", where=where, remedy=remedy)
    source = copy.deepcopy(source)
    anchors = _without_anchors(source)
    rows = tuple(_rows(source, _claims(text), where, inside, meanings or {}, problems, changing))
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


def _check(source: Any, where: str, meanings: Mapping[str, str]) -> list[UserError]:
    """The error for an unknown head, if there is one.

    Raises:
        UserError: the content does not describe a detector.
    """
    problems = []
    if source is None:
        raise UserError("a model YAML must not be empty", where=where)
    if isinstance(source, dict) and isinstance(source.get("head"), list) and source["head"]:
        last = source["head"][-1]
        module = last[2] if isinstance(last, list) and len(last) > 2 else None
        if isinstance(module, str) and meanings.get(module) in HEADS:
            module = meanings[module]
            source = {**source, "head": [*source["head"][:-1], [*last[:2], module, *last[3:]]]}
        if module == "Classify":
            rule = "a model to adopt must be a detector of objects, masks, keypoints or oriented boxes"
            raise UserError(rule, got="a classification model, which has no slots", where=where)
        if isinstance(module, str) and module not in HEADS:
            rule = f"a model's last row must be its head, one of {', '.join(HEADS)}"
            spelt = {community_names.folded(h): h for h in HEADS}
            close = difflib.get_close_matches(community_names.folded(module), spelt, n=1, cutoff=0.8)
            meant = f"Did you mean '{spelt[close[0]]}'? " if close else ""
            remedy = meant + "A custom head cannot be built: write the head of Ultralytics that it replaced."
            replaced = next((h for h in sorted(HEADS, key=len, reverse=True) if module.startswith(h)), "Detect")
            remedy = remedy.removesuffix(".") + f", or give `--as {module}={replaced}`."
            problems.append(UserError(rule, got=f"'{module}'", where=where, remedy=remedy))
            source = {**source, "head": [*source["head"][:-1], [*last[:2], next(iter(HEADS)), *last[3:]]]}
    check_detector({"nc": 1, **source} if isinstance(source, dict) else source, where)
    return problems


def _is_short_row(got: Any) -> bool:
    """True if a refused row has fewer than [from, repeats, module, arguments] and a plausible module."""
    parts = got if isinstance(got, list) else [got]
    return (
        len(parts) < 4
        and isinstance(parts[-1], str)
        and community_names.folded(parts[-1]) in community_names.spellings()
    )


def _without_anchors(source: dict[str, Any]) -> str:
    """Remove YOLOv5's anchors from the arguments of the head; return the former arguments, or "" without anchors."""
    head = source["head"][-1]
    kept = [a for i, a in enumerate(head[3]) if not (i == 1 and (a == "anchors" or isinstance(a, list)))]
    if len(kept) == len(head[3]):
        return ""
    was, head[3] = head[3], kept
    return f"[{', '.join(map(str, was))}]"


def _rows(source: dict[str, Any], claims: list[int | None], where: str, inside: str | None,
          meanings: Mapping[str, str], problems: list[UserError],
          changing: Collection[int]) -> list[ArticleRow]:  # fmt: skip
    """All rows of the file.

    Raises:
        UserError, ConfigError: a row is unknown or wrong, or `problems` was not empty; the error has all of them.
    """
    theirs = community_names.parser_names()
    contents = [*source["backbone"], *source["head"]]
    if len(claims) != len(contents):
        claims = [None] * len(contents)
    _check_meanings(meanings, contents, theirs)
    rows: list[ArticleRow] = []
    unknown: list[int] = []
    refused: dict[str, tuple[UserError, list[int]]] = {}  # text -> its error and its rows
    last = len(contents) - 1 if problems else len(contents)  # an unknown head is already in `problems`
    for number, (content, claim) in enumerate(zip(contents[:last], claims, strict=False)):
        name = content[2]
        meaning = meanings.get(name, "")
        if own := is_own(meaning or name) and not (meaning and meaning in theirs):
            try:
                check_own([content[0], content[1], meaning or name], "")
            except UserError as error:
                refused.setdefault(f"{name}{error}", (error, []))[1].append(number)
        if own or is_own_layer(content):
            named: community_names.Named | None = community_names.Named()
        else:
            named = community_names.lookup(meaning or name, theirs, chosen=bool(meaning))
        if named is None:
            unknown.append(number)
            continue
        written = tuple(content[0] if isinstance(content[0], list) else [content[0]])
        arguments, problem = content[3], _refusal(name, named, content, inside)
        if named.block and not problem:
            try:
                arguments, _ = without_map_size(named.block, arguments, "")
            except UserError as error:
                problem = error
        if problem:
            refused.setdefault(f"{name}{problem}", (problem, []))[1].append(number)
        built = [content[0], content[1], named.block or meaning or name, arguments]
        sources = tuple(absolute(content[0], number))
        claim = claim if claim is not None and claim < len(contents) else None
        layer = IN_PLACE if own else ""
        rows.append(ArticleRow(number, sources, written, built, named, claim, name, meaning, tuple(content[3]), layer))
    found = [(problem, numbers[0]) for problem, numbers in refused.values()]
    for problem, numbers in refused.values():
        problem.where = f"{where}, {numbered(numbers)} ({contents[numbers[0]][2]})"
    foreign = unknown_rows(contents, unknown, where, theirs)
    firsts = dict.fromkeys(contents[n][2] for n in unknown)
    found += zip(foreign, [next(n for n in unknown if contents[n][2] == name) for name in firsts], strict=True)
    problems = [*(e for e, _ in sorted(found, key=lambda one: one[1])), *problems]
    if len(problems) == 1:
        raise problems[0]
    for problem in problems:
        problem.where = problem.where.removeprefix(f"{where}, ").removeprefix(where)
    if problems:
        raise ConfigError(problems, where=where)
    stand = standing(
        [row.content for row in rows], {r.number for r in rows if r.layer}, {r.number for r in rows if not r.is_plain},
        changing,
    )  # fmt: skip
    return [replace(row, layer=stand.get(row.number, "")) for row in rows]


def _check_meanings(meanings: Mapping[str, str], contents: Sequence[Sequence[Any]], theirs: set[str]) -> None:
    from torch import nn

    for name, meaning in meanings.items():
        if name not in (known := {row[2] for row in contents}):
            raise UnknownName("module that --as names", name, known)
        named = community_names.lookup(meaning, theirs, chosen=True)
        control = community_names.is_control(named.module if named and named.module else meaning)
        torch_lacks = meaning.startswith("nn.") and not hasattr(nn, meaning.removeprefix("nn."))
        if control or torch_lacks or (named is None and not is_own(meaning)):
            rule = "`--as NAME=MODULE` must name a module of Ultralytics, of torch.nn or of nas_attn"
            what = ", which is a control of nas_attn, not attention" if control else ""
            remedy = (
                community_names.suggestion(meaning, theirs)
                + "`python -m nas_attn modules` lists the attention modules."
            )
            raise UserError(rule + (", no control" if control else ""), got=f"'{meaning}'{what}", remedy=remedy)


def _refusal(name: str, named: community_names.Named, content: Sequence[Any], inside: str | None) -> UserError | None:
    """The error for a row with a known name that cannot be adopted; None if the row is fine."""
    if named.module and not named.block and isinstance(content[0], list) and len(content[0]) > 1:
        return UserError("a row of attention must read one row", got=content[0])
    if other := community_names.question(name, named, content[3]):
        return UserError("a row's module must have one meaning", got=f"'{name}'", remedy=other)
    rule = "attention in a block must be in its bottlenecks or after the block"
    remedy = f"This is not supported yet. --inside after puts it after the whole {named.block}"
    leave = f"{remedy}, and `--as {name}={named.block}` leaves it out."
    if named.mode == community_names.INNER and inside != community_names.AFTER:
        got = f"'{name}', a {named.block} with {named.module} in place of its own attention"
        return UserError(rule, got=got, remedy=leave)
    bare = named.block in community_names.WITHOUT_BOTTLENECKS and inside != community_names.AFTER
    if named.mode == community_names.CONCAT and (inside is None or bare):
        got = f"'{name}', a {named.block} with {named.module} on its concat"
        return UserError(rule, got=got, remedy=leave)
    if bare:
        got = f"'{name}', while a {named.block} has no bottlenecks for {named.module}"
        return UserError(rule, got=got, remedy=leave)
    return None


def _claims(text: str) -> list[int | None]:
    """The number in the comment after each row, read from the text, because YAML drops comments."""
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
