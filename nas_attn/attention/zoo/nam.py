"""NAM: a gate for every value of the map, from a batch norm whose own scale factors weight the channels.

Paper: NAM: Normalization-based Attention Module (arXiv:2111.12419).
"""

from __future__ import annotations

from torch import Tensor

from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._precision import at_least_single
from nas_attn.attention.zoo._published import PublishedNames

LEAST = 1e-12  # of the sum of the scale factors: if all are zero, the gate is σ(0), and not 0 / 0


@attention(
    "nam",
    family="channel",
    paper="NAM: Normalization-based Attention Module, 2111.12419",
    licence="own code from the paper; no licence file was found with the published code (github.com/Christian-lyc/NAM)",
    weights="load as in the channel attention of github.com/Christian-lyc/NAM",
)
class NAMAttention(PublishedNames):
    """`x · σ(w · BN(x))` with w_c = abs(γ_c) / Σ abs(γ), where γ are the scale factors of the batch norm BN.

    A channel with a large γ varies much, so the paper takes γ as its importance. As published, w is a constant for the
    gradient: γ learns only through BN. At the start, every w is 1/C, so all gates are nearly 1/2.

    This is the channel attention of the paper, as in YOLO ports. The newest published code has a ReLU before σ, which
    the paper's formula and the ports do not have. The spatial attention of the paper has a scale factor for each pixel,
    so it works on one map size only; the published code switches it off.

    Parameters: 2·C.

    Args:
        channels: C, channels of the map.
    """

    published = (("Channel_Att.bn2.", "norm."),)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        scales = at_least_single(self.norm.weight.detach().abs())
        weights = scales / scales.sum().clamp(min=LEAST)
        normed = self.norm(x)
        return x * (normed * weights.to(normed.dtype)[:, None, None]).sigmoid()
