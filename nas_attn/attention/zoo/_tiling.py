"""`Tiling`: a map that is cut into tiles of queries; each tile has a window of keys around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

TILE = (4, 8)  # rows and columns of queries: small tiles waste less on masked entries, large ones less on margins
VECTOR = 8  # numbers that a CPU computes at a time: an incomplete vector takes longer than a complete one
GROUP_BYTES = 2**20  # keys and values read at a time: about the cache size of one CPU core
ACCELERATOR_BYTES = 2**25  # the same on an accelerator: few large operations; logits take three times as much memory


@dataclass(frozen=True)
class Tiling:
    """The tiles for one map size, number of heads and window; they are the same for every image.

    "Rows" below are rows of tiles, also called bands. Indices count (pixel, part, head); the parts of a pixel are q, k
    and v.

    Attributes:
        size: (H, W) of the map.
        head: number of heads.
        rows, columns: number of tiles down and across.
        tile: (Th, Tw), size of the queries of a tile.
        window: (Th, Tw) + kernel - 1, size of the keys of a tile.
        entries: number of keys of a tile: the window, filled up to a multiple of `VECTOR`.
        queries: indices, (rows, head · columns · Th · Tw); beyond the map, the last row and column are repeated.
        keys, values: indices, (rows, head · columns · entries), reflected at the border.
        mask: (Th · Tw, entries), 0 inside the window of a query and -inf outside.
        down, across: for an axis that is extended by kernel - 1, the pixel at each position.
    """

    size: tuple[int, int]
    head: int
    rows: int
    columns: int
    tile: tuple[int, int]
    window: tuple[int, int]
    entries: int
    queries: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor
    down: list[int]
    across: list[int]

    def groups(self, images: int, channels: int) -> tuple[list[slice], list[slice]]:
        """Slices of images, and slices of bands, whose keys and values fit into the cache together."""
        limit = GROUP_BYTES if self.mask.device.type == "cpu" else ACCELERATOR_BYTES
        band = self.columns * self.entries * 2 * channels * self.mask.element_size()
        bands = max(1, min(self.rows, limit // band))
        together = 1 if bands < self.rows else max(1, limit // (band * self.rows))
        return list(_slices(images, together)), list(_slices(self.rows, bands))

    def take(self, rows: Tensor, index: Tensor) -> Tensor:
        """Tiles from (N, H·W·3·head, D): (N · bands · head · columns, queries or keys of a tile, D)."""
        found = rows.index_select(1, index.flatten())
        return found.view(rows.shape[0] * index.shape[0] * self.head * self.columns, -1, rows.shape[2])

    def to_tiles(self, grid: Tensor) -> Tensor:
        """(N, bands, Th, columns, Tw, head, D) -> (N · bands · head · columns, Th·Tw, D)."""
        d = grid.shape[-1]
        return grid.permute(0, 1, 5, 3, 2, 4, 6).reshape(-1, self.tile[0] * self.tile[1], d)

    def from_tiles(self, tiles: Tensor, images: int) -> Tensor:
        """The inverse of `to_tiles`, as a view."""
        shape = (images, -1, self.head, self.columns, *self.tile, tiles.shape[-1])
        return tiles.view(shape).permute(0, 1, 4, 3, 5, 2, 6)

    def new_grid(self, like: Tensor, images: int, d: int) -> Tensor:
        """An uninitialised tensor (N, rows, Th, columns, Tw, head, D)."""
        return like.new_empty(images, self.rows, self.tile[0], self.columns, self.tile[1], self.head, d)

    def on_grid(self, x: Tensor) -> Tensor:
        """(N, H·W, C) -> (N, rows, Th, columns, Tw, head, D), zero beyond the map."""
        (height, width), (full_height, full_width) = self.size, self._grid_size
        if (height, width) != (full_height, full_width):
            x = x.reshape(x.shape[0], height, width, x.shape[2])
            x = torch.nn.functional.pad(x, (0, 0, 0, full_width - width, 0, full_height - height))
        return x.reshape(
            x.shape[0], self.rows, self.tile[0], self.columns, self.tile[1], self.head, x.shape[-1] // self.head
        )

    def off_grid(self, grid: Tensor) -> Tensor:
        """(N, rows, Th, columns, Tw, head, D) -> (N, H·W, C); a view if tiles divide the map."""
        height, width = self.size
        images, channels = grid.shape[0], grid.shape[5] * grid.shape[6]
        whole = grid.view(images, *self._grid_size, channels)
        return whole[:, :height, :width].reshape(images, height * width, channels)

    def new_sums(self, like: Tensor, images: int, d: int) -> Tensor:
        """Zeros for `add`, for keys and values: (2, N, rows + over, Th, columns + over, Tw, head, D)."""
        rows, columns = (n + o for n, o in zip((self.rows, self.columns), self._over, strict=True))
        return like.new_zeros(2, images, rows, self.tile[0], columns, self.tile[1], self.head, d)

    def add(self, sums: Tensor, bands: slice, tiles: Tensor) -> None:
        """Add (2, N · bands · head · columns, entries, D) at the positions of its keys; tiles can share keys."""
        (th, tw), count = self.tile, bands.stop - bands.start
        shape = (2, sums.shape[1], count, self.head, self.columns, *self.window, tiles.shape[-1])
        by_pixel = tiles[:, :, : self.window[0] * self.window[1]].view(shape).permute(0, 1, 2, 5, 4, 6, 3, 7)
        for down in range(self._over[0] + 1):
            for right in range(self._over[1] + 1):
                piece = by_pixel[:, :, :, down * th : down * th + th, :, right * tw : right * tw + tw]
                first = bands.start + down
                into = sums[:, :, first : first + count, : piece.shape[3], right : right + self.columns]
                into[:, :, :, :, :, : piece.shape[5]] += piece

    def folded(self, sums: Tensor) -> Tensor:
        """Sums over the extended axes -> (2, N, H·W, C): sums at reflected positions are added to their real pixels."""
        (height, width), before = self.size, (self.window[0] - self.tile[0]) // 2
        grown = sums.flatten(4, 5).flatten(2, 3).flatten(4)
        rows = grown[:, :, before : before + height]
        for place, pixel in enumerate(self.down):
            if place - before != pixel:
                rows[:, :, pixel] += grown[:, :, place]
        columns = rows[:, :, :, before : before + width]
        for place, pixel in enumerate(self.across):
            if place - before != pixel:
                columns[:, :, :, pixel] += rows[:, :, :, place]
        return columns.flatten(2, 3)

    @property
    def _grid_size(self) -> tuple[int, int]:
        return self.rows * self.tile[0], self.columns * self.tile[1]

    @property
    def _over(self) -> tuple[int, int]:
        """The number of additional tiles that a window overlaps, down and across."""
        return -(-self.window[0] // self.tile[0]) - 1, -(-self.window[1] // self.tile[1]) - 1


def tiling_of(x: Tensor, size: tuple[int, int], head: int, kernel: int) -> Tiling:
    """The tiling of a map of this size, on the device and in the precision of `x`."""
    make = _tiling if type(x) is Tensor else _tiling.__wrapped__  # a fake tensor must not stay in the cache
    return make(size, head, kernel, x.device, x.dtype)


@lru_cache(maxsize=16)  # enough for the maps of one detector; an entry can take 2 MB
def _tiling(size: tuple[int, int], head: int, kernel: int, device: torch.device, dtype: torch.dtype) -> Tiling:
    tile = min(TILE[0], size[0]), min(TILE[1], size[1])
    rows, columns = (-(-n // t) for n, t in zip(size, tile, strict=True))
    window = tile[0] + kernel - 1, tile[1] + kernel - 1
    down, across = (_reflected(n, kernel) for n in size)
    entries = -(-window[0] * window[1] // VECTOR) * VECTOR
    tiles = _spans(range(size[0]), rows, tile[0], tile[0]), _spans(range(size[1]), columns, tile[1], tile[1])
    around = _spans(down, rows, tile[0], window[0]), _spans(across, columns, tile[1], window[1])
    queries = _indices(tiles, 0, tile[0] * tile[1], size[1], head)
    keys, values = (_indices(around, part, entries, size[1], head) for part in (1, 2))
    mask = functional.pad(_mask(tile, window, kernel), (0, entries - window[0] * window[1]), value=float("-inf"))
    return Tiling(
        size, head, rows, columns, tile, window, entries,
        queries.to(device), keys.to(device), values.to(device), mask.to(device, dtype), down, across,
    )  # fmt: skip


def _slices(total: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, total)) for start in range(0, total, step))


def _reflected(size: int, kernel: int) -> list[int]:
    """The pixel at each position of the extended axis, by reflection.

    Reflection is periodic, so it works on maps that are smaller than the margin; a single pixel is repeated.
    """
    last, period = size - 1, max(1, 2 * (size - 1))
    return [last - abs((place - (kernel - 1) // 2) % period - last) for place in range(size + kernel - 1)]


def _spans(axis: Sequence[int], tiles: int, step: int, length: int) -> Tensor:
    """(tiles, length): the positions of an axis that each tile reads; beyond the end, the last position is repeated."""
    return torch.tensor(
        [[axis[min(t * step + i, len(axis) - 1)] for i in range(length)] for t in range(tiles)], device="cpu"
    )


def _indices(spans: tuple[Tensor, Tensor], part: int, entries: int, width: int, head: int) -> Tensor:
    """Indices of a part of each pixel: (rows, head · columns · entries); the last pixel of a tile fills it up."""
    down, across = spans
    pixel = (down[:, None, :, None] * width + across[None, :, None, :]).flatten(2)
    pixel = torch.cat([pixel, pixel[:, :, -1:].expand(-1, -1, entries - pixel.shape[2])], 2)
    first = (pixel[:, None] * 3 + part) * head
    return (first + torch.arange(head, device="cpu")[None, :, None, None]).flatten(1).int()


def _mask(tile: tuple[int, int], window: tuple[int, int], kernel: int) -> Tensor:
    inside = []
    for queries, keys in zip(tile, window, strict=True):
        first, place = torch.arange(queries, device="cpu")[:, None], torch.arange(keys, device="cpu")
        inside.append((place >= first) & (place < first + kernel))
    both = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    return torch.zeros(both.shape, device="cpu").masked_fill_(~both, float("-inf")).reshape(tile[0] * tile[1], -1)
