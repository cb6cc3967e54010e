"""ACmix: self-attention and convolution that share their 1×1 projections.

Paper: On the Integration of Self-Attention and Convolution (arXiv:2111.14556).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import as_built, fast_wanted, recording
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._acmix_convolution import dense_convolution, dense_is_faster, grouped_convolution
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._neighbourhood import neighbourhood_attention


@attention(
    "acmix",
    family="attention+convolution",
    paper="On the Integration of Self-Attention and Convolution, 2111.14556",
    licence="own code from the paper; the published code has no licence",
)
class ACmix(nn.Module):
    r"""`rate1 · attention(q, k, v) + rate2 · convolution(q, k, v)`, with q, k, v from three 1×1 convolutions.

    Per head, the attention of pixel i over its window is
    :math:`\mathrm{softmax}_j\, q_i \cdot (k_j + p_i - p_j) / \sqrt D`. Here p is a learned linear map of the position.
    The term :math:`q_i \cdot p_i` is the same for every j and cancels, so the keys used here are k − p. Windows reach
    beyond the map by reflection. The convolution path mixes the unscaled q, k and v of all heads into kernel_conv²
    maps, shifts each map by one tap, and sums them. Its output channels are d-major (d·head + n), and those of the
    attention are head-major (n·D + d). The published code adds the two in these different orders, and published weights
    depend on it.

    Parameters, C = out_planes, D = C/head, K = kernel_conv: 3(in_planes·C + C) + 3D + 3·head·K² + C·K⁴ + 2.

    Args:
        in_planes: channels of the input.
        out_planes: channels of the output, a multiple of `head`.
        kernel_att: side of the attention window in pixels. An even window reaches one pixel further down and to the
            right.
        head: number of attention heads.
        kernel_conv: side of the convolution kernel in pixels.
        stride: distance between output pixels, in input pixels; the output has ceil(H / stride) rows.
        dilation: distance between the taps of the attention window in pixels.
    Shape:
        (N, in_planes, H, W) -> (N, out_planes, ceil(H / stride), ceil(W / stride)); any H, W from 1.
    Raises:
        SlotRefused: `head` does not divide `out_planes`.
    """

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        kernel_att: Annotated[int, Choice(3, 5, 7, 9)] = 7,
        head: Annotated[int, Choice(1, 2, 4, 8)] = 4,
        kernel_conv: int = 3,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.kernel_att, self.head, self.head_dim = kernel_att, head, out_planes // head
        self.stride, self.dilation = stride, dilation
        self.rate1 = nn.Parameter(torch.full((1,), 0.5))
        self.rate2 = nn.Parameter(torch.full((1,), 0.5))
        self.conv1 = nn.Conv2d(in_planes, out_planes, 1)
        self.conv2 = nn.Conv2d(in_planes, out_planes, 1)
        self.conv3 = nn.Conv2d(in_planes, out_planes, 1)
        self.conv_p = nn.Conv2d(2, self.head_dim, 1)
        taps = kernel_conv**2
        self.fc = nn.Conv2d(3 * head, taps, 1, bias=False)
        self.dep_conv = nn.Conv2d(
            taps * self.head_dim, out_planes, kernel_conv, stride, kernel_conv // 2, groups=self.head_dim, bias=False
        )
        with torch.no_grad():  # map t starts as a pure shift to tap t
            shifts = torch.eye(taps).reshape(taps, kernel_conv, kernel_conv)
            self.dep_conv.weight.copy_(shifts.expand_as(self.dep_conv.weight))

    @classmethod
    def unsupported(cls, channels: int, *, head: int, kernel_att: int) -> str | None:
        return indivisible(channels, head, "head")

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, head: int, kernel_att: int) -> int:
        return head * kernel_att**2 * height * width

    @classmethod
    def effective(cls, height: int, width: int, *, head: int, kernel_att: int) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, every window holds only copies of that pixel."""
        return head, kernel_att if height * width > 1 else 1

    @classmethod
    def extra_macs(cls, channels: int, height: int, width: int, *, head: int, kernel_att: int) -> int:
        """Multiply-accumulates of q·k and of the weighted sum of v, which are computed as products and sums."""
        return 2 * kernel_att**2 * channels * height * width

    def forward(self, x: Tensor) -> Tensor:
        # a search never chooses stride or dilation, so there is no fast form for other values than 1
        plain = self.stride == 1 and self.dilation == 1
        read = self.conv1, self.conv2, self.conv3, self.fc, self.dep_conv
        return self.fast(x) if plain and fast_wanted(self) and as_built(nn.Conv2d, *read) else self.reference(x)

    def fast(self, x: Tensor) -> Tensor:
        """The same result as `reference`, for stride and dilation 1: attention in tiles, and one convolution."""
        given, x = x, x.contiguous(memory_format=torch.channels_last)
        size, dense = x.shape[-2:], dense_is_faster(x, self.head * self.head_dim)
        projections = (self.conv1, self.conv2, self.conv3)
        weights, biases = [c.weight.flatten(1) for c in projections], [c.bias for c in projections]
        position = self._position(x, *size).flatten(3)[0, 0].t()  # (H·W, D)
        qkv = self._projected(x, weights, biases, position, self.rate1 if dense else None)
        attended = neighbourhood_attention(qkv, tuple(size), self.head, self.kernel_att)
        attended = attended.transpose(1, 2).unflatten(2, size)
        mixing = self.fc.weight, self.dep_conv.weight, self.rate2
        if dense:
            out = dense_convolution(x, torch.cat(weights), torch.cat(biases), *mixing).add_(attended)
        else:
            out = torch.addcmul(grouped_convolution(qkv, position, size, *mixing), self.rate1.to(qkv.dtype), attended)
        return laid_as(out, given)

    def _projected(
        self, x: Tensor, weights: list[Tensor], biases: list[Tensor], position: Tensor, rate: Tensor | None
    ) -> Tensor:
        """q / √D, k - position and v, (N, H·W, 3C), from one matrix product, without another pass over the map.

        Attention is linear in v. So a rate can be applied to the weights of v, if nothing else reads v.
        """
        gains: list[Tensor | float] = [self.head_dim**-0.5, 1.0, 1.0 if rate is None else rate]
        weight, bias = (torch.cat([p * g for p, g in zip(parts, gains, strict=True)]) for parts in (weights, biases))
        shift = nn.functional.pad(position.repeat(1, self.head), (bias.shape[0] // 3,) * 2)
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)
        return torch.baddbmm((bias - shift).unsqueeze(0), rows, weight.t().expand(rows.shape[0], -1, -1))

    def reference(self, x: Tensor) -> Tensor:
        """The module as the paper defines it, operator by operator; cost is counted on this form."""
        height, width = x.shape[-2], x.shape[-1]
        heads = (x.shape[0], self.head, self.head_dim, height, width)
        q, k, v = (conv(x).reshape(heads) for conv in (self.conv1, self.conv2, self.conv3))
        attended = self._attend(q, k - self._position(x, height, width), v)
        convolved = self._convolve(q, k, v)
        return self.rate1.to(attended.dtype) * attended + self.rate2.to(convolved.dtype) * convolved

    def _position(self, x: Tensor, height: int, width: int) -> Tensor:
        # always computed in float32: positions in half precision would differ from those of the published weights
        across, down = (_from_minus_one_to_one(size, x.device) for size in (width, height))
        grid = torch.stack([across.expand(height, width), down.unsqueeze(1).expand(height, width)])
        return self.conv_p(grid.to(x.dtype).unsqueeze(0)).unsqueeze(1)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k and v, each (N, head, D, H, W) -> (N, C, H', W'), channels head-major."""
        height, width = q.shape[-2], q.shape[-1]
        q = q[..., :: self.stride, :: self.stride] * self.head_dim**-0.5
        logits = [(q * window).sum(2) for window in self._windows(k, height, width)]
        weights = torch.stack(logits, 2).softmax(2).to(v.dtype).unbind(2)
        products = (w.unsqueeze(2) * window for w, window in zip(weights, self._windows(v, height, width), strict=True))
        total = next(products)
        for product in products:
            total = total + product
        return total.flatten(1, 2)

    def _windows(self, x: Tensor, height: int, width: int) -> Iterator[Tensor]:
        """The map shifted to each position of the window, row by row, as views of one padded copy."""
        reach = self.dilation * (self.kernel_att - 1)
        padded = reflect(reflect(x, reach, -2), reach, -1)
        for i in range(0, reach + 1, self.dilation):
            for j in range(0, reach + 1, self.dilation):
                yield padded[..., i : i + height : self.stride, j : j + width : self.stride]

    def _convolve(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k and v, each (N, head, D, H, W) -> (N, C, H', W'), channels d-major."""
        height, width = q.shape[-2], q.shape[-1]
        mixed = self.fc(torch.cat([q, k, v], 1).flatten(3))  # (N, K², D, H·W)
        out = self.dep_conv(mixed.transpose(1, 2).reshape(mixed.shape[0], -1, height, width))
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        if out.shape[-2:] != (rows, columns):  # an even kernel_conv gives one row and column too many
            out = out[..., :rows, :columns]
        return out

    def extra_repr(self) -> str:
        return f"head={self.head}, kernel_att={self.kernel_att}, stride={self.stride}, dilation={self.dilation}"


def _from_minus_one_to_one(size: int | Tensor, device: torch.device) -> Tensor:
    """`torch.linspace(-1, 1, size)`, but valid for any size in a recorded graph, and for size 1 in ONNX."""
    if not recording():
        return torch.linspace(-1.0, 1.0, size, device=device, dtype=torch.float32)
    steps = (size - 1).clamp(min=1) if isinstance(size, Tensor) else max(size - 1, 1)
    return torch.arange(size, device=device) * (2.0 / steps) - 1.0


def reflect(x: Tensor, reach: int, dim: int) -> Tensor:
    """`x` extended along `dim` by reach // 2 pixels before and the rest of `reach` after, by reflection at the border.

    The reflection is periodic, so it works on maps that are smaller than the padding; a single pixel is repeated. It is
    done by indexing, because the backward pass of `ReflectionPad2d` is not deterministic on CUDA.
    """
    last = x.shape[dim] - 1
    position = torch.arange(-(reach // 2), last + 1 + reach - reach // 2, device=x.device)
    # a traced size is a tensor and must not be compared in Python: the graph would be valid for this size only
    period = (2 * last).clamp(min=1) if isinstance(last, Tensor) else max(1, 2 * last)
    return x.index_select(dim, last - (position % period - last).abs())
