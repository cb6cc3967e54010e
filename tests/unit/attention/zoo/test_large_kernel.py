"""The large-kernel family against dense linear maps, and the number of pixels that its kernels span."""

from __future__ import annotations

import pytest
import torch

from nas_attn.attention.zoo._large_kernel import K_SIZES, decompose
from nas_attn.attention.zoo.lka import LKA
from nas_attn.attention.zoo.lka_trivial import LKATrivial
from nas_attn.attention.zoo.lska import LSKA
from nas_attn.attention.zoo.lska_trivial import LSKATrivial
from nas_attn.errors import UserError


def dense(layer, x):
    """A depthwise layer as a sum over all pairs of pixels: every output sums weight(offset) · input over the map."""
    _, _, h, w = x.shape
    (kh, kw), (dh, dw) = layer.weight.shape[-2:], layer.dilation
    operator = torch.zeros(x.shape[1], h, w, h, w, dtype=x.dtype)
    for y in range(h):
        for z in range(w):
            for i in range(kh):
                for j in range(kw):
                    sy, sz = y + (i - kh // 2) * dh, z + (j - kw // 2) * dw
                    if 0 <= sy < h and 0 <= sz < w:
                        operator[:, y, z, sy, sz] = layer.weight[:, 0, i, j]
    return torch.einsum("cyzij,bcij->bcyz", operator, x) + layer.bias[None, :, None, None]


CASES = [
    (LKA, ("conv0", "conv_spatial"), (11, 23)),
    (LSKA, ("conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v"), (7, 23)),
    (LKATrivial, ("conv0",), (7,)),
    (LSKATrivial, ("conv0h", "conv0v"), (7, 11)),
]


@pytest.mark.parametrize(("cls", "order", "k_size"), [(c, o, k) for c, o, ks in CASES for k in ks])
def test_equals_dense_maps(cls, order, k_size):
    torch.manual_seed(3)
    m = cls(2, k_size).double()
    with torch.no_grad():
        x = torch.randn(2, 2, 9, 6, dtype=torch.float64)
        a = x
        for name in order:
            a = dense(getattr(m, name), a)
        gate = torch.einsum("oc,bcyz->boyz", m.conv1.weight[:, :, 0, 0], a) + m.conv1.bias[None, :, None, None]
        torch.testing.assert_close(m(x), x * gate, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cls", [LKA, LSKA, LKATrivial, LSKATrivial])
@pytest.mark.parametrize("k_size", K_SIZES)
def test_spans_k_size_pixels(cls, k_size):
    torch.manual_seed(4)
    m = cls(1, k_size).double()
    side = 59
    x = torch.ones(1, 1, side, side, dtype=torch.float64)
    bumped = x.clone()
    bumped[..., side // 2, side // 2] = 2
    with torch.no_grad():
        seen = ((m(bumped) / bumped - m(x)).abs() > 1e-13)[0, 0]  # the gate, without the factor x
    middle = range(side // 2 - k_size // 2, side // 2 + k_size // 2 + 1)
    for axis in (0, 1):
        touched = seen.any(axis).nonzero().flatten().tolist()
        assert (touched[0], touched[-1]) == (middle[0], middle[-1])


def test_published_split():
    table = {7: (3, 3, 2), 11: (3, 5, 2), 23: (5, 7, 3), 35: (5, 11, 3), 41: (5, 13, 3), 53: (5, 17, 3)}
    assert {k: decompose(k) for k in K_SIZES} == table
    for k, (k1, k2, d) in table.items():
        assert k == k1 + d * (k2 - 1)


@pytest.mark.parametrize(("cls", "k_size"), [(LSKA, 9), (LKA, 21), (LSKATrivial, 8), (LKATrivial, 10)])
def test_other_sizes_are_refused_when_built(cls, k_size):
    with pytest.raises(UserError, match=f"but got {k_size}"):
        cls(8, k_size)


def test_lska_loads_the_other_published_names():
    other = {"conv0": "DW_conv_", "conv_spatial_": "DW_D_conv_"}
    source, target = LSKA(8, 23), torch.nn.Sequential(LSKA(8, 23))
    renamed = {}
    for key, value in source.state_dict().items():
        for own, theirs in other.items():
            if key.startswith(own):
                key = theirs + key.removeprefix(own)
                break
        renamed[f"0.{key}"] = value
    assert {"0.DW_conv_h.weight", "0.DW_D_conv_v.bias"} < set(renamed)
    keys = set(renamed)
    assert target.load_state_dict(renamed, strict=True).missing_keys == []
    assert set(renamed) == keys  # loading must not change the caller's dict
    x = torch.randn(1, 8, 6, 7)
    assert torch.equal(target(x), source(x))
