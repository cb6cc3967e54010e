"""iRMB: an inverted residual block with window attention before its depthwise convolution.

Paper: Rethinking Mobile Block for Efficient Attention-based Models (arXiv:2301.01146).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import recording
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import indivisible, must_be_odd
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._heads import attend, blocked, from_windows, padded_windows, pixels_in_windows
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._published import PublishedNames

EPS = 1e-6


@attention(
    "irmb",
    family="attention+convolution",
    paper="Rethinking Mobile Block for Efficient Attention-based Models, 2301.01146",
    licence="own code from the paper; no licence file was found with the published code (github.com/zhangzjn/EMO)",
    weights="load as in github.com/zhangzjn/EMO (`iRMB`), with the default arguments of the class",
)
class IRMB(PublishedNames):
    r"""`x + proj(a + SiLU(BN(depthwise(a))))` with a = softmax(q·kᵀ / √D)·v in windows, from y = BN(x).

    [q; k] = W_qk · y, v = ReLU(W_v · y). v has exp_ratio·C channels, so the attention works between the two 1×1
    convolutions of an inverted residual block. No convolution has a bias. Head h has the h-th part of the channels of
    q, k and v.

    As published, a window is no square of adjacent pixels: an axis is cut into n = ⌈H / window_size⌉ windows, and a
    window holds every n-th pixel. So each window spans the whole map. If n does not divide the side of the map, the
    windows differ by one pixel. The published code fills them with zeros, which take part in the attention; here they
    do not.

    The settings are those of the class, which YOLO ports use. The networks of the paper have other normalisations and
    activations, and apply W_v after the attention.

    Parameters, M = exp_ratio·C: 2·C² + 2·C·M + M·dw_ks² + 2·C + 2·M.

    Args:
        dim: C, channels of the map, a multiple of `dim_head`.
        dim_head: D, channels of a head of q and k.
        window_size: largest number of pixels of a window along an axis.
        exp_ratio: channels of v divided by C.
        dw_ks: side of the depthwise kernel in pixels; odd.
    Raises:
        SlotRefused: `dim_head` does not divide `dim`.
        UserError: an even `dw_ks`.
    """

    published = (
        ("qk.conv.", "qk."),
        ("v.conv.", "v."),
        ("conv_local.conv.", "conv_local."),
        ("conv_local.norm.", "norm_local."),
        ("proj.conv.", "proj."),
    )

    def __init__(
        self,
        dim: int,
        dim_head: Annotated[int, Choice(16, 32, 64)] = 64,
        window_size: Annotated[int, Choice(4, 7, 10)] = 7,
        exp_ratio: Annotated[int, Choice(1, 2)] = 1,
        dw_ks: int = 3,
    ) -> None:
        super().__init__()
        must_be_odd("dw_ks", dw_ks)
        wide = dim * exp_ratio
        self.num_heads, self.window_size = dim // dim_head, window_size
        self.norm = BatchNorm(dim, eps=EPS)
        self.qk = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.v = nn.Conv2d(dim, wide, 1, bias=False)
        self.conv_local = DepthwiseConv2d(wide, dw_ks, bias=False)
        self.norm_local = BatchNorm(wide, eps=EPS)
        self.proj = nn.Conv2d(wide, dim, 1, bias=False)

    @classmethod
    def unsupported(cls, channels: int, *, dim_head: int, window_size: int, exp_ratio: int) -> str | None:
        return indivisible(channels, dim_head, "dim_head")

    @classmethod
    def attention_logits(
        cls, channels: int, height: int, width: int, *, dim_head: int, window_size: int, exp_ratio: int
    ) -> int:
        """Attention logits per image, including positions beyond the map."""
        windows = [-(-side // window_size) for side in (height, width)]
        places = [-(-side // n) for side, n in zip((height, width), windows, strict=True)]
        return channels // dim_head * windows[0] * windows[1] * (places[0] * places[1]) ** 2

    @classmethod
    def effective(cls, height: int, width: int, *, dim_head: int, window_size: int, exp_ratio: int) -> Hashable:
        """Equal keys for equal functions: only the number of windows matters. On one pixel, the heads do not matter."""
        windows = -(-height // window_size), -(-width // window_size)
        return windows, dim_head if height * width > 1 else None, exp_ratio

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k = self.qk(y).chunk(2, 1)
        attended = self._attend(q, k, functional.relu(self.v(y)))
        local = functional.silu(self.norm_local(self.conv_local(attended)))
        return self.proj(attended + local) + x  # in this order, the sum lies as the projection does

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        m, heads = self.window_size, self.num_heads
        down, across = (v.shape[2] + m - 1) // m, (v.shape[3] + m - 1) // m  # windows
        rows, columns = (v.shape[2] + down - 1) // down, (v.shape[3] + across - 1) // across  # pixels of a window
        # (N, heads, D, rows, down, columns, across): a row of the map is row·down + window
        grids = (padded_windows(part, heads, rows, columns, down, across) for part in (q, k, v))
        tokens = (v.shape[0], down * across * heads, rows * columns)
        # order: windows, then heads, then pixels
        q, k, v_in_windows = (g.permute(0, 4, 6, 1, 3, 5, 2).reshape(*tokens, g.shape[2]) for g in grids)
        bias = None
        if recording() or rows * down != v.shape[2] or columns * across != v.shape[3]:  # a graph must hold for any size
            inside = pixels_in_windows(v, rows, columns, down, across).t()  # (windows, pixels of a window)
            bias = blocked(inside, q.dtype).reshape(down * across, 1, 1, rows * columns)
            bias = bias.expand(-1, heads, -1, -1).reshape(down * across * heads, 1, rows * columns)
        out = attend(q, k, v_in_windows, bias)
        out = out.reshape(v.shape[0], down, across, heads, rows, columns, v.shape[1] // heads)
        return laid_as(from_windows(out.permute(0, 3, 6, 4, 1, 5, 2), v), v)
