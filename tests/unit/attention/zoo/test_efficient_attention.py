"""CloFormer's attention against loops over heads, windows and pixels; faults of the published code are absent."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nas_attn.attention import get
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.errors import SlotRefused, UserError


def randomised(*args, **kwargs):
    torch.manual_seed(2)
    return EfficientAttention(*args, **kwargs).double()


def conv(layer, x, **kwargs):
    return F.conv2d(x, layer.weight, layer.bias, **kwargs)


def reference(m, x, split, window):
    """The output computed head by head; each window is averaged over its own pixels, also at the border."""
    _, c, h, w = x.shape
    d = c // sum(split)
    parts = []
    for i, heads in enumerate(n for n in split[:-1] if n):
        wide = conv(m.qkvs[i], x)
        kernel = m.convs[i].weight.shape[-1]
        mixed = conv(m.convs[i], wide, padding=kernel // 2, groups=wide.shape[1])
        q, k, v = (mixed[:, j * heads * d : (j + 1) * heads * d] for j in range(3))
        first, _, last = m.act_blocks[i].act_block
        hidden = conv(first, q * k)
        parts.append(torch.tanh(conv(last, hidden * torch.sigmoid(hidden)) / d**0.5) * v)
    if split[-1]:
        corners = [(y, z) for y in range(0, h, window) for z in range(0, w, window)]
        means = [x[:, :, y : y + window, z : z + window].mean((2, 3)) for y, z in corners]
        pooled = torch.stack(means, 2).unsqueeze(-1)
        q, kv = conv(m.global_q, x), conv(m.global_kv, pooled).squeeze(-1)
        k, v = kv[:, : split[-1] * d], kv[:, split[-1] * d :]
        for head in range(split[-1]):
            own = slice(head * d, head * d + d)
            logits = torch.einsum("bdyx,bdl->byxl", q[:, own], k[:, own]) / d**0.5
            parts.append(torch.einsum("byxl,bdl->bdyx", logits.softmax(-1), v[:, own]))
    return conv(m.proj, torch.cat(parts, 1))


@pytest.mark.parametrize("split", [(4, 4), (2, 6), (8, 0), (0, 8), (2, 2, 4), (0, 4, 4), (2, 0, 6)], ids=str)
@pytest.mark.parametrize(("size", "window"), [((8, 8), 4), ((7, 10), 4), ((5, 3), 8), ((1, 1), 2), ((6, 5), 1)])
def test_equals_loops(split, size, window):
    m = randomised(32, 8, split, (3, 5, 7)[: len(split) - 1], window)
    x = torch.randn(2, 32, *size, dtype=torch.float64)
    torch.testing.assert_close(m(x), reference(m, x, split, window), rtol=0, atol=1e-12)


def test_heads_are_not_merged_on_maps_the_window_does_not_divide():
    """On 20×20 with window 7 and two global heads, the published code merges both heads without an error."""
    m = randomised(64, 8, (6, 2), (5,), 7)
    x = torch.randn(1, 64, 20, 20, dtype=torch.float64)
    before = m(x)
    torch.testing.assert_close(before, reference(m, x, (6, 2), 7), rtol=0, atol=1e-12)
    with torch.no_grad():  # without the values of the first global head, exactly its 8 channels before `proj` change
        m.proj.weight.copy_(torch.eye(64)[:, :, None, None])
        before = m(x)
        m.global_kv.weight[16:24] = 0
        m.global_kv.bias[16:24] = 0
        changed = (m(x) - before).abs().amax((0, 2, 3)) > 1e-9
    assert changed.nonzero().flatten().tolist() == list(range(48, 56))


@pytest.mark.parametrize("size", [(9, 9), (10, 7)])
def test_border_pixels_reach_the_global_branch(size):
    m = randomised(16, 8, (0, 8), (3,), 4)
    x = torch.randn(1, 16, *size, dtype=torch.float64, requires_grad=True)
    m(x)[:, :, 0, 0].sum().backward()
    assert x.grad[:, :, -1, -1].abs().max() > 0


def test_branches_without_heads_have_no_weights():
    everything_local = EfficientAttention(16, 8, [8, 0], [3], 4).state_dict()
    assert not any(k.startswith("global") for k in everything_local)
    everything_global = EfficientAttention(16, 8, [0, 8], [3], 4).state_dict()
    assert {k.split(".")[0] for k in everything_global} == {"global_q", "global_kv", "proj"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((64, 6, [3, 3], [3]), SlotRefused),
        ((64, 8, [4, 3], [3]), UserError),
        ((64, 8, [4, 4], [3, 5]), UserError),
        ((64, 8, [4, 4], [4]), UserError),
        ((64, 8, [12, -4], [3]), UserError),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, error):
    with pytest.raises(error, match="must"):
        EfficientAttention(*arguments)


def test_logits_are_counted_and_too_many_refused():
    entry = get("efficient_attention")
    settings = {"group_split": (2, 2, 4), "window_size": 4}
    assert entry.cls.attention_logits(64, 21, 11, **settings) == 4 * 21 * 11 * 6 * 3
    assert entry.refusal(64, 80, 80, settings) is None
    reason = entry.refusal(64, 80, 80, {"group_split": (0, 8), "window_size": 1})
    assert "327,680,000 attention logits" in reason and "80x80" in reason
    assert entry.refusal(64, 80, 80, {"group_split": (8, 0), "window_size": 1}) is None
