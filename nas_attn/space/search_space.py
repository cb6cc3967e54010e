"""The search space as a finite value: which genes may stand at which slot."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nas_attn.errors import ConfigError, SlotRefused, UnknownName, UserError
from nas_attn.space.architecture import NONE, Architecture, Gene, natural, write_value
from nas_attn.space.slot import Slot


@dataclass(frozen=True, repr=False)
class SlotSpace:
    """What may stand at one slot.

    Attributes:
        slot: the slot.
        genes: the distinct genes that a search may choose there; `none` first.
        aliases: genes that compute the same function on this slot's map as a kept, cheaper one: alias -> kept.
        refused: genes that cannot stand there: gene -> reason.
    """

    slot: Slot
    genes: tuple[Gene, ...]
    aliases: Mapping[Gene, Gene] = field(default_factory=dict)
    refused: Mapping[Gene, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = f"{len(self.genes)} genes, {len(self.aliases)} aliases, {len(self.refused)} refused"
        return f"SlotSpace({self.slot.name}: {counts})"

    def options(self) -> dict[str, dict[str, tuple[Any, ...]]]:
        """module -> setting -> values that occur in at least one kept gene or alias."""
        found: dict[str, dict[str, list[Any]]] = {}
        for gene in (*self.genes, *self.aliases):
            settings = found.setdefault(gene.module, {})
            values = {"residual": "none", **gene.as_dict()} if gene != NONE else {}
            for name, value in values.items():
                if value not in settings.setdefault(name, []):
                    settings[name].append(value)
        return {m: {n: tuple(sorted(v, key=_sort_key)) for n, v in s.items()} for m, s in found.items()}


@dataclass(frozen=True, repr=False)
class SearchSpace:
    """Slots × modules × settings on one base model, finite, as a value: a container of architectures.

    It has a `size` and no length, which Python ends at 2**63. It is never empty, for it always holds the base. Where an
    architecture is asked for, its text will do.

    Attributes:
        base: name of the base model.
        slots: what may stand at each slot, in natural order of the slots' names.
        imgsz: image size in pixels whose maps decided what is refused or an alias.
    """

    base: str
    slots: tuple[SlotSpace, ...]
    imgsz: int

    @classmethod
    def build(
        cls,
        base: str,
        slots: Sequence[Slot],
        modules: Mapping[str, Mapping[str, Sequence[Any]] | None] | Sequence[str],
        *,
        imgsz: int,
        final_imgsz: int | None = None,
        rank: Callable[[Slot, Gene], float] | None = None,
        where: str = "",
    ) -> SearchSpace:
        """The space of these modules, each with the given options (all of the zoo's where None or left out).

        Args:
            base: name of the base model.
            slots: slots that may be searched.
            modules: module -> setting -> options; or the modules' names.
            imgsz: image size of the proxy in pixels; settings that coincide on its maps are collapsed.
            final_imgsz: image size of the final training; settings must fit its maps too.
            rank: order in which aliases are kept (lowest first); by default the order of the zoo's options.
            where: what to name in errors.

        Raises:
            UserError: what is given are no slots, modules or sizes.
            ConfigError: unknown modules, settings or options, all together.
        """
        slots, modules = _slots(slots, where), _by_name(modules, where)
        for name, size in (("imgsz", imgsz), ("final_imgsz", final_imgsz or imgsz)):
            if not isinstance(size, int) or size < 1:
                raise UserError(f"`{name}` must be a number of pixels", got=repr(size), where=where)
        combinations = _combinations(modules, where)
        built = []
        for slot in sorted(slots, key=lambda s: natural(s.name)):
            genes, aliases, refused = [NONE], {}, {}
            kept: dict[Any, Gene] = {}
            n = slot.map_size(imgsz)
            sizes = sorted({n, slot.map_size(final_imgsz or imgsz)})
            choices = []
            for entry, settings in combinations:
                gene = Gene.of(entry.name, settings)
                reasons = [r for m in sizes if (r := entry.refusal(slot.channels, m, m, settings))]
                if reasons:
                    refused[gene] = reasons[0]
                else:
                    choices.append((entry, gene, settings))
            if rank is not None:
                choices.sort(key=lambda c: rank(slot, c[1]))  # stable: ties keep the zoo's order
            for entry, gene, settings in choices:
                form = (entry.name, entry.effective(settings, n, n))
                if form in kept:
                    aliases[gene] = kept[form]
                else:
                    kept[form] = gene
                    genes.append(gene)
            built.append(SlotSpace(slot, tuple(genes), aliases, refused))
        return cls(base, tuple(built), imgsz)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        n = 1
        for s in self.slots:
            n *= len(s.genes)
        return n

    @property
    def names(self) -> tuple[str, ...]:
        """The slots' names."""
        return tuple(s.slot.name for s in self.slots)

    def __getitem__(self, slot: str) -> SlotSpace:
        if slot not in self.names:
            raise UnknownName("slot", slot, self.names)
        return self.slots[self.names.index(slot)]

    def __iter__(self) -> Iterator[Architecture]:
        return self.enumerate()

    def __contains__(self, architecture: Any) -> bool:
        return self.contains(architecture)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        genes = ", ".join(f"{s.slot.name} {len(s.genes)} genes" for s in self.slots)
        return f"SearchSpace({self.base} at {self.imgsz} px: {genes}; {self.size:,} architectures)"

    def base_architecture(self) -> Architecture:
        """`none` at every slot."""
        return Architecture.none(self.names)

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once; the base first."""
        for genes in itertools.product(*(s.genes for s in self.slots)):
            yield Architecture.of(dict(zip(self.names, genes, strict=True)))

    def contains(self, architecture: Architecture) -> bool:
        """Whether it has exactly this space's slots, each with a gene that is kept there."""
        architecture = Architecture.meant(architecture)
        return set(architecture.slots) == set(self.names) and all(g in self._kept[s] for s, g in architecture)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The member of the space that an architecture means: missing slots `none`, aliases replaced.

        Raises:
            UnknownName: a slot or module that the space does not have.
            SlotRefused: a gene that cannot stand at its slot, or is not offered there.
        """
        genes = dict.fromkeys(self.names, NONE)
        for name, gene in Architecture.meant(architecture):
            space = self[name]
            gene = space.aliases.get(gene, gene)
            if gene in space.refused:
                raise SlotRefused(f"`{gene}` cannot stand at {name}: {space.refused[gene]}")
            if gene not in self._kept[name]:
                raise _not_offered(name, gene, space.options())
            genes[name] = self._kept[name][gene]
        return Architecture.of(genes)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every architecture that differs in exactly one slot's gene."""
        architecture = Architecture.meant(architecture)
        for s in self.slots:
            for gene in s.genes:
                if gene != architecture[s.slot.name]:
                    yield architecture.with_gene(s.slot.name, gene)

    def restrict(self, live: Sequence[str]) -> SearchSpace:
        """The space in which every other slot offers `none` only.

        Raises:
            UnknownName: a slot that the space does not have.
        """
        live = [live] if isinstance(live, str) else live
        for name in live:
            self[name]
        return replace(self, slots=tuple(s if s.slot.name in live else SlotSpace(s.slot, (NONE,)) for s in self.slots))

    def with_residual(self, residual: str) -> SearchSpace:
        """The space whose genes all have this `residual`.

        Raises:
            UnknownName: there is no such form.
        """
        if residual not in ("none", "scaled"):
            raise UnknownName("residual", residual, ("none", "scaled"))
        return replace(
            self,
            slots=tuple(
                SlotSpace(
                    s.slot,
                    tuple(g for g in s.genes if g == NONE or _residual(g) == residual),
                    {a: g for a, g in s.aliases.items() if _residual(a) == residual},
                    {g: r for g, r in s.refused.items() if _residual(g) == residual},
                )
                for s in self.slots
            ),
        )

    def fingerprint(self) -> str:
        """16 hex digits that change whenever the space does."""
        content = {
            "base": self.base,
            "imgsz": self.imgsz,
            "slots": [
                [
                    s.slot.as_list(),
                    [str(g) for g in s.genes],
                    sorted(f"{alias}={kept}" for alias, kept in s.aliases.items()),
                    sorted(f"{gene}: {reason}" for gene, reason in s.refused.items()),
                ]
                for s in self.slots
            ],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def _kept(self) -> dict[str, dict[Gene, Gene]]:
        return {s.slot.name: {g: g for g in s.genes} for s in self.slots}


def _slots(slots: Any, where: str) -> list[Slot]:
    """The slots, of which one may stand alone."""
    given = [slots] if isinstance(slots, Slot) else slots
    if isinstance(given, str) or not isinstance(given, Iterable) or not all(isinstance(s, Slot) for s in given):
        rule, remedy = "slots must be those of a base model", 'Take them from `all_slots(load_base("yolo11n"))`.'
        raise UserError(rule, got=repr(slots), where=where, remedy=remedy)
    return list(given)


def _by_name(modules: Any, where: str) -> Mapping[str, Any]:
    """Module -> its options, None for all of them; also of names alone."""
    given = [modules] if isinstance(modules, str) else modules
    names = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
    found = dict.fromkeys(given) if names else given
    if not isinstance(found, Mapping):
        rule, remedy = "modules must be names, or map names to their settings", "E.g. {'acmix': {'head': [2, 4]}}."
        raise UserError(rule, got=repr(modules), where=where, remedy=remedy)
    return found


def _combinations(modules: Mapping[str, Mapping[str, Sequence[Any]] | None], where: str) -> list[tuple[Any, dict]]:
    """(entry, settings) of every gene that `modules` allows; all mistakes are reported together."""
    from nas_attn.attention import registry

    problems: list[UserError] = []
    found = []
    for name, wanted in modules.items():
        try:
            entry = registry.get(name, where=where)
        except UserError as error:
            problems.append(error)
            continue
        allowed = {s.name: s.options for s in entry.settings}
        if not isinstance(wanted, Mapping | None):
            problems.append(UserError(f"`{name}` must map settings to lists of options", got=wanted, where=where))
            continue
        for setting, options in (wanted or {}).items():
            try:
                allowed[setting] = _options(entry, setting, options, where)
            except UserError as error:
                problems += error.problems if isinstance(error, ConfigError) else [error]
        if not entry.is_none and not problems:
            found += [(entry, c) for c in entry.combinations() if all(c[k] in v for k, v in allowed.items())]
    if problems:
        raise ConfigError(problems, where=where)
    return found


def _options(entry: Any, setting: str, options: Any, where: str) -> tuple[Any, ...]:
    """The options that a configuration gives one setting, checked against the zoo's."""
    if setting not in entry.defaults():
        raise UnknownName(f"setting of {entry.name}", setting, entry.defaults(), where=where)
    if not isinstance(options, list | tuple) or not options:
        raise UserError(f"`{entry.name}.{setting}` must be a list of options", got=options, where=where)
    values = tuple(tuple(o) if isinstance(o, list) else o for o in options)
    problems = []
    for value in values:
        try:
            entry.complete({setting: value}, where=where)
        except UserError as error:
            problems.append(error)
    if problems:
        raise ConfigError(problems, where=where)
    return values


def _not_offered(slot: str, gene: Gene, options: Mapping[str, Mapping[str, tuple[Any, ...]]]) -> UserError:
    """Why a gene that is neither kept, an alias nor refused is no member, and what is offered instead."""
    if gene.module not in options:
        return UnknownName(f"module at {slot}", gene.module, options)
    offered = "; ".join(f"{n}: {', '.join(map(write_value, v))}" for n, v in sorted(options[gene.module].items()))
    return SlotRefused(
        f"a gene at {slot} must give every setting one of the offered values",
        got=f"`{gene}`",
        remedy=f"Offered for {gene.module}: {offered}.",
    )


def _residual(gene: Gene) -> str:
    return gene.as_dict().get("residual", "none")


def _sort_key(value: Any) -> tuple:
    return (isinstance(value, str), isinstance(value, tuple), value)
