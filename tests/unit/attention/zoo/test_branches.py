"""Multi-branch, channel+spatial and strip modules against their formulas in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nas_attn.attention import get
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo.caa import CAA
from nas_attn.attention.zoo.ema import EMAttention
from nas_attn.attention.zoo.gam import GAM
from nas_attn.attention.zoo.mlca import MLCA, adaptive_average, averages_of_slices, spread_along
from nas_attn.attention.zoo.shuffle import ShuffleAttention
from nas_attn.attention.zoo.sk import SKAttention
from nas_attn.attention.zoo.strip import StripPooling
from nas_attn.attention.zoo.triplet import TripletAttention
from nas_attn.errors import SlotRefused, UserError

SHAPES = [(2, 16, 6, 9), (1, 32, 11, 4), (3, 16, 1, 1)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def convolve(layer, x):
    """The convolution of a layer, tap by tap, with zero padding."""
    w = layer.weight.detach().numpy()
    (kh, kw), (dh, dw), groups = w.shape[-2:], layer.dilation, layer.groups
    ry, rx = kh // 2 * dh, kw // 2 * dw
    padded = np.pad(x, ((0, 0), (0, 0), (ry, ry), (rx, rx)))
    inputs, outputs = x.shape[1] // groups, w.shape[0] // groups
    out = np.zeros((x.shape[0], w.shape[0], *x.shape[2:]))
    for g in range(groups):
        own = padded[:, g * inputs : (g + 1) * inputs]
        for i in range(kh):
            for j in range(kw):
                tap = own[:, :, i * dh : i * dh + x.shape[2], j * dw : j * dw + x.shape[3]]
                mixed = np.einsum("oc,ncyx->noyx", w[g * outputs : (g + 1) * outputs, :, i, j], tap)
                out[:, g * outputs : (g + 1) * outputs] += mixed
    return out if layer.bias is None else out + layer.bias.detach().numpy()[:, None, None]


def normalise(layer, x):
    """Batch normalisation by the running statistics of a layer."""
    mean, var, w, b = (t.detach().numpy()[:, None, None]
                       for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias))  # fmt: skip
    return (x - mean) / np.sqrt(var + layer.eps) * w + b


def normalise_each(layer, x):
    """The normalisation of every channel of every image by its own mean and variance."""
    centred = x - x.mean((2, 3), keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean((2, 3), keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().numpy()[:, None, None] + layer.bias.detach().numpy()[:, None, None]


def ema(m, x):
    out = np.empty_like(x)
    width = x.shape[1] // m.groups
    for n in range(x.shape[0]):
        for start in range(0, x.shape[1], width):
            g = x[n : n + 1, start : start + width]
            a = sigmoid(convolve(m.conv1x1, g.mean(3, keepdims=True)))
            b = sigmoid(convolve(m.conv1x1, g.mean(2, keepdims=True)))
            y1, y2 = normalise_each(m.gn, g * a * b), convolve(m.conv3x3, g)
            d1, d2 = (softmax(y.mean((2, 3)), 1)[0] for y in (y1, y2))
            gate = np.einsum("c,cyx->yx", d1, y2[0]) + np.einsum("c,cyx->yx", d2, y1[0])
            out[n, start : start + width] = g[0] * sigmoid(gate)
    return out


def triplet(m, x):
    total = 0
    for gate, order in ((m.channels_columns, (0, 2, 1, 3)), (m.rows_channels, (0, 3, 2, 1)),
                        (m.rows_columns, (0, 1, 2, 3))):  # fmt: skip
        turned = x.transpose(order)
        pooled = np.stack([turned.max(1), turned.mean(1)], 1)
        turned = turned * sigmoid(normalise(gate.norm, convolve(gate.conv, pooled)))
        total = total + turned.transpose(order)  # each order is its own inverse
    return total / 3


def shuffle(m, x):
    gated = np.empty_like(x)
    width = x.shape[1] // m.groups
    cw, cb, sw, sb = (p.detach().numpy()[0] for p in (m.cweight, m.cbias, m.sweight, m.sbias))
    for start in range(0, x.shape[1], width):
        middle, end = start + width // 2, start + width
        a, b = x[:, start:middle], x[:, middle:end]
        gated[:, start:middle] = a * sigmoid(cw * a.mean((2, 3), keepdims=True) + cb)
        gated[:, middle:end] = b * sigmoid(sw * normalise_each(m.gn, b) + sb)
    out = np.empty_like(x)
    half = x.shape[1] // 2
    for c in range(half):
        out[:, 2 * c], out[:, 2 * c + 1] = gated[:, c], gated[:, half + c]
    return out


def mlca(m, x):
    side, k = m.local_size, m.conv.kernel_size[0]
    pool = torch.nn.functional.adaptive_avg_pool2d
    images = []
    for image in x:
        cells = pool(torch.from_numpy(image), side).numpy()
        row = np.concatenate([cells[:, i, j] for i in range(side) for j in range(side)])
        local = np.convolve(np.pad(row, k // 2), m.conv_local.weight.detach().numpy()[0, 0, ::-1], "valid")
        share = np.convolve(np.pad(cells.mean((1, 2)), k // 2), m.conv.weight.detach().numpy()[0, 0, ::-1], "valid")
        local = sigmoid(local).reshape(side, side, -1).transpose(2, 0, 1)
        mixed = (1 - m.local_weight) * sigmoid(share)[:, None, None] + m.local_weight * local
        images.append(image * pool(torch.from_numpy(mixed.copy()), x.shape[2:]).numpy())
    return np.stack(images)


def sk(m, x):
    branches = [np.maximum(normalise(b[1], convolve(b[0], x)), 0) for b in m.branches]
    descriptor = np.maximum(convolve(m.reduce, sum(branches).mean((2, 3), keepdims=True)), 0)
    select = m.select.weight.detach().numpy()[:, :, 0, 0].reshape(len(branches), x.shape[1], -1)
    chosen = softmax(np.einsum("mcd,nd->mnc", select, descriptor[:, :, 0, 0]), 0)
    return sum(a[:, :, None, None] * u for a, u in zip(chosen, branches, strict=True))


def gam(m, x):
    w1, _, w2 = m.channel_attention
    conv1, norm1, _, conv2, norm2 = m.spatial_attention
    y = x * sigmoid(convolve(w2, np.maximum(convolve(w1, x), 0)))
    hidden = np.maximum(normalise(norm1, convolve(conv1, y)), 0)
    return y * sigmoid(normalise(norm2, convolve(conv2, hidden)))


def caa(m, x):
    padded = np.pad(x, ((0, 0), (0, 0), (3, 3), (3, 3)))
    h, w = x.shape[2:]
    gate = sum(padded[:, :, i : i + h, j : j + w] for i in range(7) for j in range(7)) / 49
    for layer in (m.conv1, m.h_conv, m.v_conv, m.conv2):
        gate = convolve(layer, gate)
    return x * sigmoid(gate)


def strip(m, x):
    rows = convolve(m.rows, x.mean(3, keepdims=True)).repeat(x.shape[3], 3)
    columns = convolve(m.columns, x.mean(2, keepdims=True)).repeat(x.shape[2], 2)
    return x * sigmoid(convolve(m.mix, rows + columns))


CASES: list[tuple[Any, type, list[dict[str, Any]]]] = [
    (ema, EMAttention, [{"factor": 8}, {"factor": 16}]),
    (triplet, TripletAttention, [{"kernel_size": 3}, {"kernel_size": 7}]),
    (shuffle, ShuffleAttention, [{"groups": 2}, {"groups": 8}]),
    (mlca, MLCA, [{"local_size": 5, "kernel_size": 3}, {"local_size": 3, "local_weight": 0.25, "kernel_size": 5}]),
    (sk, SKAttention, [{"kernel_sizes": (3, 5), "reduction": 4}, {"kernel_sizes": (3, 5, 7), "reduction": 16}]),
    (gam, GAM, [{"rate": 4, "kernel_size": 7}, {"rate": 16, "kernel_size": 3}]),
    (caa, CAA, [{"k_size": 7}, {"k_size": 19}]),
    (strip, StripPooling, [{"kernel_size": 3}, {"kernel_size": 9}]),
]


def build(cls, channels, settings):
    """The module in float64 and eval mode; all parameters and statistics differ from their special initial values."""
    m = cls(**settings) if cls is TripletAttention else cls(channels, **settings)
    m = m.double().eval()
    with torch.no_grad():
        for p in m.parameters():
            p.add_(0.3 * torch.randn_like(p))
        for part in m.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return m


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("formula", "cls", "settings"), [pytest.param(f, c, s, id=f"{f.__name__}-{s}") for f, c, ss in CASES for s in ss]
)
def test_equals_the_formula(formula, cls, settings, shape):
    torch.manual_seed(7)
    m = build(cls, shape[1], settings)
    x = torch.randn(shape, dtype=torch.float64)
    expected = formula(m, x.numpy())
    with torch.no_grad():
        assert np.abs(m(x).numpy() - expected).max() <= 1e-12 * np.abs(expected).max()


PARAMETERS = [
    ("ema", lambda c, factor: 10 * (c // factor) ** 2 + 4 * (c // factor)),
    ("triplet", lambda c, kernel_size: 3 * (2 * kernel_size**2 + 2)),
    ("shuffle", lambda c, groups: 3 * c // groups),
    ("mlca", lambda c, local_size, local_weight, kernel_size: 2 * kernel_size),
    ("sk", lambda c, kernel_sizes, reduction: len(kernel_sizes) * (9 * c * c // (32 if c % 32 == 0 else 16) + 2 * c)
     + (c + 1) * (c // reduction) + len(kernel_sizes) * c * (c // reduction)),
    ("gam", lambda c, rate, kernel_size: 2 * c * (c // rate) + c + c // rate
     + 2 * kernel_size**2 * c * (c // rate) + 3 * (c + c // rate)),
    ("caa", lambda c, k_size: 2 * (c * c + c) + 2 * c * (k_size + 1)),
    ("strip", lambda c, kernel_size: c * c * (2 * kernel_size + 1) + 3 * c),
]  # fmt: skip


@pytest.mark.parametrize("channels", [16, 64, 96, 256])
@pytest.mark.parametrize(("name", "formula"), PARAMETERS, ids=[n for n, _ in PARAMETERS])
def test_parameters(name, formula, channels):
    entry = get(name)
    counted = 0
    for settings in entry.combinations():
        if settings["residual"] == "none" and entry.refusal(channels, 20, 20, settings) is None:
            own = {k: v for k, v in settings.items() if k != "residual"}
            with torch.device("meta"):
                module = build_module(entry, channels, settings)
            assert sum(p.numel() for p in module.parameters()) == formula(channels, **own)
            counted += 1
    assert counted >= 2


def test_published_defaults_and_refusals():
    assert EMAttention(64).groups == 32 and ShuffleAttention(128).groups == 64
    assert [MLCA(c).conv.kernel_size[0] for c in (16, 64, 128, 256, 1024)] == [3, 3, 5, 5, 5]
    for build_it, error in [
        (lambda: EMAttention(24, 16), SlotRefused), (lambda: ShuffleAttention(64), SlotRefused),
        (lambda: GAM(8, 16), SlotRefused), (lambda: SKAttention(8), SlotRefused),
        (lambda: SKAttention(16, (3,)), UserError), (lambda: SKAttention(16, (3, 4)), UserError),
        (lambda: GAM(16, 4, 4), UserError), (lambda: CAA(16, 8), UserError), (lambda: StripPooling(16, 4), UserError),
        (lambda: TripletAttention(64), UserError), (lambda: MLCA(16, 5, 1.0), UserError),
        (lambda: MLCA(16, kernel_size=4), UserError),
    ]:  # fmt: skip
        with pytest.raises(error, match=r"but got|must not exceed"):
            build_it()


def test_ema_first_descriptor_never_sees_the_image():
    """The mean of a normalised channel is the bias of the norm, so softmax(d₁) is a learned constant."""
    torch.manual_seed(8)
    m = build(EMAttention, 32, {"factor": 8})
    for scale in (1, 50):
        normalised = m.gn(scale * torch.randn(6, 4, 9, 7, dtype=torch.float64))
        torch.testing.assert_close(normalised.mean((2, 3)), m.gn.bias.expand(6, 4), rtol=0, atol=1e-13)


@pytest.mark.parametrize("side", [3, 5, 7])
@pytest.mark.parametrize("size", [1, 2, 4, 5, 19, 20, 21, 80])
def test_adaptive_average_equals_adaptive_pooling_both_ways(size, side):
    like = torch.zeros((), dtype=torch.float64)
    for inputs, outputs in ((size, side), (side, size)):
        matrix = adaptive_average(inputs, outputs, like)
        expected = torch.nn.functional.adaptive_avg_pool1d(torch.eye(inputs, dtype=torch.float64), outputs).T
        torch.testing.assert_close(matrix, expected, rtol=0, atol=1e-15)
    unit = torch.eye(size, dtype=torch.float64).reshape(1, size, size, 1)
    pooled, back = averages_of_slices(unit, side, 2)[0, :, :, 0], torch.eye(side, dtype=torch.float64)
    torch.testing.assert_close(pooled.T, adaptive_average(size, side, like), rtol=0, atol=1e-14)
    back = spread_along(back.reshape(1, side, 1, side), side, size, 3)[0, :, 0]
    torch.testing.assert_close(back.T, adaptive_average(side, size, like), rtol=0, atol=1e-14)


def test_mlca_keeps_images_apart():
    """The first published code transposed a (batch, channels) map, so the images of a batch changed each other."""
    torch.manual_seed(9)
    m = build(MLCA, 16, {})
    x = torch.randn(3, 16, 7, 8, dtype=torch.float64)
    other = x.clone()
    other[1] = torch.randn(16, 7, 8, dtype=torch.float64)
    changed = (m(x) != m(other)).flatten(1).any(1)
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["triplet", "sk", "gam"])
def test_one_image_of_one_pixel_trains_on_running_statistics(name):
    torch.manual_seed(10)
    entry = get(name)
    m = build_module(entry, 16, entry.defaults()).train()
    norms = [part for part in m.modules() if isinstance(part, BatchNorm)]
    assert norms and not any(type(part) is torch.nn.BatchNorm2d for part in m.modules())
    x = torch.randn(1, 16, 1, 1)
    seen = m(x)
    if name == "triplet":  # two of its three gates normalise values of several channels, so they have enough values
        assert torch.isfinite(seen).all()
    else:
        assert all(int(n.num_batches_tracked) == 0 for n in norms)
        torch.testing.assert_close(seen, m.eval()(x))


def test_batch_norm_is_the_ordinary_one_elsewhere():
    torch.manual_seed(11)
    own, plain = BatchNorm(4), torch.nn.BatchNorm2d(4)
    for shape in ((2, 4, 1, 1), (1, 4, 3, 1), (3, 4, 5, 2)):
        x = torch.randn(shape)
        assert torch.equal(own(x), plain(x))
    assert all(torch.equal(a, b) for a, b in zip(own.state_dict().values(), plain.state_dict().values(), strict=True))
    with pytest.raises(ValueError, match="more than 1 value"):
        plain(torch.randn(1, 4, 1, 1))


def test_sk_weights_sum_to_one_over_branches():
    torch.manual_seed(12)
    m = build(SKAttention, 16, {"kernel_sizes": (3, 5, 7)})
    with torch.no_grad():
        for branch in m.branches[1:]:
            branch.load_state_dict(m.branches[0].state_dict())
            branch[0].padding = branch[0].dilation = m.branches[0][0].dilation
        x = torch.randn(2, 16, 6, 5, dtype=torch.float64)
        torch.testing.assert_close(m(x), m.branches[0](x), rtol=1e-12, atol=1e-12)  # all branches are equal


@pytest.mark.parametrize(("settings", "span"), [((3, 5), 5), ((5, 9), 9), ((3, 5, 7), 7)])
def test_sk_branches_span_their_kernel_sizes(settings, span):
    m = SKAttention(16, settings)
    spans = [2 * b[0].dilation[0] + 1 for b in m.branches]
    assert spans == list(settings) and max(spans) == span
