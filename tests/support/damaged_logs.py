"""Random damage to record logs, as disks, editors, users and later versions may cause to JSON lines."""

from __future__ import annotations

import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *({}, [], None, True, False, "", "x", "0", "\ud800", "p3=acmix(", "<b>&", 0, 1, -1, 0.5, -0.0, 2, 10**18),
    *(10**30, 10**400, 1e308, -1e308, float("nan"), float("inf"), [[]], {"a": {}}, [None], "a" * 3000),
    *("started", "finished", "study", "complete", "failed", "p3=none", "p3=none p4=none p5=none"),
)


def damaged(log: bytes, rng: random.Random) -> bytes:
    """The log after one to three random changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        log = rng.choice((_value, _value, _like, _like, _key, _line, _line, _bytes, _text, _head))(log, rng)
    return log


def _line(log: bytes, rng: random.Random) -> bytes:
    lines = log.splitlines(keepends=True)
    if not lines:
        return log
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = lines[at][: rng.randrange(len(lines[at]))] + rng.choice((b"", b"\n"))
    elif kind == 4:
        lines[at] = rng.choice((b"null\n", b"{}\n", b"[]\n", b"1\n", b"\n", b"\r\n", b'"x"\n', b"NaN\n", b"\0\0\0\n"))
    else:
        lines[at] = rng.choice((b"[" * 100_000 + b"\n", b'{"a":' * 50_000 + b"\n", b"9" * 5000 + b"\n"))
    return b"".join(lines)


def _head(log: bytes, rng: random.Random) -> bytes:
    """The log without its first line, or with another first line."""
    first, _, rest = log.partition(b"\n")
    if not rest or rng.random() < 0.5:
        return rest
    other = rng.choice((rest.partition(b"\n")[0], b"null", b'{"kind":"later"}'))
    return b"\n".join((other, *rng.choice(((first,), ())), rest))


def _bytes(log: bytes, rng: random.Random) -> bytes:
    if not log:
        return log
    at = rng.randrange(len(log))
    piece = rng.choice((bytes([rng.randrange(256)]), b"\xff\xfe", b"\xed\xa0\x80", b"", b"\n", b'"', b"}", b"\0" * 40))
    return log[:at] + piece + log[at + rng.choice((0, 1, 1, 7)) :]


def _text(log: bytes, rng: random.Random) -> bytes:
    """Another text, or a part of the text."""
    return rng.choice((b"", log[: rng.randrange(len(log) + 1)], log[rng.randrange(len(log) + 1) :], log + log))


def _key(log: bytes, rng: random.Random) -> bytes:
    def change(parent: Any, key: Any) -> None:
        if rng.random() < 0.3 and isinstance(parent, dict):
            parent[rng.choice(("new", "kind", "format", "number", "evaluation"))] = parent.pop(key)
        else:
            del parent[key]

    return _inside(log, rng, change)


def _value(log: bytes, rng: random.Random) -> bytes:
    def change(parent: Any, key: Any) -> None:
        parent[key] = rng.choice(VALUES)

    return _inside(log, rng, change)


def _like(log: bytes, rng: random.Random) -> bytes:
    """Another value of the same type, so that only its meaning is wrong."""

    def change(parent: Any, key: Any) -> None:
        kind = type(parent[key])
        parent[key] = rng.choice([v for v in (*VALUES, 3, 7, 1e-9, 1.0, "search", "base", "conv") if type(v) is kind])

    return _inside(log, rng, change)


def _inside(log: bytes, rng: random.Random, change: Any) -> bytes:
    """The log after a change at a random path of a random line."""
    lines = log.splitlines(keepends=True)
    if not lines:
        return log
    at = rng.randrange(len(lines))
    try:
        record = json.loads(lines[at])
    except (ValueError, RecursionError):
        return log
    parent: Any = record
    while isinstance(parent, dict | list) and parent:
        key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        if not isinstance(parent[key], dict | list) or not parent[key] or rng.random() < 0.35:
            change(parent, key)
            break
        parent = parent[key]
    lines[at] = json.dumps(record).encode() + b"\n"
    return b"".join(lines)
