"""A named place in a detector where attention may go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A place after a block that feeds the head.

    Attributes:
        name: `p` and the pyramid level, e.g. `p3` for stride 8.
        row: index of the producing row in the base model's YAML (backbone rows first).
        channels: channels of the map there, as built.
        stride: image pixels per map pixel.
    """

    name: str
    row: int
    channels: int
    stride: int

    def map_size(self, imgsz: int) -> int:
        """Height and width of the map for a square image of `imgsz` pixels."""
        return -(-imgsz // self.stride)
