"""Names that communities use for the modules of the registry, and the module that a row with such a name means.

Two names are the same if their letters and digits are the same without case: `Coord_Att` is `CoordAtt`. A module's name
in the registry and the name of its class need no entry here. The spellings come from the collections that articles copy
from (objectdetection_script, yoloair, External-Attention-pytorch), from timm, and from the code of the papers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas_attn.attention import registry
from nas_attn.detector.model.model_yaml import is_layer
from nas_attn.detector.model.rows import PREFIX
from nas_attn.space.slot import CONCAT, INNER, INSERT

ALIASES = {
    "aattn": "AAttn AreaAttn",
    "axial": "AxialAttn",
    "bi_level_routing": "BiLevelRoutingAttention BiLevelRoutingAttention_nchw BiFormer BiFormerAttention BRA",
    "caa": "ContextAnchorAttention",
    "cafm": "CAFMAttention",
    "cbam": "CBAMBlock CbamModule CBAMAttention",
    "coord": "CoordAtt CoordAttention CoordAttn CA CoordAttMeanPool",
    "cpca": "CPCAAttention",
    "criss_cross": "CrissCrossAtt CCAttention",
    "dattention": "DAttention DAttentionBaseline DAT DeformableAttention2D",
    "eca": "ECAModule ECAAtt ECANet eca_layer eca_block EfficientChannelAttention",
    "efficient_attention": "CloAtt CloAttention CloFormerAttention CloFormerAttn EfficientAttn CloFormer",
    "ela": "ELAAttention EfficientLocalAttention EfficientLocalAttn",
    "ema": "EMAAttention EMA_attention EfficientMultiScaleAttention EMSA",
    "gam": "GAMAttention GAM_Attention",
    "gc": "GlobalContext GlobalContextBlock GCBlock GCAttention",
    "irmb": "InvertedResidualMobileBlock",
    "lite_mla": "LiteMLA",
    "lka": "LargeKernelAttention",
    "lsk": "LSKBlock LSKModule LSKBlockAttention",
    "lska": "LSKAAttention LargeSeparableKernelAttention",
    "mca": "MCALayer MCAAttention",
    "mhsa": "MultiHeadSelfAttention",
    "mlca": "MLCAAttention MixedLocalChannelAttention",
    "nam": "NAMAtt",
    "resblock_cbam": "ResCBAM",
    "se": "SEAttention SELayer SEBlock SEModule SENet SqueezeExcitation",
    "shsa": "SHSAAttention SingleHeadSelfAttention",
    "shuffle": "ShuffleAttn sa_layer SANet",
    "simam": "Simam_module SimAMAttention",
    "sk": "SKConv SKLayer SKNet SKAttn SelectiveKernel",
    "strip": "StripPool SPBlock",
    "triplet": "TripletAtt TripletAttn TripleAttention",
    "window": "WindowAttention",
}
AMBIGUOUS = {  # spelling that several published modules share -> (name of the one in the zoo, the others in words)
    "cbam": (
        "cbam",
        "Ultralytics' class with only average pooling and one C×C layer, which nas_attn does not have",
    ),
    "emsa": ("EMA", "the Efficient Multi-head Self-Attention of ResT, which nas_attn does not have"),
    "strip": ("StripPooling", "the block of Strip R-CNN, which nas_attn does not have"),
}
AFTER = "after"  # after the whole block
_FUSED = {  # full name of a published class -> attention, block, place in the block
    "c2bra": ("BRA", "C2PSA", INNER),
    "c3ca": ("CA", "C3", INSERT),
    "c3cbam": ("CbamModule", "C3", INSERT),  # reduction 16 and kernel 7, as in the paper
    "c3eca": ("ECA", "C3", INSERT),
    "c3se": ("SE", "C3", INSERT),
    "cbamc3": ("CbamModule", "C3", AFTER),  # the same settings
    "repncspelan4caa": ("CAA", "RepNCSPELAN4", CONCAT),
    "sppflska": ("LSKA", "SPPF", CONCAT),
}
BLOCKS = ("A2C2f", "BottleneckCSP", "RepNCSPELAN4", "C3k2", "C2f", "C3x", "C2", "C3")
WHOLE = ("C2PSA", "C2fPSA", "SPPELAN", "SPPF")  # blocks without bottlenecks that can hold attention
WITHOUT_BOTTLENECKS = ("C2fCIB", "C3Ghost", "C3TR", "RepC3", "GhostConv", "Conv")  # they can only have it after them
_SHORT = ("C2", "C3", "C3x")  # only a separator after these starts a module's name: `C2BRA` is no C2 with BRA
_VERSION = re.compile(r"(.+?)[_-]?(v\d+)", re.IGNORECASE)
_WORDS = re.compile(r"(attention|attn|att|block|module|layer)$")
_LIKE = 0.88  # least similarity of a suggested name: `ACmx` for `ACmix`, but not `GAM` for `HAM`


@dataclass(frozen=True)
class Named:
    """The meaning of the module name in a row.

    Attributes:
        module: the registry's name of the attention; None for a module of Ultralytics or torch.
        block: block of Ultralytics around the attention (`C2f` for `C2f_ACmix`); empty for a row of attention alone.
        mode: the place of the attention in a published class of this name; empty if it is not known.
        spelt: the attention as the row spells it: `ECA` for `C2f_ECA`.
        version: a version at the end of the name, `v2` for `C2f_EMA_v2`; empty if it has none.
        settled: True if the user or the prefix `nas_attn.` has chosen this meaning of an ambiguous name.
    """

    module: str | None = None
    block: str = ""
    mode: str = field(default="", compare=False)
    spelt: str = field(default="", compare=False)
    version: str = field(default="", compare=False)
    settled: bool = field(default=False, compare=False)


def folded(name: str) -> str:
    """The letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def lookup(name: str, theirs: Iterable[str], *, chosen: bool = False) -> Named | None:
    """The meaning of the module name in a row; None if the name is unknown.

    Args:
        name: the name in the row.
        theirs: names that Ultralytics' own parser knows; they never mean a module of the registry.
        chosen: True if the user gave this name as the meaning of another name, so that it is not ambiguous.
    """
    theirs = set(theirs)
    if name.startswith(("nn.", "torchvision.ops.")) or name in theirs:
        return Named()
    bare = name.removeprefix(PREFIX).rpartition(".")[2]
    if chosen and not is_control(name) and name in registry.names():
        return Named(name, spelt=name, settled=True)
    if folded(bare) in {folded(t) for t in theirs} and not name.startswith(PREFIX):
        return None  # a misspelt name of Ultralytics: it means no module of the registry
    known = spellings()
    chosen = chosen or name.startswith(PREFIX)
    if folded(bare) in known:
        return Named(known[folded(bare)], spelt=name, settled=chosen)
    if fused := _FUSED.get(folded(bare)):
        inside, block, mode = fused
        return Named(known[folded(inside)], block, mode, inside, settled=chosen)
    for block in (b for b in (*BLOCKS, *WHOLE, *WITHOUT_BOTTLENECKS) if b in theirs):
        inside = _inside(bare, block)
        if inside and folded(inside) in known:
            return Named(known[folded(inside)], block, "", inside, settled=chosen)
    if match := _VERSION.fullmatch(bare):
        named = lookup(match[1], theirs, chosen=chosen)
        return replace(named, version=match[2].lower()) if named and named.module else None
    return None


def _inside(name: str, block: str) -> str:
    """The part of a name besides its block, e.g. `ACmix` in `C2f_Bottleneck_ACmix`; empty if there is none."""
    fused = block in BLOCKS and block not in _SHORT
    gap = "[_-]?" if fused else "[_-]"
    for pattern in (f"{block}{gap}(.+)", f"(.+)[_-]{block}"):
        if match := re.fullmatch(pattern, name, re.IGNORECASE):
            return re.sub(r"^bottleneck[_-]?|[_-]?bottleneck$", "", match[1], flags=re.IGNORECASE)
    return ""


def is_control(name: str) -> bool:
    """True if the module of this name in the registry is a control, not attention."""
    return name in registry.names() and registry.get(name).family == "control"


def around(name: str, theirs: Iterable[str]) -> tuple[str, str]:
    """(block, rest) of a name that contains a known block; two empty strings for any other name.

    Args:
        name: the name in the row.
        theirs: names that Ultralytics' own parser knows.
    """
    theirs = set(theirs)
    found = ((block, _inside(name, block)) for block in BLOCKS if block in theirs)
    return next((pair for pair in found if folded(pair[1])), ("", ""))


def question(name: str, named: Named, arguments: Sequence[Any]) -> str:
    """A text about the other meanings of an ambiguous name, and how to choose one; empty if it has one meaning.

    Args:
        name: the name in the row.
        named: its meaning.
        arguments: the arguments in the row.
    """
    spelt = folded(named.spelt.rpartition(".")[2])
    if named.settled or spelt not in AMBIGUOUS or (spelt == "cbam" and not named.block and has_reduction(arguments)):
        return ""
    own, other = AMBIGUOUS[spelt]
    if spellings()[folded(own)] != named.module:
        return ""  # a user's module has this name
    meaning = f"{named.block}_{own}" if named.block else own
    entry = registry.get(str(named.module))
    return f"`--as {name}={meaning}` chooses {entry.paper.partition(',')[0]}. It is also the name of {other}."


def has_reduction(arguments: Sequence[Any]) -> bool:
    """True if the arguments of a CBAM hold a reduction; Ultralytics' own class (c1, kernel_size) has none."""
    numbers = [a for a in arguments if isinstance(a, int) and not isinstance(a, bool)]
    return len(numbers) > 1 and any(n in (4, 8, 16, 32) for n in (numbers if numbers[0] < 32 else numbers[1:]))


def suggestion(name: str, theirs: Iterable[str]) -> str:
    """A sentence that suggests the most similar known name; empty if none is similar enough.

    Args:
        name: the unknown name.
        theirs: names that Ultralytics' own parser knows.
    """
    spelt = {k: registry.get(v).cls.__name__ for k, v in spellings().items()} | {folded(t): t for t in theirs}
    cores: dict[str, str] = {}
    for spelling in sorted(spelt, key=len):  # a short name wins over longer ones with the same core
        cores.setdefault(_core(spelling), spelt[spelling])
    close = difflib.get_close_matches(_core(folded(name)), cores, n=1, cutoff=_LIKE)
    return f"Did you mean '{cores[close[0]]}'? " if close else ""


def _core(spelling: str) -> str:
    """A spelling without the words that many names end in, such as `attention`."""
    while (shorter := _WORDS.sub("", spelling)) and shorter != spelling:
        spelling = shorter
    return spelling


def spellings() -> dict[str, str]:
    """Spelling, as `folded` returns it -> name in the registry, for every known name."""
    found = {}
    for module, names in ALIASES.items():
        found.update({folded(n): module for n in names.split()})
    for entry in registry.entries():
        if not entry.is_none:
            found |= {folded(entry.name): entry.name, folded(entry.cls.__name__): entry.name}
    return {k: v for k, v in found.items() if v in registry.names()}


def parser_names() -> set[str]:
    """Module names that Ultralytics' own parser knows, without the registered ones."""
    from ultralytics.nn import tasks

    return {k for k, v in vars(tasks).items() if is_layer(v) and v.__module__.startswith("ultralytics.")}
