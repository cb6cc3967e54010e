"""LSK against its equations, pixel by pixel, and its parameter formula."""

from __future__ import annotations

import pytest
import torch

from nas_attn.attention import get
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo.lsk import CHAINS, LSKAttention
from nas_attn.errors import SlotRefused, UserError


def convolved(x, weight, bias, dilation=1, depthwise=False):
    """The convolution (C, H, W) -> (C', H, W), tap by tap, with zero padding."""
    _, height, width = x.shape
    k = weight.shape[-1]
    out = bias[:, None, None].expand(-1, height, width).clone()
    for row in range(height):
        for column in range(width):
            for i in range(k):
                for j in range(k):
                    y, z = row + (i - k // 2) * dilation, column + (j - k // 2) * dilation
                    if 0 <= y < height and 0 <= z < width:
                        tap = weight[:, :, i, j]
                        out[:, row, column] += tap[:, 0] * x[:, y, z] if depthwise else tap @ x[:, y, z]
    return out


@pytest.mark.parametrize("k_size", CHAINS)
@pytest.mark.parametrize("size", [(1, 1), (4, 7)])
def test_equations(k_size, size):
    torch.manual_seed(0)
    m = LSKAttention(6, k_size, 2).double()
    x = torch.randn(6, *size, dtype=torch.float64)
    with torch.no_grad():
        u, parts = x, []
        for conv, mix, (_, dilation) in zip(m.depthwise, m.mix, CHAINS[k_size], strict=True):
            u = convolved(u, conv.weight, conv.bias, dilation, depthwise=True)
            parts.append(convolved(u, mix.weight, mix.bias))
        every = torch.cat(parts)
        masks = convolved(torch.stack([every.mean(0), every.max(0).values]), m.select.weight, m.select.bias).sigmoid()
        total = sum(mask * part for mask, part in zip(masks, parts, strict=True))
        expected = x * convolved(total, m.mix_out.weight, m.mix_out.bias)
        torch.testing.assert_close(m(x[None])[0], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("c", [16, 64, 256])
@pytest.mark.parametrize("r", [1, 2, 4])
@pytest.mark.parametrize(("k_size", "kernels"), [(11, (3, 5)), (23, (5, 7)), (29, (3, 5, 7))])
def test_parameters_and_span(c, r, k_size, kernels):
    n = len(kernels)
    expected = sum(k * k + 1 for k in kernels) * c + n * (c * c // r + c // r) + n * 99 + c * c // r + c
    assert (
        sum(p.numel() for p in build_module(get("lsk"), c, {"k_size": k_size, "reduction": r}).parameters()) == expected
    )
    assert sum((k - 1) * dilation for k, dilation in CHAINS[k_size]) + 1 == k_size


def test_refusals():
    with pytest.raises(SlotRefused, match="must divide"):
        LSKAttention(6, 11, 4)
    with pytest.raises(UserError, match="must be one of 11, 23, 29"):
        LSKAttention(8, 12)
