"""Genes and architectures: frozen, hashable, canonical, with one grammar everywhere.

    p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=lska(k_size=23)

The default `residual=none` is left out, settings are in alphabetical order, and slots are in natural order. Reading and
writing do not need the zoo, so records and dashboards work without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from numbers import Integral, Real
from typing import Any

from nas_attn.errors import GrammarError

_NAME = r"[a-z][a-z0-9_]{0,99}"
_SLOT = rf"{_NAME}(?:\.{_NAME})*"
_WRITTEN = r"[A-Za-z][A-Za-z0-9_]{0,99}"  # the name of a module as people write it, see `module_name`
_GENE = re.compile(rf"({_WRITTEN})(?:\((.*)\))?", re.DOTALL)
_MODULE, SLOT_NAME = re.compile(_NAME), re.compile(_SLOT)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ITEM = re.compile(rf"({_SLOT})=({_WRITTEN})(\([^()]*\))?(?=\s|$)")
MAX_NUMBER = 40  # characters
MAX_DEPTH = 8  # depth of nested lists
EXAMPLE = "Write for example: p3=acmix(head=4,kernel_att=7) p4=none p5=lska(k_size=23)."


def module_name(written: str) -> str:
    """The name of a module in the grammar, of what people write: `acmix` for `ACmix`, `lite_mla` for `LiteMLA`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", written).lower()


@dataclass(frozen=True, order=True)
class Gene:
    """The module and its settings at one slot. Equal genes are equal values, however they were written.

    Attributes:
        module: name in the zoo; `none` for no module. The constructor also accepts a whole gene as text here.
        settings: (name, value) pairs in alphabetical order, without `residual=none`; a list is kept as a tuple. The
            constructor also accepts a mapping.

    Raises:
        GrammarError: the arguments are no gene that can be written and read back.
    """

    module: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        module, settings = self.module, self.settings
        if not settings and isinstance(module, str) and not _MODULE.fullmatch(module):
            read = Gene.parse(module)
            module, settings = read.module, read.settings
        module = module_name(module) if isinstance(module, str) else module
        if not isinstance(module, str) or not _MODULE.fullmatch(module):
            raise _error("a gene must begin with the name of a module", str(module))
        try:
            items = {str(k): _plain(v) for k, v in dict(settings).items()}
        except (TypeError, ValueError):
            raise _error("a gene's settings must be a mapping", str(settings)) from None
        if items.get("residual") == "none":
            del items["residual"]
        if wrong := [k for k in items if not _MODULE.fullmatch(k)]:
            raise _error("a setting must read `name=value`", wrong[0])
        if module == "none" and items:
            raise _error("`none` must have no settings", str(settings))
        object.__setattr__(self, "module", module)
        object.__setattr__(self, "settings", tuple(sorted(items.items())))

    @classmethod
    def of(cls, module: str, settings: Mapping[str, Any] | None = None) -> Gene:
        """The gene with this module and these settings."""
        return cls(module, settings or ())  # type: ignore[arg-type]

    @classmethod
    def parse(cls, text: str | Gene) -> Gene:
        """The gene that `text` describes, e.g. `acmix(head=4)`.

        Raises:
            GrammarError: the text is no gene.
        """
        if isinstance(text, Gene):
            return text
        if not isinstance(text, str):
            raise _error("a gene must be text, or a `Gene`", repr(text))
        match = _GENE.fullmatch(text.strip())
        if not match:
            raise _error("a gene must read `module` or `module(setting=value,...)`", text)
        module, body = module_name(match[1]), match[2]
        settings: dict[str, Any] = {}
        for part in _split(body or ""):
            name, sign, value = part.partition("=")
            if not sign or not re.fullmatch(_NAME, name.strip()) or not value.strip():
                raise _error("a setting must read `name=value`", part, text)
            if name.strip() in settings:
                raise _error("a setting must be given only once", name.strip(), text)
            settings[name.strip()] = read_value(value.strip())
        if module == "none" and settings:
            raise _error("`none` must have no settings", text)
        return cls(module, tuple(settings.items()))

    def as_dict(self) -> dict[str, Any]:
        """The settings as a new dict."""
        return dict(self.settings)

    def __str__(self) -> str:
        settings = ",".join(f"{name}={write_value(value)}" for name, value in self.settings)
        return f"{self.module}({settings})" if settings else self.module


NONE = Gene("none")


@dataclass(frozen=True)
class Architecture:
    """The gene of each slot. Equal architectures are equal values, however they were written.

    Attributes:
        genes: (slot, gene) pairs in natural order of the slot names. The constructor also accepts a mapping, a text or
            an architecture, and genes as text.

    Raises:
        GrammarError: the argument is no architecture.
    """

    genes: tuple[tuple[str, Gene], ...]

    def __post_init__(self) -> None:
        given: Any = self.genes
        if isinstance(given, (str, Architecture)):
            given = Architecture.parse(given).genes
        try:
            pairs = []
            for slot, gene in given.items() if isinstance(given, Mapping) else given:
                if not isinstance(slot, str) or not SLOT_NAME.fullmatch(slot):  # refuse early: `given` may be endless
                    raise _error("a slot must have a name such as p3 or td.p4", str(slot))
                pairs.append((slot, gene if isinstance(gene, Gene) else Gene.parse(gene)))
        except (TypeError, ValueError):
            raise _error("an architecture must be text, or map slots to genes", repr(given)) from None
        if len(dict(pairs)) != len(pairs):
            raise _error("a slot must be named only once", " ".join(slot for slot, _ in pairs))
        object.__setattr__(self, "genes", tuple(sorted(pairs, key=lambda item: natural(item[0]))))

    @classmethod
    def of(cls, genes: Mapping[str, Gene]) -> Architecture:
        """The architecture with these genes."""
        return cls(genes)  # type: ignore[arg-type]

    @classmethod
    def meant(cls, given: Any) -> Architecture:
        """The architecture that a text or a mapping describes, or the given architecture itself.

        Raises:
            GrammarError: `given` is no architecture.
        """
        return given if isinstance(given, Architecture) else cls(given)

    @classmethod
    def none(cls, slots: Any) -> Architecture:
        """The unchanged base: `none` at each of these slots, which are given as names or as slots."""
        return cls.of(dict.fromkeys(slot_names(slots), NONE))

    @classmethod
    def parse(cls, text: str | Architecture) -> Architecture:
        """The architecture that `text` describes; `parse(str(a)) == a`.

        Raises:
            GrammarError: the text is no architecture, or names a slot twice.
        """
        if isinstance(text, Architecture):
            return text
        if not isinstance(text, str):
            raise _error("an architecture must be text, or an `Architecture`", repr(text))
        genes: dict[str, Gene] = {}
        rest = text.strip()
        while rest:
            match = _ITEM.match(rest)
            if not match:
                raise _error("an architecture must read `slot=gene slot=gene ...`", rest, text)
            slot, module, body = match.groups()
            if slot in genes:
                raise _error("a slot must be named only once", slot, text)
            genes[slot] = Gene.parse(module + (body or ""))
            rest = rest[match.end() :].lstrip()
        if not genes:
            raise _error("an architecture must name at least one slot", text)
        return cls.of(genes)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the slots."""
        return tuple(slot for slot, _ in self.genes)

    @cached_property
    def is_base(self) -> bool:
        """True if every gene is `none`: the unchanged base."""
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
    return GrammarError(rule, got=f"'{got}'", where=where, remedy=EXAMPLE)


def slot_names(slots: Any) -> list[Any]:
    """The names of slots that are given as names or as slots; the names are not checked.

    Raises:
        GrammarError: `slots` is neither a text nor a list.
    """
    named = re.split(r"[\s,]+", slots.strip()) if isinstance(slots, str) else slots
    if not isinstance(named, Iterable):
        remedy = "Write for example: ['p3', 'p4']."
        raise GrammarError("slots must be given by their names", got=f"'{slots!r}'", remedy=remedy)
    return [getattr(slot, "name", slot) for slot in named]


def natural(name: str) -> tuple[bool, str, int, str]:
    """Sort key of a slot name: p9 before p10, and names without a dot before names with a dot."""
    match = re.match(r"([a-z_.]*?)(\d+)", name)
    return ("." in name, match[1], int(match[2][:MAX_NUMBER]), name) if match else ("." in name, name, -1, name)


def _split(body: str) -> list[str]:
    """The parts of a text that commas separate; commas inside brackets do not count."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(body):
        depth += (c == "[") - (c == "]")
        if c == "," and depth == 0:
            parts.append(body[start:i])
            start = i + 1
    return [*parts, body[start:]] if body.strip() else []


def read_value(text: str) -> Any:
    """The number, word or tuple of numbers that a text describes.

    Raises:
        GrammarError: the text is none of these.
    """
    if text.startswith("[" * (MAX_DEPTH + 1)):
        raise _error(f"a list must be nested at most {MAX_DEPTH} deep", text)
    if text.startswith("[") and text.endswith("]"):
        return tuple(read_value(p.strip()) for p in text[1:-1].split(",") if p.strip())
    whole = re.fullmatch(r"[+-]?\d+", text)
    if whole or re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text):
        if len(text) > MAX_NUMBER or not isfinite(float(text)):
            raise _error(f"a number must be finite, in at most {MAX_NUMBER} characters", text)
        return int(text) if whole else float(text)
    if not _WORD.fullmatch(text):
        raise _error("a value must be a number, a word or a [list] of numbers", text)
    return text


def _plain(value: Any) -> Any:
    """The value of a setting as it would be read back; NumPy numbers become Python numbers.

    Raises:
        GrammarError: the value could not be read back.
    """
    if type(value) is int:  # the usual case; the checks below are slow
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool) and abs(value) < 10 ** (MAX_NUMBER - 1):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    raise _error("a value must be a number, a word or a [list] of numbers", repr(value))


def write_value(value: Any) -> str:
    """The value of a setting as text; `read_value` reads it back."""
    return f"[{','.join(map(write_value, value))}]" if isinstance(value, tuple) else str(value)
