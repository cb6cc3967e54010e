"""The search space and the costs of a study, written once into its header and read from there later.

Later releases add modules to the zoo and correct how costs are counted. A study must stay the same search anyway, and
the costs of its trials must stay comparable. So a continued study, and an ablation of it, take the space and the costs
from the header. A header of release 0.1.0 holds only a digest of the space: there, the space is built again from the
zoo of that release, and costs are counted by its rules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nas_attn.attention import registry
from nas_attn.cost import COUNTING, CostTable
from nas_attn.cost.cost import Cost
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.environment import cache_root
from nas_attn.errors import RecordLost, StudyChanged, UserError
from nas_attn.space import NONE, Gene, SearchSpace, Slot
from nas_attn.space.search_space import SlotSpace
from nas_attn.study import first_release
from nas_attn.study.config import StudyConfig
from nas_attn.study.controls import conv_genes
from nas_attn.study.space_files import load_space

DECIDE = ("model", "width", "start", "space", "modules", "slots", "imgsz", "final_imgsz")  # they determine the space
FIRST_COUNTING = 1  # the counting rules of release 0.1.0, which did not record their number


def to_header(space: SearchSpace, table: CostTable, counting: int, searched: Mapping[str, Any]) -> dict[str, Any]:
    """The header fields that `from_header` reads, JSON-ready. It also reads `space_slots` and `aliases`.

    Args:
        space: the search space.
        table: cost of every gene that the study may need.
        counting: number of the rules by which costs were counted.
        searched: the `slots` and `modules` that the user asked for.
    """
    texts: dict[str, int] = {}

    def at(genes: Iterable[Gene]) -> list[int]:
        return [texts.setdefault(str(g), len(texts)) for g in genes]

    slots = {}
    for s in space.slots:
        refused: dict[str, list[Gene]] = {}
        for gene, reason in s.refused.items():
            refused.setdefault(reason, []).append(gene)
        cells = table.cells[s.slot.name]
        slots[s.slot.name] = {
            "kept": at(s.genes),
            "refused": {reason: at(genes) for reason, genes in refused.items()},
            "counted": at(cells),
            "costs": [c.as_tuple() for c in cells.values()],
        }
    return {
        "searched": json.loads(json.dumps(searched)),  # as the log returns it: tuples become lists
        "space": {"imgsz": space.imgsz, "genes": list(texts), "slots": slots},
        "costs": {"counting": counting, "imgsz": table.imgsz, "base": table.base.as_tuple()},
    }


def counting_of(stored: Mapping[str, Any] | None) -> int:
    """The number of the rules by which a study counts costs; a new study takes the newest rules."""
    return COUNTING if stored is None else int(stored.get("costs", {}).get("counting", FIRST_COUNTING))


def from_header(stored: Mapping[str, Any] | None, config: StudyConfig) -> tuple[SearchSpace, CostTable] | None:
    """The search space and the costs that a header holds.

    Args:
        stored: the header, or None.
        config: the configuration of the study now.

    Returns:
        The space and the costs; None if the header has none, or if they belong to another configuration.

    Raises:
        RecordLost: the header is damaged.
    """
    if stored is None or "space" not in stored or not _same(stored, config, DECIDE):
        return None
    try:
        space, table = _read(stored)
        whole = space.fingerprint() == stored["fingerprints"]["space"]
    except (UserError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise RecordLost(
            f"the first record of study '{stored.get('name')}' is damaged: its `space` or `costs` cannot be read. "
            "Restore the record log from a copy; the Optuna storage of the study holds the same records."
        )
    return space, table


def _read(stored: Mapping[str, Any]) -> tuple[SearchSpace, CostTable]:
    content, costs = stored["space"], stored["costs"]
    genes = [Gene.parse(text) for text in content["genes"]]
    slots, cells = [], {}
    for slot in map(Slot.of, stored["space_slots"]):
        own = content["slots"][slot.name]
        aliases = {Gene.parse(a): Gene.parse(g) for a, g in stored["aliases"][slot.name].items()}
        refused = {genes[i]: reason for reason, found in own["refused"].items() for i in found}
        slots.append(SlotSpace(slot, tuple(genes[i] for i in own["kept"]), aliases, refused))
        cells[slot.name] = {genes[i]: Cost(*c) for i, c in zip(own["counted"], own["costs"], strict=True)}
    space = SearchSpace(stored["base"], tuple(slots), content["imgsz"])
    return space, CostTable(Cost(*costs["base"]), cells, costs["imgsz"])


def space_content(config: StudyConfig, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of the search space file that a configuration names.

    A shipped search space may change between releases: a continued study keeps the content with which it began.

    Args:
        config: the configuration.
        stored: header of the study that is continued; None for a new study.

    Raises:
        ConfigError: the file has mistakes; the error lists all of them.
        StudyChanged: this release lacks a module that the study searches.
    """
    shipped = Path(config.space).suffix not in (".yaml", ".yml")
    then = None
    if stored is not None and shipped and _same(stored, config, ("space",)):
        then = stored.get("searched") or first_release.SPACES.get(config.space)
    content = load_space(config.space) if then is None else {**then}
    if stored is not None and _same(stored, config, ("modules",)):
        _check_there(stored, config.modules if config.modules is not None else content["modules"])
    return content


def recorded_slots(stored: Mapping[str, Any] | None, config: StudyConfig) -> frozenset[str] | None:
    """The slots with which the study began. Its patterns match no other slots, though this release finds more.

    Args:
        stored: header of the study that is continued; None for a new study.
        config: the configuration.

    Returns:
        The main names; None for a new study, or if another base, space or other slots are asked for.
    """
    if stored is None or not stored.get("space_slots") or not _same(stored, config, ("model", "space", "slots")):
        return None
    return frozenset(Slot.of(values).name for values in stored["space_slots"])


def options_of(stored: Mapping[str, Any] | None, config: StudyConfig) -> Mapping[str, Mapping[str, list[Any]]]:
    """The options of each setting with which the study began; the zoo of this release may have more.

    Args:
        stored: header of the study that is continued; None for a new study.
        config: the configuration.

    Returns:
        module -> setting -> options; empty for a new study, or if another space or other modules are asked for.
    """
    if stored is None or not _same(stored, config, ("space", "modules")):
        return {}
    if "space" not in stored:
        return first_release.ZOO
    found: dict[str, dict[str, list[Any]]] = {}
    for gene in map(Gene.parse, stored["space"]["genes"]):
        settings = {} if gene == NONE else {"residual": "none", **gene.as_dict()}
        for name, value in settings.items():
            options = found.setdefault(gene.module, {}).setdefault(name, [])
            if value not in options:
                options.append(value)
    return found


def _check_there(stored: Mapping[str, Any], modules: Iterable[str]) -> None:
    """Refuse to continue if the zoo lacks a module of the study; modules of files are checked elsewhere.

    Raises:
        StudyChanged: a module is missing.
    """
    known = registry.names()
    gone = [m for m in modules if m not in known and m not in stored["fingerprints"].get("modules", {})]
    if gone:
        raise StudyChanged(
            "a study must have the modules that it searches",
            got=f"{', '.join(gone)}, which this version does not have",
            where=f"study '{stored['name']}'",
            remedy=f"Continue it with nas_attn {stored['version']}, or start a new study under another name.",
        )


def same_space(stored: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """True if two headers have the same search space: the same request, and the same space as its result.

    The digest of a space includes the texts of refusals, and a later release may change these texts. So for a stored
    header without a full space, equal slots, sizes and aliases are enough.

    Args:
        stored: header of the study that is continued.
        header: header of the study as it is asked for now.
    """
    if stored.get("searched") and stored["searched"] != header.get("searched"):
        return False
    same = stored["fingerprints"].get("space") == header["fingerprints"].get("space")
    parts = ("space_slots", "space_size", "aliases")
    return same or ("space" not in stored and all(p in stored and stored[p] == header.get(p) for p in parts))


def space_and_costs(
    config: StudyConfig,
    base: BaseModel,
    space: SearchSpace,
    build: Callable[..., SearchSpace],
    stored: Mapping[str, Any] | None,
    tell: Callable[[str], None] | None = None,
) -> tuple[SearchSpace, CostTable]:
    """The search space of a study, and the cost of every gene that it may need.

    Args:
        config: the configuration.
        base: its base model.
        space: the search space, built without regard to cost.
        build: builds the space again; takes `rank` and `options` like `build_space`.
        stored: header of the study that is continued; None for a new study.
        tell: takes a few words on the progress.

    Returns:
        The space, and the costs at the image size of the final training.
    """
    known = from_header(stored, config)
    space = known[0] if known else space
    genes = {
        s.slot: tuple(dict.fromkeys((*s.genes, *s.aliases, *conv_genes(s.slot, "none"), *conv_genes(s.slot, "scaled"))))
        for s in space.slots
    }
    cache, counting = cache_root() / "cost", counting_of(stored)
    table = counted(base, genes, config.final_imgsz, cache, counting, known[1] if known else None, tell)
    if known is None:
        # Built again now that costs are known: if settings do the same on the proxy's maps, the cheapest one is kept.
        space = build(rank=partial(_macs, table), options=options_of(stored, config))
    return space, table


def counted(
    base: BaseModel,
    genes: Mapping[Slot, Sequence[Gene]],
    imgsz: int,
    cache: Path | None,
    counting: int,
    known: CostTable | None = None,
    tell: Callable[[str], None] | None = None,
) -> CostTable:
    """The cost of genes. Costs in `known` are reused, all others are counted.

    Args:
        base: the base model.
        genes: slot -> genes that may be used there.
        imgsz: image size of the final training in pixels.
        cache: folder that caches cost tables.
        counting: number of the counting rules.
        known: costs of the same base from an earlier count.
        tell: takes a few words on the progress.
    """
    if known is None or known.imgsz != imgsz:
        return CostTable.build(base.build(), genes, imgsz, cache=cache, counting=counting, tell=tell)
    cells = {s.name: known.cells.get(s.name, {}) for s in genes}
    left = {s: [g for g in wanted if g not in cells[s.name]] for s, wanted in genes.items()}
    if not any(left.values()):
        return known
    new = CostTable.build(base.build(), left, imgsz, cache=cache, counting=counting, tell=tell)
    return CostTable(known.base, {s: {**own, **new.cells.get(s, {})} for s, own in cells.items()}, imgsz)


def _same(stored: Mapping[str, Any], config: StudyConfig, fields: Sequence[str]) -> bool:
    now, then = config.model_dump(mode="json", include=set(fields)), stored["config"]
    return all(then.get(f, StudyConfig.model_fields[f].default) == now[f] for f in fields)


def _macs(table: CostTable, slot: Slot, gene: Gene) -> float:
    """The multiply-accumulates that a gene adds; infinity for a refused gene, which was never counted."""
    cost = table.cells[slot.name].get(gene)
    return math.inf if cost is None else cost.macs
