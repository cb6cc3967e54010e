"""LSK: each pixel chooses among the receptive fields of a chain of large kernels.

Paper: Large Selective Kernel Network for Remote Sensing Object Detection (arXiv:2303.09030).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible, reachable
from nas_attn.attention.zoo._large_kernel import depthwise
from nas_attn.attention.zoo._published import PublishedNames
from nas_attn.errors import SlotRefused, UserError

CHAINS = {11: ((3, 1), (5, 2)), 23: ((5, 1), (7, 3)), 29: ((3, 1), (5, 2), (7, 3))}  # pixels -> (kernel, dilation)...
SELECTING = 7  # kernel side of the selecting convolution, in pixels


@attention(
    "lsk",
    family="large kernel",
    paper="Large Selective Kernel Network for Remote Sensing Object Detection, 2303.09030",
    licence="own code from the paper's equations; the published code, CC BY-NC 4.0, was not used",
    weights="load as in github.com/zcablii/LSKNet (`LSKblock`), with the default settings",
)
class LSKAttention(PublishedNames):
    r"""`x · mix_out(Σ_i s_i · mix_i(u_i))`; the u_i are the outputs of a chain of depthwise convolutions.

    The chain is u_1 = depthwise_1(x), u_2 = depthwise_2(u_1), ..., so later outputs see further. The masks s_i are
    computed from the mean and the maximum over the channels of all mix_i(u_i), by a 7×7 convolution with one output
    channel for each i, and a sigmoid. All convolutions have a bias. The paper does not fix the width of the mixing 1×1
    convolutions; here it is C/reduction.

    Parameters, n kernels k_i: Σ(k_i² + 1)·C + n·(C²/r + C/r) + n·(2·49 + 1) + C²/r + C.

    Args:
        dim: C, channels of the map.
        k_size: pixels that the whole chain spans on an axis. 11: kernels 3, and 5 dilated by 2. 23: kernels 5, and 7
            dilated by 3. 29: kernels 3, 5 dilated by 2, and 7 dilated by 3. The paper compares 23 and 29.
        reduction: r, a divisor of C.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `reduction` does not divide C.
        UserError: there is no chain for `k_size`.
    """

    published = (
        ("conv0.", "depthwise.0."),
        ("conv_spatial.", "depthwise.1."),
        ("conv1.", "mix.0."),
        ("conv2.", "mix.1."),
        ("conv_squeeze.", "select."),
        ("conv.", "mix_out."),
    )

    def __init__(
        self,
        dim: int,
        k_size: Annotated[int, Choice(11, 23, 29)] = 23,
        reduction: Annotated[int, Choice(1, 2, 4)] = 2,
    ) -> None:
        super().__init__()
        if k_size not in CHAINS:
            raise UserError(f"`k_size` must be one of {', '.join(map(str, CHAINS))}", got=k_size)
        if reason := self.unsupported(dim, k_size=k_size, reduction=reduction):
            raise SlotRefused(reason)
        chain, width = CHAINS[k_size], dim // reduction
        self.depthwise = nn.ModuleList(depthwise(dim, (k, k), dilation) for k, dilation in chain)
        self.mix = nn.ModuleList(nn.Conv2d(dim, width, 1) for _ in chain)
        self.select = nn.Conv2d(2, len(chain), SELECTING, padding=SELECTING // 2)
        self.mix_out = nn.Conv2d(width, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, k_size: int, reduction: int) -> str | None:
        return indivisible(channels, reduction, "reduction")

    @classmethod
    def effective(cls, height: int, width: int, *, k_size: int, reduction: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reduction, tuple(tuple(reachable(n, *link) for link in CHAINS[k_size]) for n in (height, width))

    @classmethod
    def extra_macs(cls, channels: int, height: int, width: int, *, k_size: int, reduction: int) -> int:
        """Multiply-accumulates of the sum of the masked maps."""
        return len(CHAINS[k_size]) * (channels // reduction) * height * width

    def forward(self, x: Tensor) -> Tensor:
        seen, mixed = x, []
        for convolve, mix in zip(self.depthwise, self.mix, strict=True):
            seen = convolve(seen)
            mixed.append(mix(seen))
        together = torch.cat(mixed, 1)
        summary = torch.cat([together.mean(1, keepdim=True), together.amax(1, keepdim=True)], 1)
        masks = self.select(summary).sigmoid().chunk(len(mixed), 1)
        selected = masks[0] * mixed[0]
        for mask, part in zip(masks[1:], mixed[1:], strict=True):
            selected = torch.addcmul(selected, mask, part)
        return x * self.mix_out(selected)
