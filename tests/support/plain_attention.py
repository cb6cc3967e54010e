"""Plain reference code for attention modules: one image, one pixel and one head at a time, in float64."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module


def build(name: str, channels: int = 16, **settings) -> nn.Module:
    """The module in float64 and eval mode, with noise added to its special initial values."""
    entry = registry.get(name)
    module = build_module(entry, channels, entry.complete(settings)).double().eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 2)
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def values_by_head(source: nn.Module, target: nn.Module) -> dict[str, Tensor]:
    """Weights of `source` for a `target` with another number of heads; q and k keep the weights of `target`.

    Ultralytics' attention stores the channels of q, k and v head by head, so the channels of v depend on the number of
    heads.
    """
    attn = next(part for part in target.modules() if hasattr(part, "head_dim"))
    other = next(part for part in source.modules() if hasattr(part, "head_dim"))
    name = next(name for name, part in target.named_modules() if part is attn.qkv)
    of_values = [_rows_of_values(part) for part in (attn, other)]
    state = target.state_dict()
    for key, value in source.state_dict().items():
        if key.startswith(f"{name}.") and value.dim():
            state[key] = state[key].clone()
            state[key][of_values[0]] = value[of_values[1]]
        else:
            state[key] = value
    return state


def _rows_of_values(attn: nn.Module) -> Tensor:
    """The channels of `qkv` that are values: the last ones of each head."""
    width = attn.qkv.conv.out_channels // attn.num_heads
    first = torch.arange(attn.num_heads).reshape(-1, 1) * width + width - attn.head_dim
    return (first + torch.arange(attn.head_dim)).flatten()


def image(size: tuple[int, int], channels: int = 16, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *size, dtype=torch.float64)


def assert_same(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def tokens(x: Tensor, heads: int) -> Tensor:
    """One image (C, H, W) -> (heads, H·W, D), pixel by pixel and head by head."""
    d = x.shape[0] // heads
    pixels = [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]
    return torch.stack([torch.stack([p[h * d : (h + 1) * d] for p in pixels]) for h in range(heads)])


def as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(heads, H·W, D) -> (C, H, W)."""
    return torch.cat(list(x.transpose(1, 2)), 0).reshape(-1, *size)


def masked_attention(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, scale: float, bias: Tensor | float = 0
) -> Tensor:
    """Attention over the whole map in which only `allowed` pairs of pixels count."""
    logits = torch.einsum("hid,hjd->hij", q, k) * scale + bias
    weights = torch.where(allowed, logits.sub(logits.amax()).exp(), 0.0)
    return torch.einsum("hij,hjd->hid", weights / weights.sum(-1, keepdim=True), v)


def places(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The row and column of every pixel, row by row."""
    number = torch.arange(size[0] * size[1])
    return number // size[1], number % size[1]


def expected_softmax(module: nn.Module, x: Tensor, allowed, heads: int, position=None, scale=None, bias=0.0) -> Tensor:
    """The output proj(attention + position(v)) per image, for modules with one `qkv` convolution in order q, k, v."""
    size, out = x.shape[2:], []
    for qkv in F.linear(x.movedim(1, -1), module.qkv.weight.flatten(1), module.qkv.bias).movedim(-1, 1):
        q, k, v = (tokens(part, heads) for part in qkv.chunk(3))
        scale = scale or 1 / math.sqrt(q.shape[-1])
        attended = as_map(masked_attention(q, k, v, allowed, scale, bias), size)
        out.append(attended + (position(qkv.chunk(3)[2][None])[0] if position is not None else 0))
    return module.proj(torch.stack(out))


def bilinear(channel: Tensor, row: float, column: float) -> Tensor:
    """The bilinear value of (C, H, W) at a position in pixels; zero beyond the border."""
    total = torch.zeros(channel.shape[0], dtype=channel.dtype)
    for i, j in itertools.product((math.floor(row), math.floor(row) + 1), (math.floor(column), math.floor(column) + 1)):
        if 0 <= i < channel.shape[1] and 0 <= j < channel.shape[2]:
            total = total + channel[:, i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total
