"""The gating modules against the formulas of their papers, and differences to other implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gate_formulas import FORMULAS, sigmoid

from nas_attn.attention import get
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo._constraints import too_narrow
from nas_attn.errors import SlotRefused

NAMES = ("se", "eca", "cbam", "coord", "ela", "simam", "gc", "cpca")
CASES = [
    pytest.param(name, settings, id="-".join(map(str, (name, *settings.values()))))
    for name in NAMES
    for settings in get(name).combinations()
    if settings["residual"] == "none"
]


def shaken(module):
    """The module with noise added to its parameters and running statistics."""
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(0.3 * torch.rand_like(value))
    return module.double().eval()


@pytest.mark.parametrize("size", [(1, 1), (5, 4)], ids=str)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_equals_the_formula(name, settings, size):
    torch.manual_seed(1)
    channels = 16 if get(name).refusal(16, *size, settings) is None else 32
    module = shaken(build_module(get(name), channels, settings))
    x = torch.randn(2, channels, *size, dtype=torch.float64)
    parameters = {k: v.numpy() for k, v in module.state_dict().items()}
    own = {k: v for k, v in settings.items() if k != "residual"}
    with torch.no_grad():
        y = module(x).numpy()
    if name == "simam" and size == (1, 1):
        expected = x.numpy() * sigmoid(0.5)  # the variance of a single value is 0
    else:
        expected = np.stack([FORMULAS[name](image, parameters, **own) for image in x.numpy()])
    assert np.abs(y - expected).max() <= 1e-12 * np.abs(expected).max()


def expected_parameters(name, c, s):
    if name == "se":
        r = int(c * s["rd_ratio"])
        return 2 * c * r + r + c
    if name == "eca":
        return s["kernel_size"]
    if name == "cbam":
        return 2 * c * (c // s["reduction"]) + 2 * s["kernel_size"] ** 2
    if name == "coord":
        r = c // s["reduction"]
        return 3 * c * r + 3 * r + 2 * c
    if name == "ela":
        return c * s["group_width"] * s["kernel_size"] + 2 * c
    if name == "simam":
        return 0
    if name == "gc":
        r = c // s["ratio"]
        return c + 1 + 2 * c * r + 3 * r + c
    r = c // s["reduction"]
    return c * c + c + 2 * c * r + r + c + 26 * c + 2 * c * (sum(s["kernels"]) + 3)


@pytest.mark.parametrize("channels", [16, 72, 256])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_parameter_formula(name, settings, channels):
    if get(name).refusal(channels, 8, 8, settings) is None:
        module = build_module(get(name), channels, settings)
        assert sum(p.numel() for p in module.parameters()) == expected_parameters(name, channels, settings)
    else:
        assert channels == 16


@pytest.mark.parametrize("channels", [16, 24, 40, 64, 72, 128, 320, 1024])
@pytest.mark.parametrize("name", ["se", "cbam", "coord", "gc", "cpca"])
def test_no_two_reductions_are_one_network(name, channels):
    """Published minimum widths make them one: max(8, C // 32) in coordinate attention, multiples of 8 in timm's SE."""
    shapes = []
    for settings in get(name).combinations():
        if settings["residual"] == "none" and get(name).refusal(channels, 8, 8, settings) is None:
            state = build_module(get(name), channels, settings).state_dict()
            shapes.append(tuple((k, tuple(v.shape)) for k, v in state.items()))
    assert len(set(shapes)) == len(shapes) > 1


def test_refusals():
    assert too_narrow("reduction", 16, 16) is None
    assert too_narrow("ratio", 16, 31, least=2) == "`ratio` must divide the channels into at least 2, but got 16 and 31"
    for name, settings in (
        ("se", {"rd_ratio": 0.03125}),
        ("coord", {"reduction": 32}),
        ("gc", {"ratio": 16}),
        ("cbam", {"reduction": 16}),
        ("cpca", {"reduction": 8}),
        ("ela", {"group_width": 8}),
    ):
        channels = 16 if name in ("se", "coord", "gc") else 7
        assert "must divide" in get(name).refusal(channels, 8, 8, get(name).complete(settings))
        with pytest.raises(SlotRefused, match="must divide"):
            get(name).cls(channels, **settings)


@pytest.mark.needs("timm")
def test_timm_se_is_the_same_where_it_does_not_round():
    from timm import layers

    assert {layers.SEModule(64, rd_ratio=r).fc1.out_channels for r in (0.125, 0.0625, 0.03125)} == {8}
    ours, theirs = get("se").cls(64, 0.0625).eval(), layers.SEModule(64, rd_channels=4).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 64, 5, 4)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)


@pytest.mark.needs("timm")
def test_timm_eca_ignores_its_kernel_size_and_ours_does_not():
    from timm import layers

    assert layers.EcaModule(64, kernel_size=9).conv.kernel_size == (3,)
    assert get("eca").cls(9).conv.kernel_size == (9,)
    for channels in (16, 32, 48, 64, 128, 256, 512, 1024):  # the adaptive size is always one of the options
        theirs = layers.EcaModule(channels)
        ours = get("eca").cls(theirs.conv.kernel_size[0])
        assert theirs.conv.kernel_size[0] == (3 if channels < 128 else 5)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(1, channels, 3, 4)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)


@pytest.mark.needs("timm")
def test_cbam_trains_on_one_pixel_where_timms_batch_norm_cannot():
    from timm.layers import cbam as layers

    x = torch.randn(1, 16, 1, 1)
    with pytest.raises(ValueError, match="more than 1 value"):
        layers.CbamModule(16).train()(x)
    assert torch.isfinite(get("cbam").cls(16).train()(x)).all()


def test_ultralytics_cbam_is_another_module():
    from ultralytics.nn.modules import CBAM as Theirs

    ours = sum(p.numel() for p in get("cbam").cls(64).parameters())
    theirs = sum(p.numel() for p in Theirs(64).parameters())
    assert (ours, theirs) == (2 * 64 * 4 + 98, 64 * 64 + 64 + 98)  # theirs has no bottleneck, and only mean pooling
    x = torch.randn(1, 64, 4, 4)
    raised = x.clone()
    raised[0, 0, 0, 0], raised[0, 0, 0, 1] = 50, x[0, 0, 0, :2].sum() - 50  # changes the maximum, but not the mean
    blind = Theirs(64).channel_attention
    torch.testing.assert_close(blind(x) / x, (blind(raised) / raised), rtol=1e-3, atol=1e-4)
    module = get("cbam").cls(64)
    module.spatial.weight.data.zero_()  # so that only the channel gates act
    assert (module(x) / x - module(raised) / raised).abs().max() > 1e-2


def test_published_coordinate_attention_is_eight_channels_wide():
    assert {max(8, c // 32) for c in (64, 128, 256)} == {8}
    assert get("coord").cls(64).conv1.out_channels == 8
    assert [get("coord").cls(64, r).conv1.out_channels for r in (4, 8, 16, 32)] == [16, 8, 4, 2]
    keys = {k.split(".")[0] for k in get("coord").cls(64).state_dict()}
    assert keys == {"conv1", "bn1", "conv_h", "conv_w"}


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (24, 8), (40, 8), (64, 16), (96, 16), (30, 2), (7, 1)])
def test_ela_groups_divide_and_hold_two_channels(channels, groups):
    module = get("ela").cls(channels)
    assert module.gn.num_groups == groups
    assert torch.isfinite(module.train()(torch.randn(1, channels, 1, 1))).all()


def test_ela_shares_one_convolution_between_both_directions():
    module = shaken(get("ela").cls(16))
    x = torch.randn(1, 16, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(module(x.transpose(2, 3)), module(x).transpose(2, 3), rtol=1e-12, atol=1e-12)


def test_simam_on_one_pixel_and_in_half():
    module = get("simam").cls()
    x = torch.randn(2, 3, 1, 1)
    torch.testing.assert_close(module(x), x * torch.tensor(0.5).sigmoid())
    loud = torch.randn(1, 4, 6, 6) * 2000  # squares far beyond 65504
    torch.testing.assert_close(module(loud.half()).float(), module(loud), rtol=2e-3, atol=1)


def test_simam_traced_on_one_size_holds_on_another():
    module = get("simam").cls()
    traced = torch.jit.trace(module, torch.randn(1, 2, 4, 4))
    for size in ((4, 4), (9, 5), (1, 1)):
        x = torch.randn(2, 2, *size)
        torch.testing.assert_close(traced(x), module(x))


def test_gc_starts_as_the_identity_and_its_mask_bias_changes_nothing():
    module = get("gc").cls(32).double()
    x = torch.randn(1, 32, 4, 5, dtype=torch.float64)
    assert torch.equal(module(x), x)
    torch.testing.assert_close(get("gc").cls(32, fusion="mul").double()(x), x / 2)
    shaken(module)
    before = module(x)
    with torch.no_grad():
        module.conv_mask.bias.add_(3)
    torch.testing.assert_close(module(x), before, rtol=1e-12, atol=1e-12)


def test_gc_over_one_channel_would_forget_its_input():
    assert torch.equal(torch.nn.LayerNorm([1, 1, 1])(torch.randn(3, 1, 1, 1)), torch.zeros(3, 1, 1, 1))
    assert get("gc").refusal(31, 4, 4, get("gc").complete({"ratio": 16})) is not None


def test_cpca_loads_published_weights():
    torch.manual_seed(2)
    module = get("cpca").cls(16)
    names = {
        f"strips.{i}.{j}": n for i, k in enumerate((7, 11, 21)) for j, n in enumerate((f"dconv1_{k}", f"dconv{k}_1"))
    }
    published = {}
    for key, value in module.state_dict().items():
        layer, part = key.rsplit(".", 1)
        published[f"{names.get(layer, layer)}.{part}"] = value
    assert {"conv.weight", "ca.fc1.bias", "dconv5_5.weight", "dconv21_1.bias"} <= set(published)
    other = get("cpca").cls(16)
    other.load_state_dict(published, strict=True)
    x = torch.randn(1, 16, 5, 4)
    assert torch.equal(other(x), module(x))
