"""Strip pooling: a gate from the means of whole rows and whole columns.

Paper: Strip Pooling: Rethinking Spatial Pooling for Scene Parsing (arXiv:2003.13328).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd, reachable


@attention(
    "strip",
    family="strip",
    paper="Strip Pooling: Rethinking Spatial Pooling for Scene Parsing, 2003.13328",
    licence="own code from the paper's formulas; the published code, MIT with 'non-commercial use only' in "
    "its README (github.com/houqb/SPNet), was not used",
    weights="do not fit: the published code has batch norms and a ReLU between the layers",
)
class StripPooling(nn.Module):
    """x · σ(mix(rows(mean of each row) + columns(mean of each column))): the paper's strip pooling module.

    `rows` and `columns` are 1-D convolutions of k taps along the strip of means, `mix` is a 1×1 convolution. The paper
    expands both strips to the map before `mix`. Because `mix` is linear, the result is the same if it is applied to
    each strip, and it then runs on H + W pixels instead of H·W. As in the paper's formulas, there is no normalisation
    or activation between these layers.

    Parameters: C²·(2·k + 1) + 3·C.

    Args:
        channels: C, channels of the map.
        kernel_size: k, an odd number of pixels; 3 in the paper.
    Raises:
        UserError: an even `kernel_size`.
    """

    def __init__(self, channels: int, kernel_size: Annotated[int, Choice(3, 5, 7, 9)] = 3) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        padding = kernel_size // 2
        self.rows = nn.Conv2d(channels, channels, (kernel_size, 1), padding=(padding, 0))
        self.columns = nn.Conv2d(channels, channels, (1, kernel_size), padding=(0, padding))
        self.mix = nn.Conv2d(channels, channels, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, kernel_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reachable(height, kernel_size), reachable(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        of_rows = self.mix(self.rows(x.mean(3, keepdim=True)))
        of_columns = functional.conv2d(self.columns(x.mean(2, keepdim=True)), self.mix.weight)  # add the bias only once
        return x * (of_rows + of_columns).sigmoid()
