"""Makes the plan of a request: reads the base, its scales and slots, and counts costs. It trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nas_attn.ablation.design import Design
from nas_attn.ablation.plan.arms import CONV, Choices, make_design
from nas_attn.ablation.plan.bases import AblatedBase, base_and_slots, cost_table, larger_bases
from nas_attn.ablation.plan.settings import Request
from nas_attn.ablation.view import AblationView
from nas_attn.attention import registry
from nas_attn.cost import CostTable
from nas_attn.cost.standing import check_places
from nas_attn.detector.neck.slots import canonical
from nas_attn.environment import cache_root
from nas_attn.errors import SlotRefused, StudyChanged, UserError
from nas_attn.evaluate import Evaluator, evaluator_name
from nas_attn.evaluate.starts import check_start
from nas_attn.space import NONE, Architecture, Gene, SearchSpace
from nas_attn.study.config import StudyConfig
from nas_attn.study.controls import conv_genes
from nas_attn.study.folder import RunFolder
from nas_attn.study.identity import check_unchanged
from nas_attn.study.plan import Plan
from nas_attn.study.prepare import prepare
from nas_attn.study.recorded_space import counting_of
from nas_attn.study.trial_settings import differing, settings_of


@dataclass(frozen=True)
class AblationPlan:
    """Everything that an ablation needs.

    Attributes:
        request: the request.
        study: configuration, space and devices, as in a search.
        design: arms and contrasts.
        scales: name of a base model (None for the ablation's own) -> the base.
        costs: name of an arm -> cost of its final model.
        probed: slots whose liveness is measured.
        notes: notes on comparisons that are not possible.
        full: the full architecture.
    """

    request: Request
    study: Plan
    design: Design
    scales: Mapping[str | None, AblatedBase]
    costs: Mapping[str, dict[str, float]]
    probed: tuple[str, ...]
    notes: tuple[str, ...]
    full: Architecture

    @property
    def header(self) -> dict[str, Any]:
        """The `study` record of the ablation's log."""
        request = self.request
        own = {"name": request.name, "full": str(self.full), "seed": request.seed}
        title = f"{self.request.config.name}: {self.request.name}"
        return {**self.study.header, "name": title, "ablation": own}


def prepare_ablation(
    request: Request, progress: Callable[[str], None], evaluator: Evaluator | None = None
) -> AblationPlan:
    """The plan of an ablation, with all input checked.

    Args:
        request: the request.
        progress: called with one line of text at each step.
        evaluator: scores architectures, on the ablation's own base only; None means proxy runs.

    Raises:
        ConfigError: all mistakes in the study's configuration, together.
        UserError: an architecture does not fit the space, or a kind of comparison is not possible.
    """
    config, settings, folder = request.config, request.settings, RunFolder(request.folder)
    stored = request.stored or (request.study.header if request.study is not None else None)
    study = prepare(config, folder, progress, stored)
    study = _with_the_studys_images(study, request)
    base, slots = base_and_slots(study, config.model)
    if evaluator is not None:
        study = _with_evaluator(study, evaluator)
    own = AblatedBase(None, base, slots, study.evaluator)
    kinds = settings.asked_kinds
    full = _named(study, own, request.full, "--base" if settings.base else "the picked architecture")
    further = tuple(_named(study, own, text, "--arm") for text in settings.arms)
    study = _with_what_is_named(study, own, (full, *further))
    if full.is_base:
        raise UserError("an ablation must have an architecture with attention", got=str(full), where="--base")
    _check_same(request, study, full)
    known = _measured(request)
    everywhere = tuple(s.name for s in own.slots if known is None or s.name in known)
    notes: list[str] = []
    scales: dict[str | None, AblatedBase] = {None: own}
    if "scale" in kinds and evaluator is None:
        scales |= larger_bases(request, study, full, notes)
    elif "scale" in kinds:
        notes.append("no comparison of scales: the given evaluator has one base model")
    sizes = (config.imgsz, config.final_imgsz)
    choices = Choices(
        space=study.space,
        full=full,
        fits=lambda slot, gene: own.fits(slot, gene, *sizes) and not _refused_start(config, own, slot, gene),
        conv=lambda slot, gene: _conv(study, slot, gene),
        everywhere=everywhere if "placement" in kinds else (),
        scales=tuple(m for m in scales if m is not None),
        further=further,
        controls=settings.controls,
        notes=notes,
    )
    design = make_design(choices, kinds)
    counting = counting_of(stored)
    tables = {m: cost_table(scale, design, counting, study.table) for m, scale in scales.items()}
    costs = {a.name: tables[a.model].cost(a.architecture).as_dict() for a in design.arms}
    _check_measured(request, design, known)
    notes = [*request.notes, *notes]
    # all slots are probed, because comparisons may be added after the bases are trained
    return AblationPlan(request, study, design, scales, costs, everywhere, tuple(dict.fromkeys(notes)), full)


def _measured(request: Request) -> Collection[str] | None:
    """The slots whose liveness was measured on the ablation's bases. An earlier release may have found fewer slots.

    Returns:
        Their names; None if no base has been trained yet.
    """
    if request.stored is None:
        return None
    view = AblationView.of(request.folder, RunFolder(request.folder).log.read())
    if drop := view.views[None].slots.get("drop"):
        return set(drop)
    return next((set(t.evaluation.liveness) for t in view.trials if t.evaluation and t.evaluation.liveness), None)


def _check_measured(request: Request, design: Design, known: Collection[str] | None) -> None:
    """Refuse arms at slots whose liveness was not measured when the ablation's bases were trained.

    Raises:
        UserError: there is such an arm.
    """
    if known is None:
        return
    if unknown := sorted({s for a in design.arms if a.model is None for s in a.filled} - set(known)):
        raise UserError(
            "the liveness of all slots in an ablation must be measured",
            got=f"new arms at {', '.join(unknown)}, not measured when the bases were trained",
            where=f"ablation '{request.name}'",
            remedy="Compare these arms in another ablation, with --name.",
        )


def _with_the_studys_images(study: Plan, request: Request) -> Plan:
    """The plan, changed so that trials use the study's cache of decoded images."""
    cache = request.folder.parent.parent / "cache"
    return replace(study, evaluator=replace(study.evaluator, cache=str(cache.resolve())))


def _with_evaluator(study: Plan, evaluator: Evaluator) -> Plan:
    """The plan with an evaluator in place of proxy runs."""
    prints = {**study.header["fingerprints"], "evaluator": evaluator_name(evaluator)}
    return replace(study, evaluator=evaluator, header={**study.header, "fingerprints": prints})


def _named(study: Plan, own: AblatedBase, text: str, where: str) -> Architecture:
    """The architecture that a text describes, at the study's slots. Its modules need not be in the space.

    Settings that are left out have their defaults. An alias in the space becomes the gene that stands for it.

    Raises:
        UserError: the study has no such slot, there is no such module or setting, or a gene does not fit its slot.
    """
    config, genes = study.config, {}
    for slot, gene in canonical(Architecture.parse(text), own.slots, where=where):
        entry = registry.get(gene.module, where=where)
        genes[slot] = Gene.of(gene.module, entry.complete(gene.as_dict(), where=where))
    filled = [slot for slot, gene in genes.items() if slot not in study.space.names and gene != NONE]
    if filled:
        raise UserError(
            "an architecture must use the study's slots only",
            got=f"a module at {', '.join(filled)}",
            where=where,
            remedy=f"The study has {', '.join(study.space.names)}. For other slots, give --slots and another --name.",
        )
    found = dict.fromkeys(study.space.names, NONE)
    for slot in (s for s in study.space.names if s in genes):
        gene, known = genes[slot], study.space[slot]
        space = study.space
        if gene not in (*known.genes, *known.aliases, *known.refused):
            alone = {gene.module: {k: [v] for k, v in {"residual": "none", **gene.as_dict()}.items()}}
            final = config.final_imgsz
            space = SearchSpace.build(space.base, [known.slot], alone, imgsz=config.imgsz, final_imgsz=final)
        try:
            found[slot] = space.canonical(Architecture.of({slot: gene}))[slot]
        except SlotRefused as error:
            raise SlotRefused(error.rule, got=error.got, where=where, remedy=error.remedy) from None
    check_start(config.start, named := Architecture.of(found), own.slots)
    return named


def _with_what_is_named(study: Plan, own: AblatedBase, named: Iterable[Architecture]) -> Plan:
    """The plan with the costs and digests of named modules and settings that are not in its space.

    Raises:
        ConfigError: modules from the user's files do not fit the slots at which they are named.
    """
    cells, config = study.table.cells, study.config
    genes = {
        s: [g for a in named if (g := dict(a.genes).get(s.name, NONE)) not in cells[s.name]]
        for s in own.slots
        if s.name in cells
    }
    if not any(genes.values()):
        return study
    check_places(genes, config.imgsz, config.final_imgsz)
    table = CostTable.build(own.base.build(), genes, config.final_imgsz, cache=cache_root() / "cost")
    merged = {slot: {**known, **table.cells.get(slot, {})} for slot, known in cells.items()}
    entries = [registry.get(gene.module) for wanted in genes.values() for gene in wanted]
    digests = {e.name: e.digest for e in entries if not e.cls.__module__.startswith(registry.ZOO)}
    prints = study.header["fingerprints"]
    prints = {**prints, "modules": {**prints["modules"], **digests}}
    header = {**study.header, "fingerprints": prints}
    return replace(study, table=replace(study.table, cells=merged), header=header)


def _refused_start(config: StudyConfig, own: AblatedBase, slot: str, gene: Gene) -> bool:
    """True if `start: base` refuses the slot, because a module there would replace a trained convolution."""
    return config.start == "base" and next(s for s in own.slots if s.name == slot).replaces


def _conv(study: Plan, slot: str, gene: Gene) -> Gene | None:
    """The plain convolution whose number of parameters is nearest to the gene's, with the same `residual`."""
    residual = str(gene.as_dict().get("residual", "none"))
    if gene.module == CONV:
        return None
    choices = conv_genes(study.space[slot].slot, residual)
    wanted = study.params(slot, gene)
    return min(choices, key=lambda g: abs(study.params(slot, g) - wanted), default=None)


def _check_same(request: Request, study: Plan, full: Architecture) -> None:
    """Refuse to continue a different ablation, or to ablate a study whose data or base has changed since its search.

    Raises:
        StudyChanged: something differs; the message names it.
    """
    if request.study is not None:
        header, same = request.study.header, ("data", "base", "weights", "evaluator")
        old, new = header["fingerprints"], study.header["fingerprints"]
        if differs := [name for name in same if old.get(name) != new.get(name)]:
            raise StudyChanged(
                "an ablation must use the same data, base, weights and evaluator as its search",
                got=f"changed since the search: {', '.join(differs)}",
                where=f"study '{request.study.name}'",
                remedy="Restore the input of the search, or give a new study name and --base.",
            )
        if settings := list(differing(settings_of(header["config"]), settings_of(study.header["config"]))):
            raise StudyChanged(
                "an ablation must have the training settings of its search",
                got=f"other values of {', '.join(settings)}",
                where=f"study '{request.study.name}'",
                remedy="Leave them out, or give a new study name and --base.",
            )
    if request.stored is None:
        return
    remedy = "Continue it unchanged, or start another ablation with --name."
    own, where = request.stored["ablation"], f"ablation '{request.name}'"
    try:
        check_unchanged(request.stored, study.header)
    except StudyChanged as error:
        raise StudyChanged("an ablation must stay the same", got=error.got, where=where, remedy=remedy) from None
    for word, old, new in (("architecture", own["full"], str(full)), ("first seed", own["seed"], request.seed)):
        if old != new:
            raise StudyChanged(
                "an ablation must stay the same", got=f"another {word}: it was {old}, now it is {new}", where=where,
                remedy=remedy,
            )  # fmt: skip
