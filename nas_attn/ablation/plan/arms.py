"""The arms and contrasts of each kind of comparison, as pure functions: spaces and genes in, a design out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas_attn.ablation.design import BASE, ELSEWHERE, FULL, Arm, Contrast, Design
from nas_attn.errors import UserError
from nas_attn.space import NONE, Architecture, Gene, SearchSpace
from nas_attn.space.architecture import write_value

MOST_FACTORS = 5
CONV = "conv"


@dataclass(frozen=True)
class Choices:
    """The input of a design: the space, the full architecture, and the genes that fit each slot.

    Attributes:
        space: the study's space; swaps and sweeps use only its genes.
        full: the full architecture. Its slots are those of the space; its modules may be others.
        fits: (slot, gene) -> True if the gene fits the slot, which may be any slot of the base.
        conv: (slot, gene) -> the plain convolution with the nearest number of parameters; None if there is none.
        everywhere: the slots of the base for `placement`, in the order of the graph.
        scales: names of larger base models, as `load_base` takes them.
        further: architectures that the user adds; each becomes an arm.
        controls: True to train also plain convolutions in place of the attention.
        notes: notes on comparisons that are not possible; `make_design` adds to them.
    """

    space: SearchSpace
    full: Architecture
    fits: Callable[[str, Gene], bool]
    conv: Callable[[str, Gene], Gene | None]
    everywhere: Sequence[str] = ()
    scales: Sequence[str] = ()
    further: Sequence[Architecture] = ()
    controls: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def filled(self) -> dict[str, Gene]:
        """Slot -> gene of the full architecture."""
        return {slot: gene for slot, gene in self.full if gene != NONE}

    def architecture(self, genes: Mapping[str, Gene]) -> Architecture:
        """These genes, and `none` at the other slots of the space."""
        return Architecture.of({**dict.fromkeys(self.space.names, NONE), **genes})


class _Builder:
    """A collector of arms. An arm is trained once, even if several kinds need it."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.arms: dict[tuple[Architecture, str | None, int], Arm] = {}
        self.contrasts: list[Contrast] = []

    def arm(self, name: str, kind: str, genes: Mapping[str, Gene], *, model: str | None = None, offset: int = 0) -> Arm:
        """The arm with these genes: a new arm, or a known one with one more name."""
        architecture = self.choices.architecture(genes)
        key = (architecture, model, offset)
        known = self.arms.get(key)
        if known is None:
            found = Arm(name, (kind,) if kind else (), architecture, model, offset)
        else:
            also = known.also if name in (known.name, *known.also) else (*known.also, name)
            kinds = tuple(dict.fromkeys((*known.kinds, *([kind] if kind else ()))))
            found = Arm(known.name, kinds, architecture, model, offset, also)
        self.arms[key] = found
        return found

    def against(self, family: str, label: str, arm: Arm, reference: Arm) -> None:
        """Add the contrast of one arm minus another."""
        if arm.name != reference.name:
            self.contrasts.append(Contrast.between(label, family, arm, reference))

    def design(self) -> Design:
        """The design with all arms, and each contrast once."""
        unique = {(c.family, c.weights): c for c in reversed(self.contrasts)}
        return Design(tuple(self.arms.values()), tuple(reversed(unique.values())))


def make_design(choices: Choices, kinds: Iterable[str]) -> Design:
    """The arms and contrasts of these kinds; each arm is compared with the base of its scale.

    Raises:
        UserError: a factorial design has too many slots.
    """
    kinds = tuple(kinds)
    build = _Builder(choices)
    base = build.arm(BASE, "", {})
    full = build.arm(FULL, "", choices.filled)
    conv = {slot: g for slot, gene in choices.filled.items() if (g := choices.conv(slot, gene)) is not None}
    if choices.controls and conv:
        build.arm(f"{CONV} in place of attention", "control", conv)
    for kind in kinds:
        _KINDS[kind](build, base, full)
    for architecture in choices.further:
        genes = {slot: gene for slot, gene in architecture if gene != NONE}
        build.arm(" ".join(f"{slot}={gene}" for slot, gene in genes.items()) or BASE, "arm", genes)
    for arm in list(build.arms.values()):
        if arm.model is None and arm.name != BASE:
            build.against("a/a" if arm.offset else "base", arm.name, arm, base)
    for model in choices.scales if "scale" in kinds else ():
        there = [a for a in build.arms.values() if a.model == model]
        for arm in there[1:]:
            build.against("base", arm.name, arm, there[0])
    _against_full(build, full)
    _against_conv(build)
    return build.design()


def _leave_one_out(build: _Builder, base: Arm, full: Arm) -> None:
    filled = build.choices.filled
    if len(filled) == 1:
        build.choices.notes.append(
            "leave-one-out is skipped: the architecture has only one filled slot, and without it only the base is left"
        )
        return
    for slot in filled:
        build.arm(f"without {slot}", "leave-one-out", {s: g for s, g in filled.items() if s != slot})


def _add_one_in(build: _Builder, base: Arm, full: Arm) -> None:
    for slot, gene in build.choices.filled.items():
        build.arm(f"{slot} alone", "add-one-in", {slot: gene})


def _swap(build: _Builder, base: Arm, full: Arm) -> None:
    filled, space = build.choices.filled, build.choices.space
    for slot, own in filled.items():
        modules = dict.fromkeys(g.module for g in space[slot].genes if g.module not in ("none", CONV, own.module))
        genes = [_nearest(space[slot].genes, module, own) for module in modules]
        conv = build.choices.conv(slot, own) if own.module != CONV else None
        for gene in [*genes, *([conv] if conv is not None else ())]:
            build.arm(f"{slot}: {gene}", "swap", {**filled, slot: gene})


def _nearest(genes: Iterable[Gene], module: str, own: Gene) -> Gene:
    """The module's gene nearest to its published settings, with the same `residual` as `own`."""
    from nas_attn.attention import registry

    wanted = {**registry.get(module).defaults(), "residual": own.as_dict().get("residual", "none")}

    def distance(gene: Gene) -> tuple[bool, int]:
        settings = {"residual": "none", **gene.as_dict()}
        return settings["residual"] != wanted["residual"], sum(settings[k] != v for k, v in wanted.items())

    return min((g for g in genes if g.module == module), key=distance)


def _sweep(build: _Builder, base: Arm, full: Arm) -> None:
    filled, space = build.choices.filled, build.choices.space
    for slot, own in filled.items():
        mine = {"residual": "none", **own.as_dict()}
        for gene in space[slot].genes:
            theirs = {"residual": "none", **gene.as_dict()}
            if gene.module == own.module and sum(theirs[k] != v for k, v in mine.items()) == 1:
                name = next(k for k, v in mine.items() if theirs[k] != v)
                build.arm(f"{slot}: {name}={write_value(theirs[name])}", "sweep", {**filled, slot: gene})


def _placement(build: _Builder, base: Arm, full: Arm) -> None:
    choices = build.choices
    genes = dict.fromkeys(choices.filled.values())
    for gene in genes:
        for slot in choices.everywhere:
            name = f"{slot} alone" if choices.filled.get(slot) == gene else f"{gene.module} at {slot}"
            if len([g for g in genes if g.module == gene.module]) > 1 and not name.endswith("alone"):
                name = f"{gene} at {slot}"
            if choices.fits(slot, gene):
                build.arm(name, "placement", {slot: gene})
            else:
                choices.notes.append(f"placement: `{gene}` does not fit slot {slot}")


def _scale(build: _Builder, base: Arm, full: Arm) -> None:
    for model in build.choices.scales:
        stem = Path(model).stem
        there = build.arm(f"base on {stem}", "scale", {}, model=model)
        filled = build.arm(f"full on {stem}", "scale", build.choices.filled, model=model)
        weights = ((filled.name, 1.0), (there.name, -1.0), (full.name, -1.0), (base.name, 1.0))
        label = f"gain on {stem} minus gain here"
        build.contrasts.append(Contrast(label, "scale", weights, full.filled))


def _factorial(build: _Builder, base: Arm, full: Arm) -> None:
    """Add an arm for each combination of the filled slots, with main effects and pairwise interactions."""
    filled = build.choices.filled
    if len(filled) > MOST_FACTORS:
        raise UserError(
            f"a factorial ablation must have at most {MOST_FACTORS} filled slots",
            got=f"{len(filled)} slots, which make {2 ** len(filled)} arms",
            remedy="Leave out `factorial`. leave-one-out and add-one-in need one arm per slot only.",
        )
    if len(filled) < 2:
        build.choices.notes.append("factorial is skipped: the architecture has only one filled slot")
        return
    arms: dict[frozenset[str], Arm] = {}
    for size in range(len(filled) + 1):
        for slots in itertools.combinations(filled, size):
            name = " + ".join(slots) or BASE
            arms[frozenset(slots)] = build.arm(name, "factorial" if slots else "", {s: filled[s] for s in slots})
    half = len(arms) / 2
    for slot in filled:
        weights = tuple((a.name, (1.0 if slot in on else -1.0) / half) for on, a in arms.items())
        build.contrasts.append(Contrast(f"main effect of {slot}", "factorial", weights, (slot,)))
    for one, two in itertools.combinations(filled, 2):
        # the effect of `two` if `one` is filled, minus its effect if `one` is empty
        signs = {on: (1.0 if one in on else -1.0) * (1.0 if two in on else -1.0) for on in arms}
        weights = tuple((arms[on].name, 2 * sign / half) for on, sign in signs.items())
        label = f"interaction of {one} and {two}"
        build.contrasts.append(Contrast(label, "factorial", weights, (one, two), product=True))


def _same_again(build: _Builder, base: Arm, full: Arm) -> None:
    build.arm("base, other seeds", "a/a", {}, offset=ELSEWHERE)


def _against_full(build: _Builder, full: Arm) -> None:
    """Add the contrast of the full architecture minus each arm that lacks or replaces a part of it."""
    for arm in build.arms.values():
        if arm.model is not None or arm.offset:
            continue
        changed = Contrast.between("", "full", full, arm).slots
        if "leave-one-out" in arm.kinds:
            build.against("full", f"{full.architecture[changed[0]]} at {changed[0]}", full, arm)
        elif {"swap", "sweep"} & set(arm.kinds) and len(changed) == 1:
            build.against("full", _instead(changed[0], full, arm), full, arm)
        elif "arm" in arm.kinds and _is_part(arm, full):
            build.against("full", f"full, not {arm.name}", full, arm)


def _is_part(arm: Arm, full: Arm) -> bool:
    """True if an arm is the full architecture with some slots set to `none`."""
    return all(dict(full.architecture).get(s) == arm.architecture[s] for s in arm.filled)


def _against_conv(build: _Builder) -> None:
    """Add the contrast of each arm with attention minus the arm with plain convolutions in the same slots, if any."""
    arms = [a for a in build.arms.values() if a.model is None and not a.offset and a.filled]
    convs = {a.filled: a for a in arms if all(a.architecture[s].module == CONV for s in a.filled)}
    for arm in arms:
        conv = convs.get(arm.filled)
        if conv is not None and all(arm.architecture[s].module != CONV for s in arm.filled):
            build.against("control", f"{arm.name}, not {CONV}", arm, conv)


def _instead(slot: str, full: Arm, arm: Arm) -> str:
    """The label of a swap or sweep: its gene or setting in the full architecture, then the one in the arm."""
    own, other = full.architecture[slot], arm.architecture[slot]
    ours, theirs = ({"residual": "none", **g.as_dict()} for g in (own, other))
    if own.module != other.module:
        return f"{slot}: {own}, not {other}"
    name = next(k for k, v in ours.items() if theirs[k] != v)
    return f"{slot}: {name}={write_value(ours[name])}, not {write_value(theirs[name])}"


_KINDS: dict[str, Callable[[_Builder, Arm, Arm], None]] = {
    "leave-one-out": _leave_one_out,
    "add-one-in": _add_one_in,
    "swap": _swap,
    "sweep": _sweep,
    "placement": _placement,
    "scale": _scale,
    "factorial": _factorial,
    "a/a": _same_again,
}
