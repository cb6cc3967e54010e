"""The published formulas of modules, from their published weights: pixel by pixel, place by place or head by head.

Each function takes the weights under their published names, maps (N, C, H, W) in float64, and the settings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


def conv(p: Weights, name: str, x: Tensor, **options: Any) -> Tensor:
    """The convolution of that name; a linear layer is one of 1×1, and a 3-D convolution works on one slice."""
    weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
    if weight.dim() == 5:
        padding = tuple(k // 2 for k in weight.shape[2:])
        return functional.conv3d(x.unsqueeze(2), weight, bias, padding=padding, **options).squeeze(2)
    weight = weight if weight.dim() == 4 else weight[:, :, None, None]
    padding = tuple((k // 2) * options.get("dilation", 1) for k in weight.shape[2:])
    return functional.conv2d(x, weight, bias, padding=padding, **options)


def batch_norm(p: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    """The batch norm of that name, by its running statistics."""
    shape = (1, -1, 1, 1)
    mean, var, weight, bias = (
        p[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def weighted(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Attention of (L, D) to (S, D) with values (S, E)."""
    logits = torch.einsum("ld,sd->ls", q, k) * scale
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    return torch.einsum("ls,se->le", weights / weights.sum(1, keepdim=True), v)


def nam(p: Weights, x: Tensor) -> Tensor:
    scales = p["Channel_Att.bn2.weight"].abs()
    normed = batch_norm(p, "Channel_Att.bn2", x)
    return torch.stack([x[:, c] * (scales[c] / scales.sum() * normed[:, c]).sigmoid() for c in range(len(scales))], 1)


def mca(p: Weights, x: Tensor, no_spatial: int = 0, **_: Any) -> Tensor:
    total, axes = torch.zeros_like(x), {"h_cw": 2, "w_hc": 3, **({} if no_spatial else {"c_hw": 1})}
    for gate, axis in axes.items():
        a, b = p[f"{gate}.weight"].sigmoid()
        kernel, length = p[f"{gate}.conv.weight"].flatten(), x.shape[axis]
        for n in range(len(x)):
            line = []
            for place in x[n].unbind(axis - 1):
                mean = place.mean()
                spread = place.std() if place.numel() > 1 else place.new_zeros(())
                line.append((mean + spread) / 2 + a * mean + b * spread)
            for i in range(length):
                taps = ((i + t - len(kernel) // 2, weight) for t, weight in enumerate(kernel))
                g = sum(weight * line[j] for j, weight in taps if 0 <= j < length).sigmoid()
                total[n].select(axis - 1, i).add_(g * x[n].select(axis - 1, i))
    return total / len(axes)


def shsa(p: Weights, x: Tensor, qk_dim: int, partial_ratio: float) -> Tensor:
    attending, images = int(x.shape[1] * partial_ratio), []
    for image in x:
        part = image[:attending]
        part = (part - part.mean()) / (part.var(unbiased=False) + 1e-5).sqrt()
        part = part * p["pre_norm.weight"][:, None, None] + p["pre_norm.bias"][:, None, None]
        qkv = batch_norm(p, "qkv.bn", conv(p, "qkv.c", part[None]))[0].flatten(1).T
        q, k, v = qkv[:, :qk_dim], qkv[:, qk_dim : 2 * qk_dim], qkv[:, 2 * qk_dim :]
        images.append(torch.cat([weighted(q, k, v, qk_dim**-0.5).T.reshape(part.shape), image[attending:]]))
    return batch_norm(p, "proj.1.bn", conv(p, "proj.1.c", torch.stack(images).relu()))


def focal_modulation(p: Weights, x: Tensor, **_: Any) -> Tensor:
    c = x.shape[1]
    y = conv(p, "f", x)
    context, gates, total = y[:, c : 2 * c], y[:, 2 * c :], torch.zeros_like(x)
    levels = gates.shape[1] - 1
    for level in range(levels):
        context = gelu(conv(p, f"focal_layers.{level}.0", context, groups=c))
        total += torch.einsum("nchw,nhw->nchw", context, gates[:, level])
    total += torch.einsum("nc,nhw->nchw", gelu(context.mean((2, 3))), gates[:, levels])
    return conv(p, "proj", y[:, :c] * conv(p, "h", total))


def criss_cross(p: Weights, x: Tensor, recurrence: int = 1, **_: Any) -> Tensor:
    height, width = x.shape[2:]
    for _again in range(recurrence):
        q, k, v = (conv(p, f"{name}_conv", x) for name in ("query", "key", "value"))
        out = torch.empty_like(v)
        for n, i, j in itertools.product(range(len(x)), range(height), range(width)):
            cross = [(a, j) for a in range(height) if a != i] + [(i, b) for b in range(width)]
            keys, values = (torch.stack([t[n, :, a, b] for a, b in cross]) for t in (k, v))
            out[n, :, i, j] = weighted(q[n, :, i, j][None], keys, values, 1.0)[0]
        x = p["gamma"] * out + x
    return x


def irmb(p: Weights, x: Tensor, dim_head: int, window_size: int = 7, **_: Any) -> Tensor:
    y = batch_norm(p, "norm", x, 1e-6)
    (q, k), v = conv(p, "qk.conv", y).chunk(2, 1), conv(p, "v.conv", y).relu()
    attended, heads = torch.empty_like(v), x.shape[1] // dim_head
    down, across = (-(-side // window_size) for side in x.shape[2:])
    for n, i, j, h in itertools.product(range(len(x)), range(down), range(across), range(heads)):
        of_q, of_k, of_v = (t[n].chunk(heads)[h][:, i::down, j::across] for t in (q, k, v))
        out = weighted(of_q.flatten(1).T, of_k.flatten(1).T, of_v.flatten(1).T, dim_head**-0.5)
        attended[n].chunk(heads)[h][:, i::down, j::across] = out.T.reshape(of_v.shape)
    local = conv(p, "conv_local.conv", attended, groups=v.shape[1])
    local = batch_norm(p, "conv_local.norm", local, 1e-6)
    return x + conv(p, "proj.conv", attended + local * local.sigmoid())


def cafm(p: Weights, x: Tensor, num_heads: int, local_order: str = "published") -> Tensor:
    n, c, height, width = x.shape
    d, pixels = c // num_heads, height * width
    qkv = conv(p, "qkv_dwconv", conv(p, "qkv", x), groups=3 * c)
    whole, parts = torch.empty_like(x), qkv.new_empty(n, 3 * num_heads, d, pixels)
    for image, h in itertools.product(range(n), range(num_heads)):
        q, k, v = (t.flatten(1)[h * d : (h + 1) * d] for t in qkv[image].chunk(3))
        q, k = (t / t.square().sum(1, keepdim=True).sqrt() for t in (q, k))
        out = weighted(q, k, v, float(p["temperature"][h]))
        whole[image, h * d : (h + 1) * d] = out.reshape(d, height, width)
    for image, part, channel in itertools.product(range(n), range(3 * num_heads), range(d)):
        if local_order == "published":  # the numbers in the order of memory
            places = torch.arange(pixels) * 3 * c + part * d + channel
            parts[image, part, channel] = qkv[image].flatten()[places]
        else:
            parts[image, part, channel] = qkv[image, part * d + channel].flatten()
    mixed = torch.einsum("tp,npds->ndts", p["fc.weight"].flatten(1), parts) + p["fc.bias"][:, None]
    local = conv(p, "dep_conv", mixed.reshape(n, 9 * d, height, width), groups=d)
    return conv(p, "project_out", whole) + local


def resblock_cbam(p: Weights, x: Tensor, gates: str = "mean", **_: Any) -> Tensor:
    y = x
    for at in (0, 3, 6):
        y = batch_norm(p, f"bottleneck.{at + 1}", conv(p, f"bottleneck.{at}", y))
        y = y if at == 6 else torch.where(y > 0, y, 0.1 * y)
    if gates == "mean":
        channel = conv(p, "cbam.channel_attention.fc", y.mean((2, 3), keepdim=True))
    else:
        pooled = [y.mean((2, 3), keepdim=True), y.amax((2, 3), keepdim=True)]
        channel = sum(conv(p, "cbam.fc2", conv(p, "cbam.fc1", t).relu()) for t in pooled)
    y = y * channel.sigmoid()
    y = y * conv(p, "cbam.spatial_attention.cv1", torch.stack([y.mean(1), y.amax(1)], 1)).sigmoid()
    return (x + y).relu()


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "nam": nam,
    "mca": mca,
    "shsa": shsa,
    "focal_modulation": focal_modulation,
    "criss_cross": criss_cross,
    "irmb": irmb,
    "cafm": cafm,
    "resblock_cbam": resblock_cbam,
}
