"""Modules of community YAMLs against their published formulas, with every setting, on maps of every kind."""

from __future__ import annotations

import pytest
import torch
from plain_attention import assert_same, build, image
from published_formulas import FORMULAS

from nas_attn.attention import get
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo.axial import AxialAttention
from nas_attn.attention.zoo.cafm import CAFM
from nas_attn.attention.zoo.criss_cross import CrissCrossAttention
from nas_attn.attention.zoo.irmb import IRMB
from nas_attn.attention.zoo.mca import usual_size
from nas_attn.attention.zoo.nam import NAMAttention
from nas_attn.attention.zoo.resblock_cbam import MeanCBAM
from nas_attn.errors import SlotRefused, UserError

pytestmark = pytest.mark.usefixtures("one_seeded_thread")

CASES = [
    pytest.param(name, {k: v for k, v in settings.items() if k != "residual"}, id=f"{name}-{list(settings.values())}")
    for name in FORMULAS
    for settings in get(name).combinations()
    if settings["residual"] == "none"
]


def published(module):
    """The state of a module under its published names."""
    pairs = getattr(module, "published", ())
    return {
        next((theirs + name[len(ours) :] for theirs, ours in pairs if name.startswith(ours)), name): value
        for name, value in module.state_dict().items()
    }


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 9), (11, 8)], ids=str)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_equals_the_published_formula(name, settings, size):
    channels = 16 if get(name).refusal(16, *size, settings) is None else 64
    module, x = build(name, channels, **settings), image(size, channels)
    with torch.no_grad():
        found, expected = module(x), FORMULAS[name](published(module), x, **settings)
    assert_same(found, expected, 1e-11)
    assert (found - x).abs().max() > 1e-3


PARAMETERS = {
    "nam": lambda c: 2 * c,
    "mca": lambda c, no_spatial, k_size: 10 if no_spatial else 12 + k_size,
    "shsa": lambda c, qk_dim, partial_ratio: (p := int(c * partial_ratio)) * (2 * qk_dim + p) + 2 * p
    + 2 * (2 * qk_dim + p) + c * c + 2 * c,
    "focal_modulation": lambda c, focal_window, focal_level: (c + 1) * (2 * c + focal_level + 1)
    + sum((focal_window + 2 * i) ** 2 for i in range(focal_level)) * c + 2 * (c * c + c),
    "criss_cross": lambda c, reduction, recurrence: 2 * (c + 1) * (c // reduction) + c * c + c + 1,
    "irmb": lambda c, dim_head, window_size, exp_ratio: 2 * c * c + 2 * c * (m := c * exp_ratio) + 9 * m
    + 2 * c + 2 * m,
    "cafm": lambda c, num_heads, local_order: 4 * c * c + 27 * c + num_heads + 27 * num_heads + 9 + 81 * c + c,
    "resblock_cbam": lambda c, expansion, kernel_size, gates: 2 * c * (p := c // expansion) + 9 * p * p + 4 * p + 2 * c
    + 2 * kernel_size**2 + (c * c + c if gates == "mean" else 2 * c * (c // 16)),
}  # fmt: skip


@pytest.mark.parametrize("channels", [16, 64, 192])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_parameters(name, settings, channels):
    if get(name).refusal(channels, 8, 8, settings) is None:
        with torch.device("meta"):
            module = build_module(get(name), channels, settings)
        assert sum(p.numel() for p in module.parameters()) == PARAMETERS[name](channels, **settings)
    else:
        assert channels == 16


def test_the_weights_of_nam_are_constants_for_the_gradient():
    """The published code reads γ as data, so a gradient reaches γ only through the batch norm."""
    module, x = build("nam"), image((4, 5))
    scales = module.norm.weight.detach().abs()
    expected = (x * (module.norm(x) * (scales / scales.sum())[:, None, None]).sigmoid()).sum()
    (wanted,) = torch.autograd.grad(expected, module.norm.weight)
    (found,) = torch.autograd.grad(module(x).sum(), module.norm.weight)
    torch.testing.assert_close(found, wanted)


def test_nam_without_any_scale_halves_its_map():
    module = NAMAttention(8)
    torch.nn.init.zeros_(module.norm.weight)
    x = torch.randn(2, 8, 3, 4)
    torch.testing.assert_close(module.eval()(x), x / 2)


def test_the_kernel_of_mca_follows_the_channels():
    sizes = {32: 3, 64: 3, 128: 3, 256: 5, 512: 5, 1024: 5}
    assert {c: usual_size(c) for c in sizes} == sizes
    assert [get("mca").cls(c).c_hw.conv.kernel_size for c in (64, 256)] == [(1, 3), (1, 5)]


@pytest.mark.parametrize("size", [(1, 1), (4, 5)], ids=str)
def test_the_deviation_of_a_flat_map_has_a_finite_gradient(size):
    module = get("mca").cls(16)
    x = torch.ones(1, 16, *size, requires_grad=True)
    module(x).sum().backward()
    assert all(t.grad.isfinite().all() for t in (x, *module.parameters()))


def test_windows_of_irmb_span_the_map():
    """A window holds every n-th pixel: a changed pixel reaches distant ones, but not its neighbours."""
    module = IRMB(16, dim_head=16, window_size=4).double().eval()
    x = image((12, 12), batch=1)
    with torch.no_grad():
        module.conv_local.weight.zero_()  # only the attention mixes pixels
        other = x.clone()
        other[0, :, 1, 2] += 1
        changed = (module(other) - module(x)).abs().amax(1)[0] > 1e-9
    expected = [[i % 3 == 1 and j % 3 == 2 for j in range(12)] for i in range(12)]
    assert changed.tolist() == expected


def test_positions_beyond_the_map_take_no_part_in_irmb():
    """The published code fills windows with zeros, which get a share of the attention."""
    module = IRMB(16, dim_head=16, window_size=4).double().eval()
    flat = torch.ones(1, 16, 5, 7, dtype=torch.float64)
    with torch.no_grad():
        module.conv_local.weight.zero_()
        y = module(flat)
    torch.testing.assert_close(y, y[:, :, :1, :1].expand_as(y))


@pytest.mark.parametrize(("order", "local"), [("published", False), ("pixels", True)])
def test_the_published_order_of_cafm_mixes_distant_pixels(order, local):
    module = CAFM(16, 4, order).double().eval()
    x = image((9, 9), batch=1)
    other = x.clone()
    other[0, :, 4, 4] += 1
    with torch.no_grad():
        qkv, changed = (module.qkv_dwconv(module.qkv(t)) for t in (x, other))
        reached = (module._local(changed) - module._local(qkv)).abs().amax(1)[0] > 1e-9
    far = reached.clone()
    far[2:7, 2:7] = False  # 3×3, then 3×3
    assert reached.any() and far.any() != local


def test_criss_cross_starts_as_the_identity_and_reaches_every_pixel_in_two_steps():
    x = image((5, 6), batch=1)
    assert torch.equal(CrissCrossAttention(16).double()(x), x)
    reached = {}
    for recurrence in (1, 2):
        module = CrissCrossAttention(16, 8, recurrence).double()
        torch.nn.init.ones_(module.gamma)
        other = x.clone()
        other[0, :, 0, 0] += 1
        with torch.no_grad():
            reached[recurrence] = int(((module(other) - module(x)).abs().amax(1) > 1e-12).sum())
    assert reached == {1: 5 + 6 - 1, 2: 30}


def test_criss_cross_is_the_order_of_axial_without_a_scale():
    axial, own = AxialAttention(16, 1, "criss_cross").double(), build("criss_cross", reduction=4)
    own.query_conv, own.key_conv = (torch.nn.Conv2d(16, 16, 1).double() for _ in range(2))
    for name, gain in (("query_conv", 0.25), ("key_conv", 1), ("value_conv", 1)):  # 0.25 is the scale 1 / √16
        at = ("query_conv", "key_conv", "value_conv").index(name)
        for part in ("weight", "bias"):
            getattr(getattr(own, name), part).data = gain * getattr(axial.qkv, part).data.chunk(3)[at]
    axial.pe.weight.data.zero_()
    axial.pe.bias.data.zero_()
    axial.proj.weight.data = torch.eye(16, dtype=torch.float64)[:, :, None, None]
    axial.proj.bias.data.zero_()
    own.gamma.data.fill_(1)
    x = image((4, 7))
    assert_same(own(x) - x, axial(x))


def test_mean_cbam_is_ultralytics():
    from ultralytics.nn.modules import CBAM

    theirs, own, x = CBAM(16, 7).eval(), MeanCBAM(16, 7), torch.randn(2, 16, 6, 5)
    own.fc.load_state_dict(theirs.channel_attention.fc.state_dict())
    own.spatial.load_state_dict(theirs.spatial_attention.cv1.state_dict())
    torch.testing.assert_close(own(x), theirs(x))


@pytest.mark.parametrize(
    ("build_it", "error", "message"),
    [
        (lambda: get("mca").cls(16, 2), UserError, "no_spatial"),
        (lambda: get("mca").cls(16, 0, 4), UserError, "must be odd"),
        (lambda: get("shsa").cls(3), SlotRefused, "must divide"),
        (lambda: get("focal_modulation").cls(16, 4), UserError, "must be odd"),
        (lambda: get("focal_modulation").cls(16, 3, 2, 1), UserError, "must be odd"),
        (lambda: get("criss_cross").cls(7), SlotRefused, "must divide"),
        (lambda: get("irmb").cls(32), SlotRefused, "must divide"),
        (lambda: get("irmb").cls(64, dw_ks=2), UserError, "must be odd"),
        (lambda: get("cafm").cls(18), SlotRefused, "must divide"),
        (lambda: get("cafm").cls(16, 4, "map"), UserError, "local_order"),
        (lambda: get("resblock_cbam").cls(16, gates="max"), UserError, "gates"),
        (lambda: get("resblock_cbam").cls(8, gates="paper"), SlotRefused, "must divide"),
    ],
)
def test_wrong_arguments_are_refused(build_it, error, message):
    with pytest.raises(error, match=message):
        build_it()
