"""GC: one context vector for the whole map, pooled by attention and applied to every pixel.

Paper: GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond (arXiv:1904.11492).
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import too_narrow


@attention(
    "gc",
    family="channel",
    paper="GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, 1904.11492",
    licence="own code from the paper; published code in OpenMMLab's version: Apache-2.0",
    weights="load as in github.com/xvjiarui/GCNet",
)
class ContextBlock(nn.Module):
    """`x + T(c)` (fusion `add`) or `x · σ(T(c))` (fusion `mul`) with c = Σ_j softmax_j(w · x_j + b) x_j.

    T(c) = W2 · relu(LN(W1 · c + b1)) + b2 over R = ⌊C/ratio⌋ channels. W2 and b2 start at 0, so `add` starts as the
    identity. b adds the same number to every logit, so it never changes the output; it is kept for the published keys
    (`channel_add_conv` or `channel_mul_conv`). Parameters: C + 1 + 2·C·R + 3·R + C.

    timm's `GlobalContext` by default multiplies by σ(T(c)) instead of adding, has a ratio of 8, and starts b2 at random
    values.

    Args:
        channels: C, channels of the map.
        ratio: C divided by the width of T; the paper's r.
        fusion: `add` or `mul`.
    Raises:
        SlotRefused: R is below 2, so the layer norm over one value would be a constant.
    """

    def __init__(
        self,
        channels: int,
        ratio: Annotated[int, Choice(4, 8, 16)] = 16,
        fusion: Annotated[str, Choice("add", "mul")] = "add",
    ) -> None:
        super().__init__()
        narrow = channels // ratio
        self.fusion = fusion
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        transform = nn.Sequential(
            nn.Conv2d(channels, narrow, 1),
            nn.LayerNorm([narrow, 1, 1]),
            nn.ReLU(),  # not in place, because then torch forbids a full backward hook on the norm before it
            nn.Conv2d(narrow, channels, 1),
        )
        nn.init.kaiming_normal_(self.conv_mask.weight, mode="fan_in", nonlinearity="relu")
        for zero in (self.conv_mask.bias, *transform[-1].parameters()):
            nn.init.zeros_(zero)
        self.add_module(f"channel_{fusion}_conv", transform)

    @classmethod
    def unsupported(cls, channels: int, *, ratio: int, fusion: str) -> str | None:
        return too_narrow("ratio", ratio, channels, least=2)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.conv_mask(x).flatten(2).softmax(2)  # (N, 1, H·W)
        context = (x.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)  # (N, C, 1, 1)
        if self.fusion == "add":
            return x + self.channel_add_conv(context)
        return x * self.channel_mul_conv(context).sigmoid()

    def extra_repr(self) -> str:
        return f"fusion={self.fusion}"
