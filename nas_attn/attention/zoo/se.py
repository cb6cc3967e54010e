"""SE: one gate per channel, from a two-layer bottleneck over the channel means of the map.

Paper: Squeeze-and-Excitation Networks (arXiv:1709.01507).
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import too_narrow


@attention(
    "se",
    family="channel",
    paper="Squeeze-and-Excitation Networks, 1709.01507",
    licence="own code from the paper; timm's layer of the same keys: Apache-2.0",
)
class SqueezeExcite(nn.Module):
    """`x · σ(W2 · relu(W1 · mean(x) + b1) + b2)`, with the mean over the map, and R = ⌊C·rd_ratio⌋ hidden channels.

    Parameters: 2·C·R + R + C. Outputs and keys are those of timm's `SEModule(channels, rd_channels=R)`. That layer is
    not used here, for two reasons. By default it rounds R up to a multiple of 8, so at 64 channels all ratios up to 1/8
    give the same network. And its child `bn`, which is no norm, has a name that Ultralytics looks for.

    Args:
        channels: C, channels of the map.
        rd_ratio: width of the bottleneck divided by C, the paper's 1/r.
    Raises:
        SlotRefused: C·rd_ratio is less than one channel.
    """

    def __init__(
        self, channels: int, rd_ratio: Annotated[float, Choice(0.25, 0.125, 0.0625, 0.03125)] = 0.0625
    ) -> None:
        super().__init__()
        narrow = int(channels * rd_ratio)
        self.fc1 = nn.Conv2d(channels, narrow, 1)
        self.fc2 = nn.Conv2d(narrow, channels, 1)

    @classmethod
    def unsupported(cls, channels: int, *, rd_ratio: float) -> str | None:
        return too_narrow("1 / rd_ratio", round(1 / rd_ratio), channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
