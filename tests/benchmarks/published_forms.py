"""The operator sequences in which modules were published, on our modules' own weights: what the fast forms are measured
against. They stand here for comparison only, with the published limits (sizes that windows divide, and so on)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.attention.zoo.lska import LSKA


def acmix(m: ACmix, x: Tensor) -> Tensor:
    """Windows of k, of the position map and of v unfolded, and products broadcast over them."""
    batch, _, height, width = x.shape
    head, d, taps, margin = m.head, m.head_dim, m.kernel_att**2, m.kernel_att // 2
    q, k, v = m.conv1(x), m.conv2(x), m.conv3(x)
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).repeat(height, 1)
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype).unsqueeze(1).repeat(1, width)
    position = m.conv_p(torch.stack([across, down]).unsqueeze(0))

    def windows(maps: Tensor) -> Tensor:
        padded = functional.pad(maps, [margin] * 4, mode="reflect")
        return functional.unfold(padded, m.kernel_att).view(-1, d, taps, height, width)

    query = (q * d**-0.5).view(batch * head, d, 1, height, width)
    keys = windows(k.view(batch * head, d, height, width)) + position.unsqueeze(2) - windows(position)
    weights = (query * keys).sum(1).softmax(1)
    values = windows(v.view(batch * head, d, height, width))
    attended = (weights.unsqueeze(1) * values).sum(2).view(batch, -1, height, width)
    heads = [t.view(batch, head, d, height * width) for t in (q, k, v)]
    mixed = m.fc(torch.cat(heads, 1)).permute(0, 2, 1, 3).reshape(batch, -1, height, width)
    return m.rate1 * attended + m.rate2 * m.dep_conv(mixed)


class _MemoryEfficientSwish(torch.autograd.Function):
    """The released code has the activation of efficientnet_pytorch: only its input is kept, σ is computed again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate = x.sigmoid()
        return grad * (gate * (1 + x * (1 - gate)))


def efficient_attention(m: EfficientAttention, x: Tensor) -> Tensor:
    """Copies of q, k and v in (tokens, channels) order, and a whole attention matrix."""
    batch, _, height, width = x.shape
    d, scale, out = m.dim_head, m.dim_head**-0.5, []
    for to_qkv, mixer, attn_map in zip(m.qkvs, m.convs, m.act_blocks, strict=True):
        first, _, last = attn_map.act_block
        q, k, v = mixer(to_qkv(x)).reshape(batch, 3, -1, height, width).transpose(0, 1).contiguous()
        hidden = first(q * k)
        out.append(torch.tanh(last(_MemoryEfficientSwish.apply(hidden)) * scale) * v)
    q = m.global_q(x).reshape(batch, m.global_heads, d, -1).transpose(-1, -2).contiguous()
    pooled = m.global_kv(m.avgpool(x))
    k, v = pooled.view(batch, 2, m.global_heads, d, -1).permute(1, 0, 2, 4, 3).contiguous()
    weights = (scale * q @ k.transpose(-1, -2)).softmax(-1)
    out.append((weights @ v).transpose(-1, -2).reshape(batch, -1, height, width))
    return m.proj(torch.cat(out, 1))


def lska(m: LSKA, x: Tensor) -> Tensor:
    """With a copy of the input kept beside it."""
    kept = x.clone()
    layers: tuple[nn.Module, ...] = (m.conv0h, m.conv0v, m.conv_spatial_h, m.conv_spatial_v, m.conv1)
    for layer in layers:
        x = layer(x)
    return kept * x
