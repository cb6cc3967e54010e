"""Self-attention modules against independent code of their formulas, in float64."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from plain_attention import (
    as_map,
    assert_same,
    bilinear,
    build,
    expected_softmax,
    image,
    masked_attention,
    places,
    tokens,
    values_by_head,
)
from timm.models.efficientvit_mit import LiteMLA as TimmLiteMLA
from torch import nn

from nas_attn.attention import registry
from nas_attn.attention.forms import reference_form
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo import _heads
from nas_attn.attention.zoo.window import displacements
from nas_attn.errors import SlotRefused, UserError

MAPS = [(1, 1), (2, 3), (5, 8), (9, 7)]
every_map = pytest.mark.parametrize("size", MAPS, ids=str)


pytestmark = pytest.mark.usefixtures("one_seeded_thread")


@every_map
@pytest.mark.parametrize(("heads", "position"), itertools.product((1, 4), ("conv", "none")))
def test_mhsa(size, heads, position):
    module, x = build("mhsa", num_heads=heads, position=position), image(size)
    assert_same(module(x), expected_softmax(module, x, torch.tensor(True), heads, module.pe))


@every_map
@pytest.mark.parametrize(("ratio", "heads"), [(0.25, 2), (0.5, 4), (1.0, 8)])
def test_psa_fast_is_ultralytics(size, ratio, heads):
    module, x = build("psa", attn_ratio=ratio, num_heads=heads), image(size).requires_grad_()
    assert_same(module.fast(x), module.reference(x))
    with reference_form():
        assert torch.equal(module(x), module.block(x))
    gradients = []
    for form in (module.fast, module.reference):
        gradients.append(torch.autograd.grad(form(x).square().sum(), (x, *module.parameters())))
    for fast, reference in zip(*gradients, strict=True):
        assert (fast - reference).abs().max() <= 1e-12 * reference.abs().max().clamp_min(1e-3)


def test_psa_holds_no_logits_for_backward():
    module, x = build_module(registry.get("psa"), 32, {"num_heads": 4}), torch.randn(1, 32, 24, 24, requires_grad=True)
    saved = {}
    for form in (module.fast, module.reference):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            form(x)
        saved[form.__name__] = max(sizes)
    assert saved["reference"] >= 4 * 576**2 > 10 * saved["fast"]


@pytest.mark.parametrize("size", [(2, 2), (4, 5), (8, 3), (6, 6)], ids=str)
@pytest.mark.parametrize("area", [1, 4])
def test_aattn_is_ultralytics_where_the_area_divides(size, area):
    module, x = build("aattn", num_heads=4, area=area), image(size)
    assert_same(module(x), module.attn(x))


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (5, 1), (2, 3), (3, 7), (7, 9)], ids=str)
def test_aattn_where_the_area_does_not_divide(size):
    module, x = build("aattn", num_heads=2, area=4), image(size)
    with pytest.raises(RuntimeError):  # the reason for our own forward
        module.attn(x)
    number = torch.arange(size[0] * size[1])
    run = number // math.ceil(len(number) / 4)
    expected = []
    for qkv in module.attn.qkv(x):
        per_head = tokens(qkv, 2)
        q, k, v = per_head.split(8, -1)
        attended = masked_attention(q, k, v, run[:, None] == run, 8**-0.5)
        expected.append(as_map(attended, size) + module.attn.pe(as_map(v, size)[None])[0])
    assert_same(module(x), module.attn.proj(torch.stack(expected)))


@every_map
@pytest.mark.parametrize(("side", "heads"), [(4, 2), (7, 4), (8, 8)])
def test_window(size, side, heads):
    module, x = build("window", window_size=side, num_heads=heads), image(size)
    rows, columns = places(size)
    allowed = (rows[:, None] // side == rows // side) & (columns[:, None] // side == columns // side)
    bias = torch.zeros(heads, len(rows), len(rows), dtype=torch.float64)
    for i, j in allowed.nonzero().tolist():
        down, across = int(rows[i] - rows[j]), int(columns[i] - columns[j])
        entry = (down + side - 1) * (2 * side - 1) + across + side - 1
        bias[:, i, j] = module.relative_position_bias_table[entry]
    assert_same(module(x), expected_softmax(module, x, allowed, heads, bias=bias))


def test_window_displacements_use_the_whole_table():
    for side in (4, 7, 8):
        index = displacements(side).reshape(side**2, side**2)
        assert index.unique().tolist() == list(range((2 * side - 1) ** 2))
        assert index.diagonal().unique().numel() == 1
        assert torch.equal(index + index.t(), torch.full_like(index, (2 * side - 1) ** 2 - 1))


@pytest.mark.parametrize("size", [*MAPS, (12, 13), (14, 14)], ids=str)
@pytest.mark.parametrize(("heads", "n_win", "topk"), [(4, 4, 1), (8, 4, 4), (4, 7, 4), (8, 7, 8)])
def test_bi_level_routing(size, heads, n_win, topk):
    module, x = build("bi_level_routing", num_heads=heads, n_win=n_win, topk=topk), image(size, batch=1)
    rows, columns = places(size)
    region = rows // math.ceil(size[0] / n_win) * n_win + columns // math.ceil(size[1] / n_win)
    q, k, _ = module.qkv(x)[0].flatten(1).chunk(3)  # (C, H·W) each
    present = region.unique().tolist()
    means = [torch.stack([part[:, region == r].mean(1) for r in present]) for part in (q, k)]
    allowed = torch.zeros(len(rows), len(rows), dtype=torch.bool)
    for own, affinity in zip(present, means[0] @ means[1].t(), strict=True):
        for other in affinity.argsort(descending=True)[:topk].tolist():
            allowed |= (region == own)[:, None] & (region == present[other])
    expected = expected_softmax(module, x, allowed, heads, module.lepe, scale=16**-0.5)
    assert_same(module(x), expected)


def test_bi_level_routing_gradient():
    module, x = build("bi_level_routing", num_heads=4, n_win=4, topk=1), image((5, 7), batch=1)
    assert torch.autograd.gradcheck(module, x.requires_grad_())  # the choice is locally constant


@every_map
@pytest.mark.parametrize(("head_dim", "scales"), [(8, (5,)), (16, (3,)), (8, (3, 5))])
def test_lite_mla_is_attention_with_relu_for_softmax(size, head_dim, scales):
    module, x = build("lite_mla", head_dim=head_dim, scales=scales), image(size)
    maps = [module.qkv(x), *(gather(module.qkv(x)) for gather in module.aggreg)]
    out = []
    for number in range(x.shape[0]):
        parts = []
        for scale, head in itertools.product(maps, range(16 // head_dim)):
            first = 3 * head_dim * head
            q, k, v = scale[number, first : first + 3 * head_dim].flatten(1).chunk(3)
            weights = q.clamp(min=0).t() @ k.clamp(min=0)  # (H·W, H·W), a matrix that the module never computes
            parts.append((weights @ v.t() / (weights.sum(1, keepdim=True) + 1e-5)).t())
        out.append(torch.cat(parts).reshape(-1, *size))
    assert_same(module(x), module.norm(module.proj(torch.stack(out))))


def test_lite_mla_is_timm_s():
    ours = build("lite_mla", 32, head_dim=16, scales=(3, 5)).float()
    theirs = TimmLiteMLA(32, 32, dim=16, scales=(3, 5)).eval()
    names = {"qkv.weight": "qkv.conv.weight", "proj.weight": "proj.conv.weight"}
    state = {names.get(k, k.replace("norm.", "proj.norm.")): v for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    x = image((9, 7), 32).float()
    assert_same(ours(x), theirs(x), 1e-5)


def test_lite_mla_sums_of_large_maps_do_not_overflow_in_half():
    module = build("lite_mla", 16).float()
    x = 30 * torch.randn(1, 16, 80, 80)
    qkv = module.qkv(x)
    assert (F.relu(qkv[:, 8:16]).flatten(2) @ F.relu(qkv[:, 16:24]).flatten(2).mT).max() > 65504  # too large for half
    exact, reduced = module(x.half().float()), module.half()(x.half())
    assert reduced.isfinite().all()
    assert (reduced.float() - exact).square().mean() < 0.01**2 * exact.square().mean()


@every_map
@pytest.mark.parametrize(("heads", "groups", "stride"), [(4, 1, 2), (4, 2, 4), (8, 2, 8)])
def test_dattention(size, heads, groups, stride):
    module, x = build("dattention", num_heads=heads, groups=groups, stride=stride), image(size, batch=1)
    (height, width), width_of_group = size, 16 // groups
    cells = math.ceil(height / stride), math.ceil(width / stride)
    q = module.proj_q(x)
    samples = torch.zeros(1, 16, *cells, dtype=torch.float64)
    for g in range(groups):
        own = slice(g * width_of_group, (g + 1) * width_of_group)
        down, across = module.offset(q[:, own])[0].detach()
        for i, j in itertools.product(range(cells[0]), range(cells[1])):
            # from cells to pixels; pixel centres are at whole numbers
            row = (i + 0.5 + math.tanh(down[i, j])) * height / cells[0] - 0.5
            column = (j + 0.5 + math.tanh(across[i, j])) * width / cells[1] - 0.5
            samples[0, own, i, j] = bilinear(x[0, own], row, column)
    k, v = module.proj_kv(samples)[0].chunk(2)
    attended = masked_attention(
        tokens(q[0], heads), tokens(k, heads), tokens(v, heads), torch.tensor(True), (16 // heads) ** -0.5
    )
    assert_same(module(x), module.proj(as_map(attended, size)[None] + module.pe(q)))


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_dattention_samples_where_it_is_when_nothing_moves(stride):
    module = build("dattention", stride=stride)
    nn.init.zeros_(module.offset.out.weight)
    x = image((2 * stride, 3 * stride))
    middle = [F.interpolate(x, (2, 3), mode="bilinear"), module._sample(x, module.proj_q(x))]
    assert_same(*middle)


@every_map
@pytest.mark.parametrize("order", ["serial", "parallel", "criss_cross"])
def test_axial(size, order):
    heads = 4
    module, x = build("axial", num_heads=heads, order=order), image(size)
    rows, columns = places(size)
    column, row = columns[:, None] == columns, rows[:, None] == rows
    out = []
    for qkv in module.qkv(x):
        q, k, v = (tokens(part, heads) for part in qkv.chunk(3))
        if order == "criss_cross":
            attended = masked_attention(q, k, v, column | row, 0.5)
        else:
            first = masked_attention(q, k, v, column, 0.5)
            second = masked_attention(q, k, first if order == "serial" else v, row, 0.5)
            attended = second if order == "serial" else (first + second) / 2
        out.append(as_map(attended, size) + module.pe(qkv.chunk(3)[2][None])[0])
    assert_same(module(x), module.proj(torch.stack(out)))


def formulas(c: int):
    """(name, settings, parameters) at C channels, from the formulas in the docstrings."""
    for heads, position in itertools.product((1, 8), ("conv", "none")):
        yield "mhsa", {"num_heads": heads, "position": position}, 4 * c**2 + (14 if position == "conv" else 4) * c
    for ratio, heads in itertools.product((0.25, 0.5, 1.0), (2, 8)):
        keys = heads * int(ratio * (c // heads))
        yield "psa", {"attn_ratio": ratio, "num_heads": heads}, 6 * c**2 + 21 * c + 2 * keys * (c + 2)
    for heads, area in itertools.product((2, 8), (1, 4)):
        yield "aattn", {"num_heads": heads, "area": area}, 4 * c**2 + 59 * c
    for side, heads in itertools.product((4, 7, 8), (2, 8)):
        total = 4 * c**2 + 4 * c + heads * (2 * side - 1) ** 2
        yield "window", {"window_size": side, "num_heads": heads}, total
    yield "bi_level_routing", {"n_win": 4, "topk": 8}, 4 * c**2 + 30 * c
    for d, scales in itertools.product((8, 32), ((3,), (7,), (3, 5))):
        gathering = sum(3 * c * s**2 + 3 * c * d for s in scales)
        yield "lite_mla", {"head_dim": d, "scales": scales}, (4 + len(scales)) * c**2 + gathering + 2 * c
    for groups, (stride, kernel) in itertools.product((1, 2), ((2, 5), (4, 7), (8, 9))):
        total = 4 * c**2 + 14 * c + c // groups * (kernel**2 + 5)
        yield "dattention", {"groups": groups, "stride": stride}, total
    for order in ("serial", "parallel", "criss_cross"):
        yield "axial", {"order": order}, 4 * c**2 + 14 * c


@pytest.mark.parametrize("channels", [32, 64, 128])
def test_parameters(channels):
    for name, settings, expected in formulas(channels):
        with torch.device("meta"):
            module = build_module(registry.get(name), channels, registry.get(name).complete(settings))
        assert sum(p.numel() for p in module.parameters()) == expected, (name, settings)


NAMES = ["aattn", "axial", "bi_level_routing", "cafm", "dattention", "irmb", "lite_mla", "mhsa", "psa", "window"]


@pytest.mark.parametrize("name", [*NAMES, "criss_cross", "focal_modulation", "mca", "resblock_cbam", "shsa"])
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (2, 2), (3, 3), (4, 13)], ids=str)
def test_settings_with_one_key_are_one_function(name, size):
    entry, x = registry.get(name), image(size, 16, 1)
    seen: dict = {}
    for settings in entry.combinations():
        if settings["residual"] == "scaled" or entry.refusal(16, 1, 1, settings):
            continue
        module = build(name, **settings)
        shapes = {k: v.shape for k, v in module.state_dict().items()}
        for other_shapes, other in seen.setdefault(entry.effective(settings, *size), []):
            by_head = name in ("aattn", "psa")
            if by_head or other_shapes == shapes:
                module.load_state_dict(values_by_head(other, module) if by_head else other.state_dict())
                assert_same(module(x), other(x))
        seen[entry.effective(settings, *size)].append((shapes, module))
    plain = list(itertools.chain.from_iterable(seen.values()))
    for (shapes, one), (other_shapes, other) in itertools.combinations(plain, 2):  # different keys
        same_key = any(one in [m for _, m in group] and other in [m for _, m in group] for group in seen.values())
        if shapes == other_shapes and not same_key:
            other.load_state_dict(one.state_dict())
            assert not torch.allclose(one(x), other(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_channels_that_do_not_fit_are_refused(name):
    entry = registry.get(name)
    assert "must divide" in (entry.refusal(18, 4, 4, entry.defaults()) or "")
    with pytest.raises(SlotRefused, match="must divide"):
        build_module(entry, 18, entry.defaults())


@pytest.mark.parametrize(("name", "setting"), [("mhsa", "position"), ("axial", "order")])
def test_an_unknown_word_is_refused(name, setting):
    """A row `MHSA` from an article gives the sides of the map; our class takes settings at these positions."""
    with pytest.raises(UserError, match=setting):
        registry.get(name).cls(16, 4, 14)


def test_psa_without_key_channels_is_refused():
    with pytest.raises(SlotRefused, match="heads of at least"):
        build_module(registry.get("psa"), 16, {"attn_ratio": 0.25, "num_heads": 8})


@pytest.mark.parametrize("widths", [(8, 8), (2, 8)])
@pytest.mark.parametrize("biased", [False, True])
def test_both_ways_of_attention_agree(widths, biased, monkeypatch):
    """If only plain products have reproducible gradients, they replace the fused kernel."""
    q, k = (torch.randn(3, 2, 5, widths[0], dtype=torch.float64) for _ in range(2))
    v = torch.randn(3, 2, 5, widths[1], dtype=torch.float64)
    bias = torch.randn(2, 5, 5, dtype=torch.float64) if biased else None
    fused = _heads.attend(q, k, v, bias, scale=0.3)
    monkeypatch.setattr(_heads, "_fused_would_vary", lambda q: True)
    assert_same(_heads.attend(q, k, v, bias, scale=0.3), fused)


def test_logits_that_float16_cannot_hold(monkeypatch):
    """Plain products do not overflow if the fused kernel does not, also under autocast."""
    q, k, v = (torch.randn(2, 5, 8) * scale for scale in (300, 300, 1))
    fused = _heads.attend(*(t.half() for t in (q, k, v)))
    monkeypatch.setattr(_heads, "_fused_would_vary", lambda q: True)
    with torch.autocast("cpu", torch.float16):
        plain = _heads.attend(*(t.half() for t in (q, k, v)))
    assert plain.dtype == torch.half
    torch.testing.assert_close(plain, fused, rtol=0.01, atol=0.01)


def test_hidden_rows_are_no_nan():
    bias = _heads.blocked(torch.zeros(1, 3, dtype=torch.bool), torch.float16)
    out = _heads.attend(*(torch.zeros(1, 3, 4, dtype=torch.float16) for _ in range(3)), bias=bias)
    assert out.isfinite().all()
