"""SK: convolutions of several kernel sizes, weighted by a softmax per channel.

Paper: Selective Kernel Networks (arXiv:1903.06586).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import gcd
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import reachable, too_narrow
from nas_attn.errors import UserError


@attention(
    "sk",
    family="multi-branch",
    paper="Selective Kernel Networks, 1903.06586",
    licence="own code from the paper; no licence file was found with the published code",
)
class SKAttention(nn.Module):
    r"""Σᵢ softmaxᵢ(selectᵢ(ReLU(reduce(mean(Σⱼ uⱼ))))) · uᵢ with uᵢ = ReLU(norm(convolution of branch i)).

    A branch is a grouped 3×3 convolution, dilated so that it spans its kernel size; the paper does so for 5×5. The
    module is a convolution, not a gate: x itself does not reach the output.

    Differences from the paper: the width after `reduce` is C // `reduction`. With the paper's minimum of 32, all
    reductions would give the same network at up to 512 channels. And `reduce` has a bias instead of batch
    normalisation, which would get one value per channel and image, and fail on a single image.

    Parameters, M branches, G = gcd(C, 32) groups, d = C // reduction: M·(9·C²/G + 2·C) + (C + 1)·d + M·C·d.

    Args:
        channels: C, channels of the map.
        kernel_sizes: pixels that each branch spans; odd numbers from 3.
        reduction: C divided by the width of the bottleneck that computes the softmax.
    Raises:
        SlotRefused: fewer channels than `reduction`.
        UserError: fewer than two branches, or an even kernel size.
    """

    def __init__(
        self,
        channels: int,
        kernel_sizes: Annotated[Sequence[int], Choice((3, 5), (3, 7), (5, 9), (3, 5, 7))] = (3, 5),
        reduction: Annotated[int, Choice(4, 8, 16)] = 16,
    ) -> None:
        super().__init__()
        if len(kernel_sizes) < 2 or any(k < 3 or k % 2 == 0 for k in kernel_sizes):
            raise UserError("`kernel_sizes` must be two or more odd numbers from 3", got=list(kernel_sizes))
        self.branches = nn.ModuleList(_branch(channels, k // 2) for k in kernel_sizes)
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.select = nn.Conv2d(channels // reduction, len(kernel_sizes) * channels, 1, bias=False)

    @classmethod
    def unsupported(cls, channels: int, *, kernel_sizes: Sequence[int], reduction: int) -> str | None:
        return too_narrow("reduction", reduction, channels)

    @classmethod
    def effective(cls, height: int, width: int, *, kernel_sizes: Sequence[int], reduction: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        reach = tuple(tuple(reachable(n, 3, k // 2) for n in (height, width)) for k in kernel_sizes)
        return reach, reduction

    @classmethod
    def extra_macs(cls, channels: int, height: int, width: int, *, kernel_sizes: Sequence[int], reduction: int) -> int:
        """Multiply-accumulates of the weighted sum of the branches."""
        return len(kernel_sizes) * channels * height * width

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in self.branches]
        mean = torch.stack([u.mean((2, 3), keepdim=True) for u in branches]).sum(0)
        chosen = self.select(self.reduce(mean).relu()).reshape(-1, len(branches), x.shape[1], 1, 1).softmax(1)
        weighted = [u * w for u, w in zip(branches, chosen.to(branches[0].dtype).unbind(1), strict=True)]
        total = weighted[0]
        for further in weighted[1:]:
            total = total + further
        return total


def _branch(channels: int, dilation: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=gcd(channels, 32), bias=False)
    return nn.Sequential(conv, BatchNorm(channels), nn.ReLU())
