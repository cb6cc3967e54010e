"""ResBlock-CBAM: a residual bottleneck whose branch ends in CBAM.

Papers: YOLOv8-AM: YOLOv8 Based on Effective Attention Mechanisms for Pediatric Wrist Fracture Detection
(arXiv:2402.09329), for the block in YOLO; CBAM: Convolutional Block Attention Module (arXiv:1807.06521).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import must_be_odd, reachable, too_narrow
from nas_attn.attention.zoo._published import PublishedNames
from nas_attn.attention.zoo.cbam import CBAM
from nas_attn.errors import UserError

SLOPE = 0.1  # of the activation for negative numbers
REDUCTION = 16  # of the CBAM of the paper


class MeanCBAM(nn.Module):
    """`y = x · σ(fc(mean x))`, then `y · σ(spatial[mean y; max y])`: Ultralytics' class `CBAM`.

    `fc` is one C×C layer with a bias; the second mean and the maximum are over the channels.

    Args:
        channels: C, channels of the map.
        kernel_size: side of the kernel of `spatial` in pixels; odd.
    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.fc(x.mean((2, 3), keepdim=True)).sigmoid()
        return x * self.spatial(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)).sigmoid()


@attention(
    "resblock_cbam",
    family="channel+spatial",
    paper="YOLOv8-AM: YOLOv8 Based on Effective Attention Mechanisms for Pediatric Wrist Fracture Detection, "
    "2402.09329",
    licence="own code from the papers; published code: AGPL-3.0 "
    "(github.com/RuiyangJu/Fracture_Detection_Improved_YOLOv8)",
    weights="load as in github.com/RuiyangJu/Fracture_Detection_Improved_YOLOv8, with the default settings",
)
class ResBlockCBAM(PublishedNames):
    """`relu(x + cbam(bottleneck(x)))`; the bottleneck is 1×1, 3×3, 1×1, with C / expansion channels in the middle.

    Each convolution has a batch norm and no bias; a leaky ReLU of slope 0.1 follows the first and the second. The
    published YOLO code has expansion 1 and Ultralytics' CBAM (`MeanCBAM`), which pools by means only. `gates=paper` has
    the CBAM of the paper, with 16 as its reduction. ResNet's block in the CBAM paper has expansion 4.

    Parameters, P = C / expansion, k = kernel_size: 2·C·P + 9·P² + 4·P + 2·C, and C² + C + 2·k² for the CBAM, or with
    gates=paper 2·C·⌊C/16⌋ + 2·k².

    Args:
        channels: C, channels of the map.
        expansion: C divided by the channels in the middle of the bottleneck.
        kernel_size: side of the kernel of the CBAM in pixels; odd.
        gates: `mean` or `paper`.
    Raises:
        SlotRefused: fewer channels than `expansion`, or than 16 with gates=paper.
        UserError: an even `kernel_size`, or `gates` is neither.
    """

    published = (("cbam.channel_attention.fc.", "cbam.fc."), ("cbam.spatial_attention.cv1.", "cbam.spatial."))

    def __init__(
        self,
        channels: int,
        expansion: Annotated[int, Choice(1, 2, 4)] = 1,
        kernel_size: Annotated[int, Choice(3, 7)] = 7,
        gates: Annotated[str, Choice("mean", "paper")] = "mean",
    ) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        if gates not in ("mean", "paper"):
            raise UserError("`gates` must be mean or paper", got=repr(gates))
        narrow = channels // expansion
        self.bottleneck = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False),
            BatchNorm(narrow),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            BatchNorm(narrow),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(narrow, channels, 1, bias=False),
            BatchNorm(channels),
        )
        paper = gates == "paper"
        self.cbam = CBAM(channels, REDUCTION, kernel_size) if paper else MeanCBAM(channels, kernel_size)

    @classmethod
    def unsupported(cls, channels: int, *, expansion: int, kernel_size: int, gates: str) -> str | None:
        narrow = too_narrow("expansion", expansion, channels)
        return narrow or (too_narrow("reduction", REDUCTION, channels) if gates == "paper" else None)

    @classmethod
    def effective(cls, height: int, width: int, *, expansion: int, kernel_size: int, gates: str) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return expansion, reachable(height, kernel_size), reachable(width, kernel_size), gates

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.cbam(self.bottleneck(x))).relu()
