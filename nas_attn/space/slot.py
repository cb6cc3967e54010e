"""`Slot`: a named place in a detector for an attention module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from nas_attn.errors import UserError
from nas_attn.space.architecture import SLOT_NAME

INSERT, REPLACE = "insert", "replace"
INNER, CONCAT = "inner", "concat"  # places in blocks without bottlenecks; a block of the base can have them, no slot


@dataclass(frozen=True)
class InBlock:
    """The place of a slot inside a block of the detector. It covers all bottlenecks of that block.

    Attributes:
        mode: `insert` at the end of a bottleneck's residual branch, or `replace` its second convolution.
        block: class of the block, e.g. `C3k2`.
        arguments: constructor arguments of the built block.
        sites: number of bottlenecks; each gets its own module.
        weights: number of weights that a gene adds to a site, besides its module. If the replaced convolution changes
            the width, a pointwise convolution is added; the weights of the replaced convolution are subtracted. Each
            weight costs one multiply-accumulate per map cell.
    """

    mode: str
    block: str
    arguments: tuple[Any, ...]
    sites: int = 1
    weights: int = 0


@dataclass(frozen=True)
class Slot:
    """A place at the output of a row of the detector, on connections from it to some readers, or inside it.

    Attributes:
        name: the role of the place, so that a name means the same on every detector: `p3`, `p3.head`, `td.p4`,
            `lateral.p3`, `sppf.post`, `down.p3`, `fuse.td.p4`, `inner.p3.insert`.
        row: index of the row in the base model's YAML (backbone rows first).
        channels: channels of the map at this place in the built model.
        stride: image pixels per map pixel.
        readers: rows that read the output of the module instead of the output of the row; if empty, all readers do.
        inside: place of the slot inside the block of the row; None for a slot outside the block.
        also: other names of the same place on this detector.
    """

    name: str
    row: int
    channels: int
    stride: int
    readers: tuple[int, ...] = ()
    inside: InBlock | None = None
    also: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        numbers = (("row", self.row, 0), ("channels", self.channels, 1), ("stride", self.stride, 1))
        wrong = [f"{name} {n!r}" for name, n, least in numbers if not isinstance(n, Integral) or n < least]
        if not isinstance(self.name, str) or not SLOT_NAME.fullmatch(self.name):
            wrong.append(f"the name {self.name!r}")
        if wrong:
            rule, remedy = "a slot must have a name, a row, channels and a stride", "Write for example: "
            remedy += 'Slot("p3", row=16, channels=64, stride=8), or take those of `all_slots(load_base("yolo11n"))`.'
            raise UserError(rule, got=", ".join(wrong), remedy=remedy)
        object.__setattr__(self, "readers", tuple(self.readers))

    def map_size(self, imgsz: int) -> int:
        """Height and width of the map for a square image of `imgsz` pixels."""
        return -(-imgsz // self.stride)

    @property
    def sites(self) -> int:
        """The number of modules that a gene adds at this slot."""
        return self.inside.sites if self.inside else 1

    @property
    def replaces(self) -> bool:
        """True if a gene at this slot replaces layers of the base."""
        return self.inside is not None and self.inside.mode == REPLACE

    def as_list(self) -> list[Any]:
        """The slot as a JSON-ready list; `of` reads it back. A simple slot gives a short list."""
        inside = self.inside
        tail = [inside.mode, inside.block, list(inside.arguments), inside.sites, inside.weights] if inside else []
        return [
            self.name,
            self.row,
            self.channels,
            self.stride,
            *([list(self.readers), tail] if tail or self.readers else ()),
        ]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Slot:
        """The slot that `as_list` wrote."""
        name, row, channels, stride, readers, tail = (*values, [], [])[:6]
        inside = InBlock(tail[0], tail[1], tuple(tail[2]), tail[3], tail[4]) if tail else None
        return cls(name, row, channels, stride, tuple(readers), inside)
