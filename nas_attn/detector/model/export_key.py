"""The key `nas_attn` of an exported model YAML: its content, and the check that the file still matches it.

Ultralytics ignores keys that it does not know. This key holds the architecture, the name of the base, and digests of
everything that decides the network. Keys that another data set changes (`nc`, `kpt_shape`) are left out, so that one
file serves several data sets. A file without the key was written by other people and is read without this check.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas_attn.detector.model.rows import rows_of
from nas_attn.errors import ExportChanged, UserError
from nas_attn.space.architecture import Architecture

KEY = "nas_attn"
# keys without influence on the network: those of the data, and Ultralytics' own notes
FREE = {KEY, "nc", "kpt_shape", "names", "channels", "ch", "scale", "yaml_file"}
SHOWN = 4  # differences that a message lists

Rows = Sequence[Sequence[Any]]


def export_key(model_yaml: Mapping[str, Any], architecture: Architecture, base: str, version: str) -> dict[str, str]:
    """The content of an exported file under `KEY`.

    Args:
        model_yaml: the content of the file without that key, as the YAML reader returns it.
        architecture: the inserted modules.
        base: name of the base model.
        version: version of this package.
    """
    said = {"architecture": str(architecture), "base": base}
    return {"version": version, **said, "parts": _parts(model_yaml), "digest": _digest(model_yaml, said)}


def check_export(model_yaml: Mapping[str, Any], where: str) -> None:
    """Refuse an exported file that was edited into another network, and any row that reads a row below it.

    Args:
        model_yaml: content of a model YAML with lists of rows. The YAML in a checkpoint is not allowed, because
            Ultralytics has resolved its rows.
        where: the file, for messages.

    Raises:
        ExportChanged: the file describes another network; the message lists the differences as far as they are known.
        UserError: the key has another form, or a row reads a row that is not above it.
    """
    key = model_yaml.get(KEY)
    if key is not None:
        said = {k: key.get(k) for k in ("version", "architecture", "base", "parts", "digest")} if _is_key(key) else {}
        if not said:
            raise UserError(
                f"the key `{KEY}:` of an exported model must be as it was written",
                got=str(key)[:80],
                where=where,
                remedy=_remedy(),
            )
        if said["digest"] != _digest(model_yaml, said):
            raise changed(model_yaml, said, where)
    _check_sources(rows_of(model_yaml), where)


def changed(
    model_yaml: Mapping[str, Any], said: Mapping[str, str], where: str, was: Mapping[str, Any] | None = None
) -> ExportChanged:
    """The error for an exported file that was edited into another network.

    Args:
        model_yaml: the content of the file.
        said: its content under `KEY`.
        where: the file.
        was: the content that was exported; if it is None, the error lists the new values without the former ones.
    """
    found = list(_differences(model_yaml, said, was)) or [f"another `architecture` or `base` under `{KEY}:`"]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ExportChanged(model_yaml, said, got="; ".join(found[:SHOWN]) + more, where=where, remedy=_remedy())


def _remedy() -> str:
    return (
        f"Export it again with `python -m nas_attn export`. To train the file as it is, delete the key `{KEY}:` and "
        "the lines indented under it."
    )


def _is_key(key: Any) -> bool:
    names = ("version", "architecture", "base", "parts", "digest")
    return isinstance(key, Mapping) and all(isinstance(key.get(n), str) for n in names)


def _check_sources(rows: Rows, where: str) -> None:
    """Refuse a row that reads a row not above it; the first row reads the image."""
    for number, row in enumerate(rows):
        for source in row[0] if isinstance(row[0], list) else [row[0]]:
            at = source if source >= 0 else number + source
            if not (0 <= at < number or (number == 0 and source == -1)):
                raise UserError(
                    "a row of a model YAML must read rows above it",
                    got=f"row {number} {_shown(row)}, which reads {source}, while {_above(number)}",
                    where=where,
                    remedy="Rows are counted from 0, those of `backbone` first; -1 is the row before.",
                )


def _above(number: int) -> str:
    return "the first row can only read the image, -1" if number == 0 else f"the rows above it are 0 to {number - 1}"


def _differences(
    model_yaml: Mapping[str, Any], said: Mapping[str, str], was: Mapping[str, Any] | None
) -> Iterator[str]:
    """A text for each difference between a file and its exported form."""
    then = dict(re.findall(r"(\S+?)=(\S*)", said["parts"]))
    now = dict(re.findall(r"(\S+?)=(\S*)", _parts(model_yaml)))
    then.pop("rows", "")
    before, rows = digests_of(said), rows_of(model_yaml)
    after = now.pop("rows").split(",")
    for name in sorted({*then, *now}):
        if name not in now:
            yield f"`{name}` is missing"
        elif name not in then:
            yield f"`{name}: {model_yaml[name]}` was added"
        elif then[name] != now[name]:
            original = f" (exported: {was[name]})" if was is not None and name in was else ""
            yield f"`{name}` is {model_yaml[name]}{original}"
    known = rows_of(was) if was is not None else None
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "replace" and b - a == d - c:
            for i, j in zip(range(a, b), range(c, d), strict=True):
                original = f" (exported: {_shown(known[i])})" if known else ""
                yield f"row {j} is {_shown(rows[j])}{original}"
        elif kind != "equal":
            for i in range(a, b):
                yield f"row {i} is missing" + (f": {_shown(known[i])}" if known else "")
            for j in range(c, d):
                yield f"row {j} was added: {_shown(rows[j])}"


def digests_of(said: Mapping[str, str]) -> list[str]:
    """The digest of each exported row, from the content under `KEY`."""
    parts: dict[str, str] = dict(re.findall(r"(\S+?)=(\S*)", said["parts"]))
    return parts.get("rows", "").split(",")


def _shown(row: Sequence[Any]) -> str:
    return "[" + ", ".join(str(v) for v in row) + "]"


def _parts(model_yaml: Mapping[str, Any]) -> str:
    """`name=digest` for each key that decides the network, then `rows=digest,digest,...`."""
    names = sorted(k for k in model_yaml if k not in FREE and k not in ("backbone", "head"))
    rows = ",".join(digest_of(row) for row in rows_of(model_yaml))
    return " ".join([*(f"{name}={digest_of(model_yaml[name])}" for name in names), f"rows={rows}"])


def digest_of(value: Any) -> str:
    """4 hex digits of a row or value, as the key holds them."""
    return _hex(value)[:4]


def _digest(model_yaml: Mapping[str, Any], said: Mapping[str, str]) -> str:
    network = {k: v for k, v in model_yaml.items() if k not in FREE and k not in ("backbone", "head")}
    # all rows in one list, because the end of the backbone has no influence
    return _hex([network, rows_of(model_yaml), said["architecture"], said["base"]])[:16]


def _hex(value: Any) -> str:
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value as JSON types. 1.0 becomes 1, because an editor may write either."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float | str | type(None)) else str(value)
