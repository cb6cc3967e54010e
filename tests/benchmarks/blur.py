"""A deliberately harmful module: what an ablation or a proxy must find worse. `--modules tests/benchmarks/blur.py`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas_attn.attention import attention


@attention("blur", family="benchmark", paper="none: a deliberate harm")
class Blur(nn.Module):
    """The mean of each 5x5 neighbourhood: (N, C, H, W) -> the same shape. Nothing is learned."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 5, stride=1, padding=2, count_include_pad=False)
