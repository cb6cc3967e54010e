"""ACmix against references written from its formula, and known faults of the published code."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nas_attn.attention.zoo.acmix import ACmix, reflect


def randomised(*args, **kwargs):
    torch.manual_seed(1)
    module = ACmix(*args, **kwargs).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def projections(m, x):
    return [F.conv2d(x, c.weight, c.bias) for c in (m.conv1, m.conv2, m.conv3)]


def positions(m, height, width):
    loc = torch.zeros(1, 2, height, width, dtype=torch.float64)
    loc[:, 0] = torch.linspace(-1, 1, width).double()
    loc[:, 1] = torch.linspace(-1, 1, height).double()[:, None]
    return F.conv2d(loc, m.conv_p.weight, m.conv_p.bias)


def by_unfolding(m, x, kernel):
    """The whole module from patches, for stride 1, on maps that `ReflectionPad2d` accepts."""
    b, _, h, w = x.shape
    n, d, t = m.head, m.head_dim, kernel * kernel
    q, k, v = projections(m, x)
    pe = positions(m, h, w)

    def patches(z):
        return F.unfold(F.pad(z, (kernel // 2,) * 4, mode="reflect"), kernel).view(z.shape[0], -1, t, h, w)

    keys = patches(k).view(b, n, d, t, h, w)
    values = patches(v).view(b, n, d, t, h, w)
    relative = pe[:, :, None] - patches(pe)  # (1, d, t, h, w)
    logits = torch.einsum("bndyx,bndtyx->bntyx", q.view(b, n, d, h, w) * d**-0.5, keys + relative[:, None])
    attended = torch.einsum("bntyx,bndtyx->bndyx", logits.softmax(2), values).reshape(b, n * d, h, w)  # head-major

    triple = torch.cat([z.view(b, n, d, h, w) for z in (q, k, v)], 1)
    mixed = torch.einsum("ts,bsdyx->btdyx", m.fc.weight[:, :, 0, 0], triple)
    padded = F.pad(mixed, (1, 1, 1, 1))
    convolved = torch.zeros(b, n * d, h, w, dtype=x.dtype)
    for channel in range(n * d):  # d-major: channel = depth · head + head index
        for tap in range(9):
            for i in range(3):
                for j in range(3):
                    weight = m.dep_conv.weight[channel, tap, i, j]
                    convolved[:, channel] += weight * padded[:, tap, channel // n, i : i + h, j : j + w]
    return m.rate1 * attended + m.rate2 * convolved


def bounce(position, size):
    """The reflected index: a walk of single steps that turns round at the first and the last pixel."""
    if size == 1:
        return 0
    while not 0 <= position < size:
        position = -position if position < 0 else 2 * (size - 1) - position
    return position


def attention_by_pixels(m, x):
    """The attention path, pixel by pixel, for any map, stride, dilation and kernel."""
    b, _, h, w = x.shape
    n, d, s, r = m.head, m.head_dim, m.stride, m.dilation
    q, k, v = projections(m, x)
    pe = positions(m, h, w)[0]
    out = torch.zeros(b, n * d, -(-h // s), -(-w // s), dtype=x.dtype)
    before = r * (m.kernel_att - 1) // 2
    for y in range(out.shape[2]):
        for z in range(out.shape[3]):
            window = [
                (bounce(y * s + i * r - before, h), bounce(z * s + j * r - before, w))
                for i in range(m.kernel_att)
                for j in range(m.kernel_att)
            ]
            for head in range(n):
                c = slice(head * d, head * d + d)
                here = pe[:, y * s, z * s]
                query = q[:, c, y * s, z * s] / d**0.5
                logits = [(query * (k[:, c, i, j] + here - pe[:, i, j])).sum(1) for i, j in window]
                weights = torch.stack(logits, 1).softmax(1)
                out[:, c, y, z] = sum(weights[:, t, None] * v[:, c, i, j] for t, (i, j) in enumerate(window))
    return out


@pytest.mark.parametrize(("head", "kernel", "size"), [(4, 7, (9, 13)), (2, 3, (6, 5)), (1, 5, (8, 4)), (8, 9, (7, 10))])
def test_equals_unfolding(head, kernel, size):
    m = randomised(16, 16, kernel, head)
    x = torch.randn(2, 16, *size, dtype=torch.float64, requires_grad=True)
    ours, reference = m(x), by_unfolding(m, x, kernel)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-12)
    direction = torch.randn_like(ours)
    names, leaves = zip(*m.named_parameters(), strict=True)
    found = torch.autograd.grad((ours * direction).sum(), (x, *leaves))
    expected = torch.autograd.grad((reference * direction).sum(), (x, *leaves))
    for name, a, b in zip(("x", *names), found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((1, 1), {"kernel_att": 7}),
        ((1, 6), {"kernel_att": 7}),
        ((2, 3), {"kernel_att": 9}),
        ((5, 7), {"kernel_att": 3, "stride": 2}),
        ((6, 5), {"kernel_att": 3, "dilation": 2}),
        ((5, 4), {"kernel_att": 4}),
        ((7, 7), {"kernel_att": 5, "stride": 3, "dilation": 2}),
    ],
)
def test_attention_equals_pixels_on_any_map(size, options):
    m = randomised(4, 8, head=2, **options)
    with torch.no_grad():
        m.rate1.fill_(1.0)
        m.rate2.fill_(0.0)
        x = torch.randn(2, 4, *size, dtype=torch.float64)
        torch.testing.assert_close(m(x), attention_by_pixels(m, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel_conv", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (6, 7)])
def test_output_size_is_the_ceiling(kernel_conv, stride, size):
    y = ACmix(8, 16, 3, 4, kernel_conv, stride)(torch.randn(1, 8, *size))
    assert y.shape == (1, 16, -(-size[0] // stride), -(-size[1] // stride))


def test_the_two_paths_order_channels_differently():
    m = randomised(16, 16, head=4)
    with torch.no_grad():
        for conv in (m.conv1, m.conv2):
            conv.weight.zero_(), conv.bias.zero_()
        m.conv3.weight.copy_(torch.eye(16)[:, :, None, None])
        m.conv3.bias.zero_()
        m.dep_conv.weight.zero_()
        m.fc.weight.zero_()
        for head in range(4):  # map t is v of head t, output (d, n) is map n: the identity, d-major
            m.fc.weight[head, 2 * 4 + head] = 1
            m.dep_conv.weight[head::4, head, 1, 1] = 1
        x = torch.randn(1, 16, 1, 1, dtype=torch.float64)
        m.rate1.fill_(1), m.rate2.fill_(0)
        assert torch.allclose(m(x), x)  # head-major
        m.rate1.fill_(0), m.rate2.fill_(1)
        assert torch.allclose(m(x), x.view(1, 4, 4, 1, 1).transpose(1, 2).reshape(1, 16, 1, 1))


def test_dep_conv_has_no_bias_and_starts_as_shifts():
    m = ACmix(16, 16, head=4)
    assert "dep_conv.bias" not in m.state_dict() and "fc.bias" not in m.state_dict()
    assert m.dep_conv.weight.requires_grad
    for tap in range(9):
        expected = torch.zeros(3, 3)
        expected[tap // 3, tap % 3] = 1
        assert torch.equal(m.dep_conv.weight[:, tap], expected.expand(16, 3, 3))
    assert m.rate1.item() == m.rate2.item() == 0.5


def test_position_bias_cancels_but_stays_in_the_graph():
    m = randomised(16, 16)
    x = torch.randn(1, 16, 5, 6, dtype=torch.float64)
    m(x).square().sum().backward()
    assert m.conv_p.bias.grad is not None and m.conv_p.bias.grad.abs().max() < 1e-9
    assert m.conv_p.weight.grad.abs().max() > 1e-6


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (20, 13)])
@pytest.mark.parametrize("pad", [1, 2, 3])
def test_reflection_equals_torch_where_that_is_legal(size, pad):
    x = torch.randn(2, 3, *size)
    assert torch.equal(reflect(reflect(x, 2 * pad, -2), 2 * pad, -1), torch.nn.ReflectionPad2d(pad)(x))


def test_reflection_of_small_maps_is_periodic():
    row = torch.tensor([[0.0, 1.0, 2.0]])
    assert reflect(row, 12, 1).tolist() == [[2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1, 0]]
    assert reflect(row[:, :1], 4, 1).tolist() == [[0] * 5]
    assert reflect(row, 3, 1).tolist() == [[1, 0, 1, 2, 1, 0]]  # an even window has one more pixel after than before
