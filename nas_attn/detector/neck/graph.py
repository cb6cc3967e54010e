"""A base model as a graph: for each row, the rows that it reads, and the size of its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas_attn.detector.model.own_layers import PROBE
from nas_attn.detector.model.rows import PREFIX, absolute

if TYPE_CHECKING:
    from torch import nn

    from nas_attn.detector.model.base_model import BaseModel

PLAIN = {  # modules that change the size, width or form of a map, but are no feature blocks
    *("Concat", "CBLinear", "CBFuse", "Index", "TorchVision"),
    *("Conv", "ConvTranspose", "DWConv", "DWConvTranspose2d", "GhostConv", "Focus", "AConv", "ADown", "SCDown"),
}
PROJECTIONS = {"Conv", "DWConv", "GhostConv", "AIFI"}  # AIFI is part of RT-DETR's neck (arXiv:2304.08069)


@dataclass(frozen=True)
class Graph:
    """Rows of a base model, their sources, and their measured outputs. Each tuple has one entry per row.

    Attributes:
        modules: module names.
        backbone: number of rows before the neck, found by `_with_neck`.
        sources: the rows that the row reads, in the order of its `from`; -1 is the image.
        readers: the rows that read the row.
        channels: channels of the output map; 0 if the output is no map (a list, or text features).
        strides: image pixels per map pixel; 0 if the output is no map, or the stride is no whole number.
    """

    modules: tuple[str, ...]
    backbone: int
    sources: tuple[tuple[int, ...], ...]
    readers: tuple[tuple[int, ...], ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, base: BaseModel, model: nn.Module) -> Graph:
        """The graph of a base, measured on its built model."""
        rows = base.rows
        sources = [tuple(absolute(row[0], i)) for i, row in enumerate(rows)]
        readers: list[list[int]] = [[] for _ in rows]
        for row, read in enumerate(sources):
            for source in dict.fromkeys(s for s in read if s >= 0):
                readers[source].append(row)
        shapes = _shapes(model)
        return cls(
            tuple(str(row[2]) for row in rows),
            len(base.yaml["backbone"]),
            tuple(sources),
            tuple(map(tuple, readers)),
            tuple(shape[1] if len(shape) == 4 else 0 for shape in shapes),
            tuple(_stride(shape) for shape in shapes),
        )._with_neck()

    def _with_neck(self) -> Graph:
        """The same graph, with `backbone` found from the connections and not from the YAML's two keys.

        Ultralytics allows a row under either key. A neck begins with the projections before the first map that is
        enlarged and then joined with an earlier map. If there is no such map, the YAML's keys decide.
        """
        fusing = [row for row in range(self.head) if self.enlarges(row) and self._has_earlier(row)]
        if not fusing:
            return self
        first = start = self._entry(fusing[0])
        while self._passes(before := self.sources[start][0]):
            first = self._entry(before) if self.enlarges(before) else first
            start = self._entry(before)
        if self.modules[before] not in PROJECTIONS:
            first = start  # the chain begins at a block; a backbone of convolutions ends at the first row that enlarges
        while self._passes(first - 1) and self.sources[first - 1] != (first - 2,):
            first -= 1  # a projection of another level
        return replace(self, backbone=first)

    def _has_earlier(self, row: int) -> bool:
        """True if a later row reads an earlier map of the same size; this never happens in a stem."""
        return any(self.strides[r] == self.strides[row] and max(self.readers[r], default=0) > row for r in range(row))

    def _passes(self, row: int) -> bool:
        """True if the row reads one map and only enlarges, projects or encodes it for the neck."""
        source = self.sources[row][0]
        if row < 0 or len(self.sources[row]) > 1 or source < 0:
            return False
        kept = self.modules[row] in PROJECTIONS and self.strides[row] == self.strides[source] > 0
        return kept or self.enlarges(row)

    @property
    def head(self) -> int:
        """The last row."""
        return len(self.modules) - 1

    def chain(self, row: int) -> list[int]:
        """The row and the rows after it, as long as a row has one reader, which reads only it and keeps the stride."""
        found = [row]
        while len(next_ := self.readers[found[-1]]) == 1:
            (reader,) = next_
            if reader == self.head or len(self.sources[reader]) > 1:
                break
            if self.strides[reader] != self.strides[row] and not self._opened(reader):
                break
            found.append(reader)
        return found

    def enlarges(self, row: int) -> bool:
        """True if the row reads one map and its output is larger."""
        before = self._before(row)
        return len(self.sources[row]) == 1 and before >= 0 and 0 < self.strides[row] < self.strides[before]

    def reduces(self, row: int) -> bool:
        """True if the row reads one map and its output is smaller."""
        before = self._before(row)
        return len(self.sources[row]) == 1 and before >= 0 and 0 < self.strides[before] < self.strides[row]

    def map_of(self, row: int) -> int:
        """The row whose output is the map of a row's module: for a module that returns a list, its `Index`."""
        return row + 1 if self._opened(row) else row

    def is_attention(self, row: int) -> bool:
        """True if the row is attention of this package, and no block with attention inside."""
        return self.modules[row].startswith(PREFIX) and not self._opened(row)

    def is_block(self, row: int) -> bool:
        """True if the row is a feature block, not a plain convolution, a join or a resampling."""
        module = self.modules[row]
        if self._opened(row):
            return False  # its map is the output of the `Index` in the next row
        ours = self._entry(row) != row or module.startswith(PREFIX)
        if ours:  # attention keeps the size of its map; a layer of the user that changes it is no block
            return self.strides[row] == self.strides[self._before(row)]
        return not module.startswith(("nn.", "torchvision.")) and module not in PLAIN and row != self.head

    def _entry(self, row: int) -> int:
        """The row whose module makes the map of a row: for the `Index` that states its channels, the row before it."""
        before = self.sources[row][0]
        return before if self.modules[row] == "Index" and before >= 0 and self._opened(before) else row

    def _before(self, row: int) -> int:
        """The first row that a row's module reads."""
        return self.sources[self._entry(row)][0]

    def _opened(self, row: int) -> bool:
        """True if the row is a block with attention inside, or a layer of the user that changes the channels."""
        return self.modules[row].startswith(PREFIX) and not self.strides[row]


def _shapes(model: Any) -> list[Sequence[int]]:
    """The shape of each row's output for an image of PROBE × PROBE pixels; empty if the output is no tensor."""
    import torch

    shapes: dict[int, Sequence[int]] = {}

    def keep(row: int) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            shapes[row] = tuple(output.shape) if isinstance(output, torch.Tensor) else ()

        return hook

    hooks = [layer.register_forward_hook(keep(row)) for row, layer in enumerate(model.model)]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, PROBE, PROBE, device=next(model.parameters()).device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return [shapes[row] for row in range(len(model.model))]


def _stride(shape: Sequence[int]) -> int:
    if len(shape) != 4 or shape[2] != shape[3] or PROBE % shape[3]:
        return 0
    return PROBE // shape[3]
