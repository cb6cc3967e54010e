"""Genes and architectures: frozen, hashable, canonical, with one grammar everywhere.

    p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=lska(k_size=23)

Reading and writing need no knowledge of the zoo: `residual=none`, the default, is left out, settings stand in
alphabetical order, slots in natural order. So records and dashboards work where torch is not installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas_attn.errors import GrammarError

_NAME = r"[a-z][a-z0-9_]*"
_SLOT = rf"{_NAME}(?:\.{_NAME})*"
_GENE = re.compile(rf"({_NAME})(?:\((.*)\))?", re.DOTALL)
_ITEM = re.compile(rf"({_SLOT})=({_NAME})(\([^()]*\))?(?=\s|$)")
_EXAMPLE = "Write for example: p3=acmix(head=4,kernel_att=7) p4=none p5=lska(k_size=23)."


@dataclass(frozen=True, order=True)
class Gene:
    """One slot's module and its settings.

    Attributes:
        module: name in the zoo; `none` for no module.
        settings: (name, value) pairs in alphabetical order, without `residual=none`.
    """

    module: str
    settings: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, module: str, settings: Mapping[str, Any] | None = None) -> Gene:
        """The canonical gene of these settings (lists become tuples)."""
        items = {k: tuple(v) if isinstance(v, list) else v for k, v in (settings or {}).items()}
        if items.get("residual") == "none":
            del items["residual"]
        return cls(module, tuple(sorted(items.items())))

    @classmethod
    def parse(cls, text: str) -> Gene:
        """The gene that `text` writes.

        Raises:
            GrammarError: it writes none.
        """
        match = _GENE.fullmatch(text.strip())
        if not match:
            raise _error("a gene must read `module` or `module(setting=value,...)`", text)
        module, body = match.groups()
        settings: dict[str, Any] = {}
        for part in _split(body or ""):
            name, sign, value = part.partition("=")
            if not sign or not re.fullmatch(_NAME, name.strip()) or not value.strip():
                raise _error("a setting must read `name=value`", part, text)
            if name.strip() in settings:
                raise _error("a setting must stand once", name.strip(), text)
            settings[name.strip()] = read_value(value.strip())
        if module == "none" and settings:
            raise _error("`none` must stand without settings", text)
        return cls.of(module, settings)

    def as_dict(self) -> dict[str, Any]:
        """The settings as a new dict."""
        return dict(self.settings)

    def __str__(self) -> str:
        settings = ",".join(f"{name}={write_value(value)}" for name, value in self.settings)
        return f"{self.module}({settings})" if settings else self.module


NONE = Gene("none")


@dataclass(frozen=True)
class Architecture:
    """Slot -> gene, in natural order of the slots' names; a value."""

    genes: tuple[tuple[str, Gene], ...]

    @classmethod
    def of(cls, genes: Mapping[str, Gene]) -> Architecture:
        """The canonical architecture of these genes."""
        return cls(tuple(sorted(genes.items(), key=lambda item: natural(item[0]))))

    @classmethod
    def none(cls, slots: Any) -> Architecture:
        """The unchanged base: `none` at every one of the named slots."""
        return cls.of(dict.fromkeys(slots, NONE))

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture that `text` writes; `parse(str(a)) == a`.

        Raises:
            GrammarError: it writes none, or names a slot twice.
        """
        genes: dict[str, Gene] = {}
        rest = text.strip()
        while rest:
            match = _ITEM.match(rest)
            if not match:
                raise _error("an architecture must read `slot=gene slot=gene ...`", rest, text)
            slot, module, body = match.groups()
            if slot in genes:
                raise _error("a slot must stand once", slot, text)
            genes[slot] = Gene.parse(module + (body or ""))
            rest = rest[match.end() :].lstrip()
        if not genes:
            raise _error("an architecture must name at least one slot", text)
        return cls.of(genes)

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots' names."""
        return tuple(slot for slot, _ in self.genes)

    @cached_property
    def is_base(self) -> bool:
        """Whether it is the unchanged base."""
        return all(gene == NONE for _, gene in self.genes)

    def with_gene(self, slot: str, gene: Gene) -> Architecture:
        """A copy with another gene at one slot."""
        return Architecture.of({**dict(self.genes), slot: gene})

    def __getitem__(self, slot: str) -> Gene:
        return dict(self.genes)[slot]

    def __iter__(self) -> Iterator[tuple[str, Gene]]:
        return iter(self.genes)

    def __str__(self) -> str:
        return " ".join(f"{slot}={gene}" for slot, gene in self.genes)


def _error(rule: str, got: str, text: str = "") -> GrammarError:
    where = f"'{text}'" if text.strip() not in ("", got) else ""
    return GrammarError(rule, got=f"'{got}'", where=where, remedy=_EXAMPLE)


def natural(name: str) -> tuple[bool, str, int, str]:
    """Sort key of a slot's name: p9 before p10, and plain names before those with a dot."""
    match = re.match(r"([a-z_.]*?)(\d+)", name)
    return ("." in name, match[1], int(match[2]), name) if match else ("." in name, name, -1, name)


def _split(body: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(body):
        depth += (c == "[") - (c == "]")
        if c == "," and depth == 0:
            parts.append(body[start:i])
            start = i + 1
    return [*parts, body[start:]] if body.strip() else []


def read_value(text: str) -> Any:
    """The number, word or tuple of numbers that a settings value writes."""
    if text.startswith("[") and text.endswith("]"):
        return tuple(read_value(p.strip()) for p in text[1:-1].split(",") if p.strip())
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text):
        return float(text)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", text):
        raise _error("a value must be a number, a word or a [list] of numbers", text)
    return text


def write_value(value: Any) -> str:
    """How a settings value is written; `read_value` reads it back."""
    return f"[{','.join(map(write_value, value))}]" if isinstance(value, tuple) else str(value)
