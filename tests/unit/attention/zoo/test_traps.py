"""Silent faults of published attention code: each test shows the fault, and that the zoo does not have it."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from nas_attn.attention import entries
from nas_attn.attention.residual import GAIN, build_module
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention

CHANNELS = 64
MODULES = [pytest.param(e, id=e.name) for e in entries() if not e.is_none]
every_module = pytest.mark.parametrize("entry", MODULES)
pytestmark = pytest.mark.usefixtures("one_seeded_thread")


# ---- a reshape with a free head axis accepts a window that does not divide the map


def published_global_branch(m, x, window):
    """CloFormer's released reshapes: they assume ⌊H·W / window²⌋ tokens and leave the head axis free."""
    batch, _, h, w = x.shape
    d = m.dim_head
    q = m.global_q(x).reshape(batch, -1, d, h * w).transpose(-1, -2)
    kv = m.global_kv(F.avg_pool2d(x, window)).view(batch, 2, -1, d, h * w // window**2)
    k, v = kv.permute(1, 0, 2, 4, 3)
    out = (d**-0.5 * q @ k.transpose(-1, -2)).softmax(-1) @ v
    return out.transpose(2, 3).reshape(batch, -1, h, w), k.shape


def global_branch_by_heads(m, x, window, heads, *, whole_windows):
    """The global branch head by head; windows at the border are averaged over their own pixels, or left out."""
    _, _, h, w = x.shape
    d = m.dim_head
    tops = [t for t in range(0, h, window) if t + window <= h or not whole_windows]
    lefts = [t for t in range(0, w, window) if t + window <= w or not whole_windows]
    tokens = torch.stack([x[:, :, t : t + window, s : s + window].mean((2, 3)) for t in tops for s in lefts], 2)
    q, k, v = (
        torch.einsum("oc,bcl->bol", weight[:, :, 0, 0], source) + bias[:, None]
        for weight, bias, source in (
            (m.global_q.weight, m.global_q.bias, x.flatten(2)),
            (m.global_kv.weight[: heads * d], m.global_kv.bias[: heads * d], tokens),
            (m.global_kv.weight[heads * d :], m.global_kv.bias[heads * d :], tokens),
        )
    )
    out = []
    for head in range(heads):
        own = slice(head * d, head * d + d)
        weights = (q[:, own].transpose(1, 2) @ k[:, own] / d**0.5).softmax(-1)
        out.append((weights @ v[:, own].transpose(1, 2)).transpose(1, 2))
    return torch.cat(out, 1).reshape(x.shape[0], heads * d, h, w)


def global_channels(heads, window):
    """A module whose output is the concatenated channels of its branches, and a function that reads the global ones."""
    m = EfficientAttention(CHANNELS, 8, (8 - heads, heads), (5,), window).double()
    with torch.no_grad():
        m.proj.weight.copy_(torch.eye(CHANNELS)[:, :, None, None])
        m.proj.bias.zero_()
    return m, lambda x: m(x)[:, -heads * m.dim_head :]


@torch.no_grad()
def test_head_axis_absorbs_a_window_that_does_not_divide():
    """On 20×20 with window 7 and two global heads, the published reshapes see one head of 8 tokens, not two of 4."""
    m, ours = global_channels(heads=2, window=7)
    x = torch.randn(2, CHANNELS, 20, 20, dtype=torch.float64)
    published, shape = published_global_branch(m, x, 7)
    assert shape == (2, 1, 8, 8), "one head, twice its tokens; broadcasting hides it"
    assert published.shape == (2, 16, 20, 20), "and the output looks right"
    meant = global_branch_by_heads(m, x, 7, 2, whole_windows=True)
    assert (published - meant).abs().max() > 0.1 * meant.abs().max()
    torch.testing.assert_close(ours(x), global_branch_by_heads(m, x, 7, 2, whole_windows=False), rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize(("heads", "size"), [(1, (20, 20)), (4, (20, 20)), (2, (40, 40)), (2, (21, 11)), (8, (20, 20))])
def test_head_axis_fails_loudly_elsewhere(heads, size):
    """With other numbers of heads, the published reshapes fail or give wrong values; ours do neither."""
    m, ours = global_channels(heads, window=7)
    x = torch.randn(1, CHANNELS, *size, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"shape|size"):
        published_global_branch(m, x, 7)
    expected = global_branch_by_heads(m, x, 7, heads, whole_windows=False)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize(("window", "size"), [(7, (14, 21)), (4, (8, 20)), (1, (5, 3))])
def test_head_axis_is_right_where_windows_divide(window, size):
    """If windows divide the map, the published numbers are correct, and ours are equal."""
    m, ours = global_channels(heads=2, window=window)
    x = torch.randn(2, CHANNELS, *size, dtype=torch.float64)
    published, shape = published_global_branch(m, x, window)
    assert shape[1] == 2
    torch.testing.assert_close(ours(x), published, rtol=0, atol=1e-12)


# ---- ACmix adds two paths with different orders of channels


def acmix_by_loops(m, x, order):
    """ACmix number by number, on one image; `order` of the convolution path is `d-major` or `head-major`."""
    _, _, h, w = x.shape
    n, d, reach = m.head, m.head_dim, m.kernel_att // 2
    q, k, v = (F.conv2d(x, c.weight, c.bias)[0].view(n, d, h, w) for c in (m.conv1, m.conv2, m.conv3))
    across, down = torch.linspace(-1, 1, w).double(), torch.linspace(-1, 1, h).double()
    grid = torch.stack([across.expand(h, w), down[:, None].expand(h, w)])
    pe = torch.einsum("ds,syx->dyx", m.conv_p.weight[:, :, 0, 0], grid) + m.conv_p.bias[:, None, None]
    mixed = torch.einsum("ts,sdyx->tdyx", m.fc.weight[:, :, 0, 0], torch.cat([q, k, v]))

    def inside(i, size):  # reflection at the border pixels
        return size - 1 - abs(size - 1 - abs(i))

    out = torch.zeros(n * d, h, w, dtype=x.dtype)
    for head, y, z in itertools.product(range(n), range(h), range(w)):
        steps = range(-reach, reach + 1)
        window = [(inside(y + i, h), inside(z + j, w)) for i in steps for j in steps]
        logits = [(q[head, :, y, z] * (k[head, :, i, j] + pe[:, y, z] - pe[:, i, j])).sum() for i, j in window]
        weights = (torch.stack(logits) / d**0.5).softmax(0)
        for depth in range(d):
            attended = sum(weight * v[head, depth, i, j] for weight, (i, j) in zip(weights, window, strict=True))
            out[head * d + depth, y, z] += m.rate1[0] * attended
            convolved = 0.0
            channel = depth * n + head
            for i, j in itertools.product(range(3), range(3)):
                if 0 <= y + i - 1 < h and 0 <= z + j - 1 < w:
                    convolved += (m.dep_conv.weight[channel, :, i, j] * mixed[:, depth, y + i - 1, z + j - 1]).sum()
            place = channel if order == "d-major" else head * d + depth
            out[place, y, z] += m.rate2[0] * convolved
    return out[None]


@torch.no_grad()
def test_acmix_channel_orders_differ_between_its_paths():
    """Attention is head-major and convolution is d-major; with the same order for both, the numbers would differ."""
    m = ACmix(8, 8, kernel_att=3, head=2).double()
    for parameter in m.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    published, tidied = acmix_by_loops(m, x, "d-major"), acmix_by_loops(m, x, "head-major")
    torch.testing.assert_close(m(x), published, rtol=0, atol=1e-12)
    moved = (m(x) - tidied).abs().amax((0, 2, 3)) > 1e-3
    assert moved.nonzero().flatten().tolist() == [1, 2, 3, 4, 5, 6], "first and last channel stand alike in both orders"


# ---- ACmix's `dep_conv` is created with a bias that is removed later


def released_acmix_state(c, n, k=3):
    """A state_dict with the keys and shapes of the released class, filled with noise."""
    shapes = {"rate1": (1,), "rate2": (1,)}
    for i in (1, 2, 3):
        shapes |= {f"conv{i}.weight": (c, c, 1, 1), f"conv{i}.bias": (c,)}
    shapes |= {"conv_p.weight": (c // n, 2, 1, 1), "conv_p.bias": (c // n,)}
    shapes |= {"fc.weight": (k * k, 3 * n, 1, 1), "dep_conv.weight": (c, k * k, k, k)}
    return {key: torch.randn(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize(("channels", "head"), [(64, 4), (16, 1), (32, 8)])
def test_dep_conv_bias_is_in_no_state_dict(channels, head):
    """The released class sets the bias to None: weights have 12 entries, and load strictly in both directions."""
    state = released_acmix_state(channels, head)
    m = ACmix(channels, channels, head=head)
    m.load_state_dict(state, strict=True)
    assert set(m.state_dict()) == set(state) and len(state) == 12
    assert all(torch.equal(m.state_dict()[key], value) for key, value in state.items())
    assert m.dep_conv.bias is None
    with pytest.raises(RuntimeError, match=r"Unexpected key.*dep_conv\.bias"):
        m.load_state_dict({**state, "dep_conv.bias": torch.zeros(channels)}, strict=True)


def test_dep_conv_without_bias_maps_nothing_to_nothing():
    m = ACmix(16, 16)
    m.load_state_dict(
        {k: torch.zeros_like(v) if k.startswith("conv") else v for k, v in released_acmix_state(16, 4).items()}
    )
    assert torch.equal(m(torch.randn(1, 16, 6, 5)), torch.zeros(1, 16, 6, 5))


# ---- initialisation


@torch.no_grad()
@pytest.mark.parametrize("head", [1, 2, 4])
def test_acmix_starts_as_half_attention_and_half_shifts(head):
    """`dep_conv` starts as one shift per tap, and the rates start at 0.5."""
    # the released ACmix-ResNet draws all convolutions again (Kaiming) and so loses the shifts; this is not done here
    m = ACmix(8, 8, kernel_att=3, head=head).double()
    assert m.rate1.item() == m.rate2.item() == 0.5
    x = torch.randn(1, 8, 5, 6, dtype=torch.float64)
    d = 8 // head
    triple = torch.cat([c(x).view(1, head, d, 5, 6) for c in (m.conv1, m.conv2, m.conv3)], 1)
    mixed = F.pad(torch.einsum("ts,bsdyx->btdyx", m.fc.weight[:, :, 0, 0], triple), (1, 1, 1, 1))
    shifts = sum(mixed[:, t, :, t // 3 : t // 3 + 5, t % 3 : t % 3 + 6] for t in range(9))
    both = m(x)
    m.rate2.zero_()
    torch.testing.assert_close(both - m(x), 0.5 * shifts.repeat_interleave(head, 1), rtol=0, atol=1e-12)
    m.rate1.fill_(1.0)
    torch.testing.assert_close(both, 0.5 * m(x) + 0.5 * shifts.repeat_interleave(head, 1), rtol=0, atol=1e-12)


@every_module
def test_a_residual_starts_at_zero_and_draws_nothing(entry):
    """γ starts at 0 with a fixed gain, and the inner module starts with the same weights as without the residual."""
    built = []
    for residual in ("none", "scaled"):
        torch.manual_seed(11)
        built.append(build_module(entry, CHANNELS, {**entry.defaults(), "residual": residual}))
        after = torch.rand(1)
        built.append(after)
    plain, plain_next, scaled, scaled_next = built
    assert scaled.gamma.tolist() == [0.0] and scaled.gain == GAIN == 30.0
    assert torch.equal(plain_next, scaled_next)
    inner = scaled.fn.state_dict()
    assert inner.keys() == plain.state_dict().keys()
    assert all(torch.equal(inner[key], value) for key, value in plain.state_dict().items())
