"""Shared parts of self-attention modules: channels to heads and back, softmax attention, windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nas_attn.attention.forms import fast_wanted, recording
from nas_attn.attention.zoo._layout import channels_last
from nas_attn.attention.zoo._precision import without_autocast

Size = int  # or, while a graph is traced, the scalar tensor that represents a size


def to_heads(x: Tensor, heads: int) -> Tensor:
    """(N, heads·D, H, W) -> (N, heads, H·W, D), contiguous, because strided operands take 2.6 times as long."""
    pixels = x.shape[2] * x.shape[3]
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, pixels).transpose(-1, -2).contiguous()


def to_map(x: Tensor, like: Tensor) -> Tensor:
    """(N, heads, H·W, D) -> (N, heads·D, H, W), with the H, W and memory format of `like`."""
    channels, height, width = x.shape[1] * x.shape[3], like.shape[2], like.shape[3]
    if channels_last(like):
        return x.transpose(1, 2).reshape(x.shape[0], height, width, channels).permute(0, 3, 1, 2)
    return x.transpose(-1, -2).reshape(x.shape[0], channels, height, width).contiguous()


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None) -> Tensor:
    """softmax(q·kᵀ·scale + bias)·v over the last two axes, by a fused kernel if its gradients are reproducible.

    Args:
        q: (..., L, D).
        k: (..., S, D).
        v: (..., S, E).
        bias: added to the logits, broadcast to (..., L, S); None: no bias.
        scale: factor of the logits; None: 1 / √D.
    Returns:
        (..., L, E).
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if _fused_would_vary(q):
        with without_autocast(q.device):
            if q.dtype is torch.half:  # logits in float16 could overflow; fused kernels keep them in float32
                q, k = q.float(), k.float()
            logits = (q * scale) @ k.transpose(-1, -2)
            weights = (logits if bias is None else logits + bias).softmax(-1)
            return weights.to(v.dtype) @ v
    width, missing = v.shape[-1], v.shape[-1] - q.shape[-1] if fast_wanted() else 0
    if missing > 0:  # fused kernels need the same width for q, k and v; added zeros change no product
        q, k = F.pad(q, (0, missing)), F.pad(k, (0, missing))
    elif missing < 0:
        v = F.pad(v, (0, -missing))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return out[..., :width] if missing < 0 else out


def _fused_would_vary(q: Tensor) -> bool:
    # Ultralytics asks for deterministic algorithms with warn_only. Then CUDA's fused kernels add up their gradients in
    # any order; they use a fixed order only without warn_only.
    if recording() or not q.is_cuda or not torch.is_grad_enabled():
        return False
    return bool(torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled())


def blocked(free: Tensor, dtype: torch.dtype) -> Tensor:
    """The bias that hides keys: 0 for a `free` key, otherwise the lowest finite number.

    With -inf, the softmax of a row of hidden keys would be NaN. Hidden keys must be finite; zero is best.
    """
    return torch.zeros_like(free, dtype=dtype).masked_fill(free.logical_not(), torch.finfo(dtype).min)


def padded_windows(x: Tensor, heads: int, rows: Size, columns: Size, height: Size, width: Size) -> Tensor:
    """(N, heads·D, H, W) -> (N, heads, D, rows, height, columns, width), padded with zeros below and on the right."""
    if recording() or rows * height != x.shape[2] or columns * width != x.shape[3]:  # a graph must hold for any size
        x = F.pad(x, (0, columns * width - x.shape[3], 0, rows * height - x.shape[2]))
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, rows, height, columns, width)


def from_windows(x: Tensor, like: Tensor) -> Tensor:
    """The reverse of `padded_windows`, without the padding, with the size and memory format of `like`."""
    n, heads, d, rows, height, columns, width = x.shape
    if channels_last(like):
        x = x.permute(0, 3, 4, 5, 6, 1, 2).reshape(n, rows * height, columns * width, heads * d).permute(0, 3, 1, 2)
    else:
        x = x.reshape(n, heads * d, rows * height, columns * width)
    return x[:, :, : like.shape[2], : like.shape[3]]


def pixels_in_windows(like: Tensor, rows: Size, columns: Size, height: Size, width: Size) -> Tensor:
    """(rows·columns, height·width): true for the positions of each window that are pixels of the map `like`."""
    down = torch.arange(rows * height, device=like.device) < like.shape[2]
    across = torch.arange(columns * width, device=like.device) < like.shape[3]
    inside = down.reshape(rows, 1, height, 1).logical_and(across.reshape(1, columns, 1, width))
    return inside.reshape(rows * columns, height * width)
