"""ACmix's convolution path as one convolution. All its parts are linear, so their weights are multiplied first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nas_attn.attention.zoo._precision import without_autocast

# Number of channels up to which a dense convolution of x is faster than a grouped one of q, k and v. The first number
# is measured on CPUs. Tensor cores run dense convolutions 50 times faster, but gain almost nothing with narrow groups.
WIDEST_DENSE, WIDEST_DENSE_ELSEWHERE = 96, 512


def dense_is_faster(x: Tensor, channels: int) -> bool:
    """True if `dense_convolution` is faster than `grouped_convolution` for that many output channels."""
    return channels <= (WIDEST_DENSE if x.device.type == "cpu" else WIDEST_DENSE_ELSEWHERE)


def dense_convolution(x: Tensor, weight: Tensor, bias: Tensor, fc: Tensor, dep_conv: Tensor, rate: Tensor) -> Tensor:
    """rate · dep_conv(fc(weight · x + bias)) as a convolution of x.

    Args:
        x: (N, Cin, H, W).
        weight: (3C, Cin), the projections to q, k and v; in each, the heads follow one another.
        bias: (3C,).
        fc: (K², 3·head, 1, 1), mixes the maps of all heads into one map for each tap.
        dep_conv: (C, K², K, K), shifts these maps and sums them, in D groups.
        rate: (1,).

    Returns:
        (N, C, H, W), channels d-major.
    """
    channels, kernel, head = dep_conv.shape[0], dep_conv.shape[-1], fc.shape[1] // 3
    with without_autocast(x.device):
        mixed = _mixed(fc, dep_conv, rate)
        by_group = (t.view(3 * head, channels // head, -1).transpose(0, 1) for t in (weight, bias))
        weight, bias = (torch.bmm(mixed, t).view(channels, kernel, kernel, -1).permute(0, 3, 1, 2) for t in by_group)
    out = functional.conv2d(x, weight, None, padding=kernel // 2)
    # beyond the border the biases of the projections are missing, so their contribution depends on the position
    ones = x.new_ones(1, 1, *x.shape[-2:])
    out.add_(functional.conv2d(ones, bias, None, padding=kernel // 2))
    return _kept(out, kernel, x.shape[-2:])


def grouped_convolution(
    qkv: Tensor, position: Tensor, size: torch.Size, fc: Tensor, dep_conv: Tensor, rate: Tensor
) -> Tensor:
    """rate · dep_conv(fc(q, k, v)) as a grouped convolution of what the attention reads.

    Args:
        qkv: (N, H·W, 3C): q / √D, k - position and v.
        position: (H·W, D), the same for all heads and images.
        size: (H, W) of the map.
        fc: as in `dense_convolution`.
        dep_conv: as in `dense_convolution`.
        rate: (1,).

    Returns:
        (N, C, H, W), channels d-major.
    """
    channels, kernel, head = dep_conv.shape[0], dep_conv.shape[-1], fc.shape[1] // 3
    groups = channels // head
    with without_autocast(qkv.device):
        weight = _mixed(fc, dep_conv, rate).view(channels, kernel, kernel, 3 * head).permute(0, 3, 1, 2)
        for_queries, for_keys, for_values = weight.chunk(3, 1)
        weight = torch.cat([for_queries * groups**0.5, for_keys, for_values], 1)
    maps = qkv.unflatten(2, (3 * head, groups)).permute(0, 3, 2, 1).flatten(1, 2).unflatten(2, size)
    out = functional.conv2d(maps, weight, None, padding=kernel // 2, groups=groups)
    shift = position.t().unflatten(1, size).unsqueeze(0).to(out.dtype)
    for_shift = for_keys.sum(1, keepdim=True).to(out.dtype)
    out = out + functional.conv2d(shift, for_shift, None, padding=kernel // 2, groups=groups)
    return _kept(out, kernel, size)


def _mixed(fc: Tensor, dep_conv: Tensor, rate: Tensor) -> Tensor:
    """(D, head · K · K, 3 · head): the weight of each output channel for the maps of its group, tap by tap.

    Call it without autocast: these products are few, and their rounding errors would reach every pixel.
    """
    mixed = dep_conv.permute(0, 2, 3, 1).reshape(-1, dep_conv.shape[1]) @ (fc.flatten(1) * rate)
    head = fc.shape[1] // 3
    return mixed.view(dep_conv.shape[0] // head, -1, 3 * head)


def _kept(out: Tensor, kernel: int, size: torch.Size) -> Tensor:
    return out if kernel % 2 else out[..., : size[0], : size[1]]  # an even kernel gives one row and column too many
