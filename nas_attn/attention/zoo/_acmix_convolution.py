"""ACmix's convolution path as one convolution: everything in it is linear, so its weights multiply beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.zoo._precision import without_autocast

# channels up to which a dense convolution of x is faster than a grouped one of q, k and v: measured on CPUs; tensor
# cores do dense ones at 50 times the rate, and narrow groups hardly at all
WIDEST_DENSE, WIDEST_DENSE_ELSEWHERE = 96, 512


def convolution_path(
    x: Tensor, qkv: Sequence[Tensor], projections: Sequence[nn.Conv2d], fc: Tensor, dep_conv: Tensor, rate: Tensor
) -> Tensor:
    """rate · dep_conv(fc(q, k, v)).

    Args:
        x: (N, Cin, H, W).
        qkv: q, k and v, each (N, H·W, C), heads one after another.
        projections: the three 1×1 convolutions of x that made them.
        fc: (K², 3·head, 1, 1), mixes the maps of all heads into one for each tap.
        dep_conv: (C, K², K, K), shifts and sums them, in D groups.
        rate: (1,).

    Returns:
        (N, C, H, W), channels d-major.
    """
    height, width = x.shape[-2:]
    channels, taps, kernel = dep_conv.shape[0], dep_conv.shape[1], dep_conv.shape[-1]
    head = fc.shape[1] // 3
    groups = channels // head
    with without_autocast(x.device):  # products of weights are few, and rounding them would be felt everywhere
        # (D, head · K · K, 3 · head): how each output channel reads its group's maps, tap by tap
        mixed = dep_conv.permute(0, 2, 3, 1).reshape(-1, taps) @ (fc.flatten(1) * rate)
        mixed = mixed.view(groups, head * kernel * kernel, 3 * head)
    if channels > (WIDEST_DENSE if x.device.type == "cpu" else WIDEST_DENSE_ELSEWHERE):
        weight = mixed.view(channels, kernel, kernel, 3 * head).permute(0, 3, 1, 2)
        maps = torch.stack(tuple(qkv), 2).view(x.shape[0], height * width, 3 * head, groups)
        maps = maps.permute(0, 3, 2, 1).reshape(x.shape[0], -1, height, width)
        out = functional.conv2d(maps, weight, None, padding=kernel // 2, groups=groups)
    else:
        project = torch.stack([c.weight.view(head, groups, -1) for c in projections]).flatten(0, 1).transpose(0, 1)
        offset = torch.stack([c.bias.view(head, groups) for c in projections]).flatten(0, 1).t().unsqueeze(2)
        with without_autocast(x.device):
            weight = torch.bmm(mixed, project).view(channels, kernel, kernel, -1).permute(0, 3, 1, 2)
            bias = torch.bmm(mixed, offset).view(channels, 1, kernel, kernel)
        out = functional.conv2d(x, weight, None, padding=kernel // 2)
        # the projections' biases are missing beyond the border: what they add depends on the place
        ones = x.new_ones(1, 1, height, width)
        out = out + functional.conv2d(ones, bias, None, padding=kernel // 2)
    return out if kernel % 2 else out[..., :height, :width]
