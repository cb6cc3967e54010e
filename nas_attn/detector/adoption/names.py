"""What communities call the modules of the registry.

Names are compared without case and without anything but letters and digits, so `Coord_Att` is `CoordAtt`. A module's
own name and its class's are known anyway. The spellings are those of the collections that articles copy from
(objectdetection_script, yoloair, External-Attention-pytorch), of timm, and of the papers' own code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nas_attn.attention import registry
from nas_attn.detector.surgery import PREFIX
from nas_attn.errors import UserError

ALIASES = {
    "aattn": "AAttn AreaAttn",
    "axial": "AxialAttn",
    "bi_level_routing": "BiLevelRoutingAttention BiLevelRoutingAttention_nchw BiFormerAttention BRA",
    "caa": "ContextAnchorAttention",
    "cbam": "CBAMBlock CbamModule CBAMAttention",
    "coord": "CoordAtt CoordAttention CoordAttn CA CoordAttMeanPool",
    "cpca": "CPCAAttention",
    "dattention": "DAttention DAttentionBaseline DAT DeformableAttention2D",
    "eca": "ECAModule ECAAtt ECANet eca_layer eca_block EfficientChannelAttention",
    "efficient_attention": "CloAttention CloFormerAttention CloFormerAttn EfficientAttn CloFormer",
    "ela": "ELAAttention EfficientLocalAttention EfficientLocalAttn",
    "ema": "EMAAttention EMA_attention EfficientMultiScaleAttention EMSA",
    "gam": "GAMAttention GAM_Attention",
    "gc": "GlobalContext GlobalContextBlock GCBlock GCAttention",
    "lite_mla": "LiteMLA",
    "lka": "LargeKernelAttention",
    "lsk": "LSKBlock LSKModule",
    "lska": "LSKAAttention LargeSeparableKernelAttention",
    "mhsa": "MultiHeadSelfAttention",
    "mlca": "MLCAAttention MixedLocalChannelAttention",
    "se": "SEAttention SELayer SEBlock SEModule SENet SqueezeExcitation",
    "shuffle": "ShuffleAttn sa_layer SANet",
    "simam": "Simam_module SimAMAttention",
    "sk": "SKConv SKLayer SKNet SKAttn SelectiveKernel",
    "strip": "StripPool SPBlock",
    "triplet": "TripletAtt TripletAttn",
    "window": "WindowAttention",
}
OTHER_CODE = {"CBAM"}  # Ultralytics has classes of these names that its parser does not know: other mathematics
_BLOCKS = ("A2C2f", "BottleneckCSP", "RepNCSPELAN4", "C3k2", "C2f", "C3x", "C2", "C3")


@dataclass(frozen=True)
class Named:
    """What a row's module is.

    Attributes:
        module: the registry's name of the attention in it; None for a module of Ultralytics or torch.
        block: block of Ultralytics around it (`C2f` for `C2f_ACmix`); empty for a row of attention alone.
    """

    module: str | None = None
    block: str = ""


def folded(name: str) -> str:
    """The letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def lookup(name: str, theirs: Iterable[str]) -> Named | None:
    """What the module of a row is; None where nobody knows the name.

    Args:
        name: as the row has it.
        theirs: names that Ultralytics' own parser knows, which are never taken for ours.
    """
    theirs = set(theirs)
    if name.startswith(("nn.", "torchvision.ops.")) or name in theirs:
        return Named()
    bare = name.removeprefix(PREFIX).rpartition(".")[2]
    if folded(bare) in {folded(t) for t in theirs} and not name.startswith(PREFIX):
        return None  # Ultralytics' own, misspelt: no module of ours is meant
    known = spellings()
    if folded(bare) in known:
        return Named(known[folded(bare)])
    for block in _BLOCKS:
        if block in theirs and folded(bare).startswith(folded(block)):
            inside = folded(bare)[len(block) :]
        elif block in theirs and folded(bare).endswith(folded(block)):
            inside = folded(bare)[: -len(block)]
        else:
            continue
        inside = inside.removeprefix("bottleneck").removesuffix("bottleneck")  # `C2f_Bottleneck_ACmix`
        if inside in known:
            return Named(known[inside], block)
    return None


def unknown(name: str, theirs: Iterable[str], where: str) -> UserError:
    """The error for a name that nobody knows, with what was probably meant."""
    theirs = list(theirs)
    spelt = {folded(t): t for t in theirs} | {k: registry.get(v).cls.__name__ for k, v in spellings().items()}
    close = [spelt[c] for c in difflib.get_close_matches(folded(name), spelt, n=2, cutoff=0.7)]
    meant = f"Did you mean {' or '.join(dict.fromkeys(repr(c) for c in close))}? " if close else ""
    return UserError(
        "a row's module must be one of Ultralytics, of torch.nn or of nas_attn",
        got=f"'{name}'",
        where=where,
        remedy=f"{meant}`nas_attn modules` lists the attention modules; one of your own comes with --modules FILE.",
    )


def spellings() -> dict[str, str]:
    """Folded spelling -> name in the registry."""
    found = {}
    for module, names in ALIASES.items():
        found.update({folded(n): module for n in names.split()})
    for entry in registry.entries():
        if not entry.is_none:
            found |= {folded(entry.name): entry.name, folded(entry.cls.__name__): entry.name}
    return {k: v for k, v in found.items() if v in registry.names()}
