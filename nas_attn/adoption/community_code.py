"""Differences between the code that communities copy and the zoo: lower limits of widths, defaults, and arguments.

The zoo has no lower limit of a hidden width, because with one, several settings would be the same network. An article
means the network that its author trained, so the setting that gives the author's hidden width is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas_attn.adoption.block_arguments import is_map_size
from nas_attn.attention.entry import ModuleEntry
from nas_attn.detector.model.community_names import folded
from nas_attn.detector.model.rows import PREFIX


@dataclass(frozen=True)
class Floor:
    """A hidden width of max(`least`, C // reduction).

    Attributes:
        setting: the zoo's name of the reduction.
        place: index of the reduction among the arguments after the channels.
        usual: the reduction if the row gives none.
        least: the lower limit.
    """

    setting: str
    place: int
    usual: int
    least: int


FLOORS = {  # from the code of the papers, which the collections copied
    "coord": Floor("reduction", 0, 32, 8),
    "sk": Floor("reduction", 1, 16, 32),
}
# class of a collection or of timm -> those of its defaults that differ from the zoo's
USUAL: dict[str, dict[str, Any]] = {"globalcontext": {"ratio": 8, "fusion": "mul"}}
DIFFERS = {  # class of a collection -> setting, its default there, which the zoo does not have
    "skattention": {"kernel_sizes": "[1,3,5,7], full convolutions"},
    "cbamblock": {"kernel_size": "49, and adds the input to the output"},
}
ADAPTIVE = {"eca", "ecablock", "ecamodule", "ecanet", "efficientchannelattention"}  # (channels, gamma=2, b=1)
DEFORMABLE = {"dat", "dattention"}  # (channel, q_size, n_heads=8, n_groups=4, attn_drop=0, proj_drop=0, stride=1)
WRAPPED = {  # class of a collection -> its parts around the module of the zoo
    "lskblockattention": "a 1×1 convolution and GELU before the gate, a 1×1 convolution after it, and adds its input",
}
UNUSED_FIRST = {"shuffleattention"}  # (channel, reduction=16, G=8): the reduction has no effect


@dataclass
class Usage:
    """The meaning of the arguments after the channels in the community's code.

    Attributes:
        values: these arguments, converted to those of the zoo.
        chosen: setting that the row leaves out -> its value in the community's code.
        differs: setting -> its default in the community's code, if the zoo does not have it.
        said: a text about a difference to the published class; empty if there is none.
        note: a text about an argument that the zoo cannot express; empty if there is none.
        size: (height, width) of the map, if the arguments had it.
    """

    values: list[Any]
    chosen: dict[str, Any] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    note: str = ""
    size: tuple[int, int] | None = None


def community_usage(entry: ModuleEntry, name: str, values: Sequence[Any], channels: int,
                    size: tuple[int, int] | None = None) -> Usage:  # fmt: skip
    """The arguments of a community's class, converted to the zoo.

    Args:
        entry: the module of the zoo.
        name: the name in the row. With the prefix of this package it means the zoo's class, without these differences.
        values: the arguments after the channels.
        channels: channels of the map.
        size: (height, width) of the map, if the arguments had it.
    """
    found = Usage(list(values), size=size)
    if name.startswith(PREFIX):
        return found
    spelt = folded(name.rpartition(".")[2])
    if spelt in UNUSED_FIRST and found.values and _is_number(found.values[0]):
        found.values = found.values[1:]
    found.differs = DIFFERS.get(spelt, {})
    if not found.values:
        found.chosen = dict(USUAL.get(spelt, {}))
    if spelt in ADAPTIVE and found.values in ([], [2], [2, 1]):
        found.values = []
        whole = int((math.log2(channels) + 1) / 2)
        kernel = max(3, whole + 1 - whole % 2)
        found.chosen["kernel_size"] = kernel
        found.said = f"kernel_size={kernel}: the paper's rule at {channels} channels; classes with a fixed size have 3"
    if spelt in DEFORMABLE:
        _deformable(entry, found)
    if spelt in WRAPPED:
        found.said = f"the class of this name also has {WRAPPED[spelt]}; the module here is the gate alone"
    if entry.name == "mca":
        _published_mca(found, spelt, channels)
    if entry.name == "shsa":
        _attending_part(entry, found, channels)
    if spelt == "mhsa":
        _bottleneck_transformer(found)
    if entry.name in FLOORS:
        _with_floor(entry, FLOORS[entry.name], found, channels)
    return found


def without_map_size(name: str, values: Sequence[Any]) -> tuple[list[Any], tuple[int, int] | None]:
    """(the other arguments, map size); the map size is None unless the class of this name is made for one size."""
    sizes = [v for v in values if is_map_size(v)]
    spelt = folded(name.rpartition(".")[2])
    if sizes and spelt in DEFORMABLE:
        return [v for v in values if v is not sizes[0]], tuple(sizes[0])
    numbers = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    if spelt == "mhsa" and not name.startswith(PREFIX) and values[: len(numbers)] == numbers:
        at = {2: 0, 3: 0, 4: 1}.get(len(numbers))  # (channels), width, height, heads
        if len(numbers) == 3 and numbers[0] >= 64 and numbers[0] != numbers[1] == numbers[2]:
            at = 1
        if at is not None and (len(numbers) > 2 or numbers[0] == numbers[1]):
            return [*values[:at], *values[at + 2 :]], (numbers[at], numbers[at + 1])
    return list(values), None


def _deformable(entry: ModuleEntry, found: Usage) -> None:
    """Choose the options that are nearest to the heads, groups and stride of the collections' class."""
    usual = {"num_heads": (0, 8), "groups": (1, 4), "stride": (4, 1)}
    whole = {at for at, _ in usual.values()}
    if not all(_is_number(v) and (at not in whole or isinstance(v, int)) for at, v in enumerate(found.values)):
        return  # another class, or wrong arguments: read as those of the zoo
    given = {name: found.values[at] for name, (at, _) in usual.items() if at < len(found.values)}
    found.differs, odd = {}, []
    for setting in (s for s in entry.settings if s.name in usual):
        wanted = given.get(setting.name, usual[setting.name][1])
        nearest = min(setting.options, key=lambda option: abs(option - wanted))
        found.chosen[setting.name] = nearest
        if nearest != wanted:
            found.differs = {**found.differs, setting.name: str(wanted)}
            odd += [f"{setting.name}={wanted}"] if setting.name in given else []
    found.values = []
    if odd:
        found.note = f"has {' and '.join(odd)}, which {entry.name} does not have"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bottleneck_transformer(found: Usage) -> None:
    """Read the arguments (n_dims, width=14, height=14, heads=4, pos_emb=False): by default, no position term."""
    table = [v for v in found.values if v is True]
    found.values = [v for v in found.values if not isinstance(v, bool)]
    lacks = "no scale of 1/√D and no convolution after the heads; the module here has both"
    if not table:
        found.chosen["position"] = "none"
        found.said = f"the published class of this name has no position term, {lacks}"
    else:
        found.said = (f"the published class of this name has a table of {'×'.join(map(str, found.size or (14, 14)))} "
                      f"positions, for which the module here has a convolution; it has {lacks}")  # fmt: skip


def _published_mca(found: Usage, spelt: str, channels: int) -> None:
    """Read the arguments (inp, no_spatial=False); the kernel of the channels follows from their number."""
    from nas_attn.attention.zoo.mca import usual_size

    if spelt == "mcalayer":
        found.values = [int(v) if isinstance(v, bool) else v for v in found.values]
    found.chosen["k_size"] = max(3, usual_size(channels))


def _attending_part(entry: ModuleEntry, found: Usage, channels: int) -> None:
    """Read the arguments (dim, qk_dim, pdim): the number of attending channels, for which the zoo has a ratio."""
    if len(found.values) < 2 or not isinstance(found.values[1], int) or isinstance(found.values[1], bool):
        return
    part = found.values[1]
    options = next(s.options for s in entry.settings if s.name == "partial_ratio")
    found.values[1] = min(options, key=lambda ratio: abs(channels * ratio - part))
    if channels * found.values[1] != part:
        nearest = int(channels * found.values[1])
        found.note = f"has pdim={part}; the nearest number of attending channels here is {nearest} of {channels}"


def _with_floor(entry: ModuleEntry, floor: Floor, found: Usage, channels: int) -> None:
    numbers = [i for i, v in enumerate(found.values) if isinstance(v, int) and not isinstance(v, bool) and v > 0]
    at = floor.place if floor.place in numbers else numbers[0] if len(numbers) == 1 else None
    given = floor.usual if at is None else found.values[at]
    wanted = max(floor.least, channels // given)
    options = next(s.options for s in entry.settings if s.name == floor.setting)
    nearest = min(options, key=lambda r: abs(channels // r - wanted) if channels >= r else channels + wanted)
    if at is None:
        found.chosen[floor.setting] = nearest
    else:
        found.values[at] = nearest
    width = f"max({floor.least}, {channels} // {given})"
    if channels // nearest == wanted:
        found.said = f"{floor.setting}={nearest} gives the hidden width {wanted} of the published code, {width}"
    else:
        found.note = (f"has the hidden width {channels // nearest} with {floor.setting}={nearest}, but the published "
                      f"code has {wanted}, {width}, which no option gives")  # fmt: skip
