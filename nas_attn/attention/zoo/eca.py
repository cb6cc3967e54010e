"""ECA: one gate per channel, from a convolution along the channel means of the map.

Paper: ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks (arXiv:1910.03151).
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd


@attention(
    "eca",
    family="channel",
    paper="ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks, 1910.03151",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/BangguWu/ECANet",
)
class ECAAttention(nn.Module):
    """`x · σ(w * mean(x))`: w slides over the channels in their order, padded with zeros, without bias.

    Parameters: kernel_size. The paper's adaptive size, the odd number nearest to (log2(C) + 1) / 2, is 3 at 16 to 64
    channels and 5 at 128 to 1024. It would only repeat these two sizes, so it is not an option here. If timm's
    `EcaModule` knows C, it always uses the adaptive size and silently ignores `kernel_size`.

    Args:
        kernel_size: number of channels that the kernel spans; odd.
    Raises:
        UserError: an even `kernel_size`.
    """

    def __init__(self, kernel_size: Annotated[int, Choice(3, 5, 7, 9)] = 3) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.conv(x.mean((2, 3)).unsqueeze(1)).sigmoid()  # (N, 1, C)
        return x * gate.squeeze(1)[..., None, None]
