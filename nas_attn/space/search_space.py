"""The search space as a finite value: the possible genes of each slot."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nas_attn.errors import GrammarError, SlotRefused, UnknownName, UserError
from nas_attn.space import written
from nas_attn.space.architecture import EXAMPLE, NONE, Architecture, Gene, natural, slot_names, write_value
from nas_attn.space.slot import Slot


@dataclass(frozen=True, repr=False)
class SlotSpace:
    """The possible genes of one slot.

    Attributes:
        slot: the slot.
        genes: the distinct genes that a search may choose there; the first one is `none`.
        aliases: alias -> kept gene. On the map of this slot, both compute the same function, and the kept one is
            cheaper.
        refused: gene -> reason why it does not fit the slot.

    The constructor also accepts genes as text.

    Raises:
        UserError: `slot` is no slot, the first gene is not `none`, or a gene occurs twice.
    """

    slot: Slot
    genes: tuple[Gene, ...]
    aliases: Mapping[Gene, Gene] = field(default_factory=dict)
    refused: Mapping[Gene, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (slot,) = written.slot_list([self.slot], "")
        genes = written.genes_at(slot, self.genes)
        aliases = {a: Gene.parse(g) for a, g in written.gene_mapping("aliases", self.aliases).items()}
        if wrong := set(aliases.values()).difference(genes):
            rule, remedy = "an alias must be mapped to a gene of the slot", "Add that gene to `genes`."
            raise UserError(rule, got=", ".join(sorted(map(str, wrong))), where=f"slot {slot.name}", remedy=remedy)
        object.__setattr__(self, "genes", genes)
        object.__setattr__(self, "aliases", aliases)
        object.__setattr__(self, "refused", written.gene_mapping("refused", self.refused))

    def __hash__(self) -> int:
        return hash((self.slot, self.genes))  # the mappings have no hash

    def __repr__(self) -> str:
        counts = f"{len(self.genes)} genes, {len(self.aliases)} aliases, {len(self.refused)} refused"
        return f"SlotSpace({self.slot.name}: {counts})"

    def options(self) -> dict[str, dict[str, tuple[Any, ...]]]:
        """Module -> setting -> values that occur in at least one kept gene or alias."""
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
    """Slots × modules × settings on one base model, as a finite value: a container of architectures.

    It has a `size` but no length, because Python limits a length to 2**63. It is never empty, because it always
    contains the base. Methods accept an architecture or its text. In both, a slot that is left out has `none`, and a
    setting that is left out has the default of the module. Equal spaces have equal hashes.

    Attributes:
        base: name of the base model.
        slots: the possible genes of each slot, in natural order of the slot names.
        imgsz: image size in pixels; its map sizes decide which genes are refused or are aliases.

    Raises:
        UserError: the name, the slots or the size cannot be read, or a slot occurs twice.
    """

    base: str
    slots: tuple[SlotSpace, ...]
    imgsz: int

    def __post_init__(self) -> None:
        slots = sorted(written.by_slot(self.slots, SlotSpace), key=lambda s: natural(s.slot.name))
        object.__setattr__(self, "base", written.base_name(self.base))
        object.__setattr__(self, "slots", tuple(slots))
        object.__setattr__(self, "imgsz", written.pixels("imgsz", self.imgsz))

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
        """The space of these modules with the given options.

        Args:
            base: name of the base model.
            slots: slots that may be searched.
            modules: module -> setting -> options, or names of modules. If the options of a module or of a setting are
                None or left out, all options of the zoo are used.
            imgsz: image size of the proxy in pixels. Of settings that compute the same function on its maps, one is
                kept, and the others are aliases.
            final_imgsz: image size of the final training in pixels; settings must fit its maps too. None: `imgsz`.
            rank: rank of a gene at a slot; of equal genes, the one with the lowest rank is kept. By default, the first
                one in the order of the zoo's options is kept.
            where: the place that an error names.

        Raises:
            UserError: the slots, modules or sizes cannot be read.
            ConfigError: modules, settings or options are unknown; the error lists all problems.
        """
        slots, modules = written.slot_list(slots, where), written.module_options(modules, where)
        imgsz = written.pixels("imgsz", imgsz, where)
        final_imgsz = imgsz if final_imgsz is None else written.pixels("final_imgsz", final_imgsz, where)
        combinations = written.combinations(modules, where)
        built = []
        for slot in sorted(slots, key=lambda s: natural(s.name)):
            genes, aliases, refused = [NONE], {}, {}
            kept: dict[Any, Gene] = {}
            n = slot.map_size(imgsz)
            sizes = sorted({n, slot.map_size(final_imgsz)})
            choices = []
            for entry, settings in combinations:
                gene = Gene.of(entry.name, settings)
                reasons = [r for m in sizes if (r := entry.refusal(slot.channels, m, m, settings))]
                if reasons:
                    refused[gene] = reasons[0]
                else:
                    choices.append((entry, gene, settings))
            if rank is not None:
                choices.sort(key=lambda c: rank(slot, c[1]))  # a stable sort: ties stay in the order of the zoo
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
        """The names of the slots."""
        return tuple(s.slot.name for s in self.slots)

    def __getitem__(self, slot: str) -> SlotSpace:
        if slot not in self.names:
            raise UnknownName("slot", slot, self.names)
        return self.slots[self.names.index(slot)]

    def __iter__(self) -> Iterator[Architecture]:
        return self.enumerate()

    def __contains__(self, architecture: Any) -> bool:
        try:
            return self.contains(architecture)
        except GrammarError:
            return False

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        genes = ", ".join(f"{s.slot.name} {len(s.genes)} genes" for s in self.slots)
        return f"SearchSpace({self.base} at {self.imgsz} px: {genes}; {self.size:,} architectures)"

    def base_architecture(self) -> Architecture:
        """The architecture with `none` at every slot."""
        return Architecture.none(self.names)

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once; the first one is the base."""
        for genes in itertools.product(*(s.genes for s in self.slots)):
            yield Architecture.of(dict(zip(self.names, genes, strict=True)))

    def contains(self, architecture: Architecture) -> bool:
        """True if the architecture has only slots of this space, each with a gene that is kept there.

        Raises:
            GrammarError: the argument is no architecture; the operator `in` gives False instead.
        """
        try:
            return all(gene in self._kept[name] for name, gene in self._completed(architecture).items())
        except UnknownName:
            return False

    def canonical(self, architecture: Architecture) -> Architecture:
        """The member of the space that equals an architecture: aliases are replaced by the genes that are kept.

        Raises:
            GrammarError: the argument is no architecture.
            UnknownName: the space does not have a slot or module.
            SlotRefused: a gene does not fit its slot, or is not offered there.
        """
        genes = self._completed(architecture)
        for name, gene in genes.items():
            kept = self._kept[name].get(gene)
            if kept is None:
                space = self[name]
                if gene in space.refused:
                    raise SlotRefused(f"`{gene}` cannot be used at {name}: {space.refused[gene]}")
                if gene not in space.aliases:
                    raise _not_offered(name, gene, space.options())
                kept = space.aliases[gene]
            genes[name] = kept
        return Architecture.of(genes)

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Every member that differs from an architecture at exactly one slot; raises the same errors as `canonical`."""
        member = self.canonical(architecture)
        return (
            member.with_gene(s.slot.name, gene) for s in self.slots for gene in s.genes if gene != member[s.slot.name]
        )

    def restrict(self, live: Sequence[str]) -> SearchSpace:
        """The space in which all slots except `live` offer only `none`.

        Raises:
            GrammarError: `live` cannot be read as names of slots.
            UnknownName: the space does not have one of these slots.
        """
        live = slot_names(live)
        for name in live:
            self[name]
        return replace(self, slots=tuple(s if s.slot.name in live else SlotSpace(s.slot, (NONE,)) for s in self.slots))

    def with_residual(self, residual: str) -> SearchSpace:
        """The part of the space in which all genes have this `residual`.

        Raises:
            UnknownName: `residual` is neither `none` nor `scaled`.
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
        """16 hex digits that change if the space changes."""
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

    def _completed(self, architecture: Any) -> dict[str, Gene]:
        """The complete gene of every slot: slot -> gene. Aliases are not replaced.

        Raises:
            GrammarError: the argument is no architecture.
            UnknownName: the space does not have one of the slots.
        """
        given = Architecture.meant(architecture)
        if not given.genes:
            raise GrammarError("an architecture must name at least one slot", remedy=EXAMPLE)
        genes = dict.fromkeys(self.names, NONE)
        for name, gene in given:
            if gene not in self._kept.get(name, ()):
                known = self[name]  # only genes that the space does not know need the zoo; a search has none of them
                if gene not in known.aliases and gene not in known.refused:
                    gene = written.with_defaults(gene)
            genes[name] = gene
        return genes


def _not_offered(slot: str, gene: Gene, options: Mapping[str, Mapping[str, tuple[Any, ...]]]) -> UserError:
    """The error for a gene that is neither kept, nor an alias, nor refused; it lists the offered values."""
    if gene.module not in options:
        return UnknownName(f"module at {slot}", gene.module, options)
    offered = "; ".join(f"{n}: {', '.join(map(write_value, v))}" for n, v in sorted(options[gene.module].items()))
    return SlotRefused(
        f"every setting of a gene at {slot} must have one of the offered values",
        got=f"`{gene}`",
        remedy=f"Offered for {gene.module}: {offered}.",
    )


def _residual(gene: Gene) -> str:
    return str(gene.as_dict().get("residual", "none"))


def _sort_key(value: Any) -> tuple[bool, bool, Any]:
    return (isinstance(value, str), isinstance(value, tuple), value)
