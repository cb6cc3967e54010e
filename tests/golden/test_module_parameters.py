"""Parameter counts, state-dict keys and multiply-accumulates against formulas and figures of the published code."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas_attn.attention import get
from nas_attn.attention.forms import reference_form
from nas_attn.attention.residual import build_module
from nas_attn.attention.zoo._large_kernel import K_SIZES, decompose
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.attention.zoo.lska import LSKA

CHANNELS = (64, 128, 256)


def parameters(name: str, channels: int, **settings) -> int:
    module = build_module(get(name), channels, get(name).complete(settings))
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("channels", "count"), [(64, 17_822), (128, 60_110), (256, 218_414)])
def test_acmix_published_counts(channels, count):
    assert parameters("acmix", channels, head=4, kernel_att=7) == count


@pytest.mark.parametrize("head", [1, 2, 4, 8])
@pytest.mark.parametrize("channels", CHANNELS)
def test_acmix_formula(channels, head):
    c, d = channels, channels // head
    expected = 3 * (c * c + c) + 3 * d + 9 * 3 * head + c * 3**4 + 2
    assert {parameters("acmix", c, head=head, kernel_att=k) for k in (3, 5, 7, 9)} == {expected}


def test_acmix_shapes():
    m = ACmix(32, 64, head=8, kernel_conv=3)
    assert {k: tuple(v.shape) for k, v in m.state_dict().items()} == {
        "rate1": (1,),
        "rate2": (1,),
        **{f"conv{i}.weight": (64, 32, 1, 1) for i in (1, 2, 3)},
        **{f"conv{i}.bias": (64,) for i in (1, 2, 3)},
        "conv_p.weight": (8, 2, 1, 1),
        "conv_p.bias": (8,),
        "fc.weight": (9, 24, 1, 1),
        "dep_conv.weight": (64, 9, 3, 3),
    }


@pytest.mark.parametrize(
    ("k_size", "count"), [(7, 5_184), (11, 5_440), (23, 5_952), (35, 6_464), (41, 6_720), (53, 7_232)]
)
def test_lska_published_counts(k_size, count):
    assert parameters("lska", 64, k_size=k_size) == count


@pytest.mark.parametrize("k_size", K_SIZES)
@pytest.mark.parametrize("c", CHANNELS)
def test_large_kernel_formulas(c, k_size):
    k, (k1, k2, _) = k_size, decompose(k_size)
    assert parameters("lka_trivial", c, k_size=k) == c * (k * k + 1) + c * c + c
    assert parameters("lska_trivial", c, k_size=k) == c * (2 * k + 2) + c * c + c
    assert parameters("lka", c, k_size=k) == c * (k1 * k1 + k2 * k2 + 2) + c * c + c
    assert parameters("lska", c, k_size=k) == c * (2 * k1 + 2 * k2 + 4) + c * c + c


def test_three_modules_on_the_outputs_of_yolo11n():
    assert sum(parameters("acmix", c, head=4, kernel_att=7) for c in CHANNELS) == 296_346
    assert sum(parameters("lska", c, k_size=11) for c in CHANNELS) == 95_424


@pytest.mark.parametrize("c", CHANNELS)
@pytest.mark.parametrize("groups", [1, 4, 64])
def test_plain_convolution_formula(c, groups):
    assert parameters("conv", c, groups=groups) == 9 * c * c // groups + c


@pytest.mark.parametrize(("channels", "count"), [(64, 21_248), (128, 79_360), (256, 306_176)])
def test_efficient_attention_published_counts(channels, count):
    assert sum(p.numel() for p in EfficientAttention(channels, 8, [4, 4], [5], 8).parameters()) == count


@pytest.mark.parametrize("split", [(4, 4), (2, 6), (6, 2), (8, 0), (0, 8), (2, 2, 4)], ids=str)
@pytest.mark.parametrize("c", CHANNELS)
def test_efficient_attention_formula(c, split):
    d, total = c // 8, c * c + c
    for heads, k in zip(split[:-1], (3, 5), strict=False):
        g = heads * d
        total += 3 * g * (c + 1) + 3 * g * (k * k + 1) * (g > 0) + 2 * (g * g + g)
    g = split[-1] * d
    total += 3 * g * (c + 1)
    assert parameters("efficient_attention", c, group_split=split) == total


KEYS = {
    "conv": {"conv"},
    "lka": {"conv0", "conv_spatial", "conv1"},
    "lska": {"conv0h", "conv0v", "conv_spatial_h", "conv_spatial_v", "conv1"},
    "lka_trivial": {"conv0", "conv1"},
    "lska_trivial": {"conv0h", "conv0v", "conv1"},
    "efficient_attention": {
        "qkvs.0", "convs.0", "act_blocks.0.act_block.0", "act_blocks.0.act_block.2", "global_q", "global_kv", "proj",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_state_dict_keys(name):
    entry = get(name)
    found = set(build_module(entry, 64, entry.defaults()).state_dict())
    assert found == {f"{layer}.{part}" for layer in KEYS[name] for part in ("weight", "bias")}
    scaled = set(build_module(entry, 64, {**entry.defaults(), "residual": "scaled"}).state_dict())
    assert scaled == {"gamma", *(f"fn.{key}" for key in found)}


def test_qkv_bias_switches_the_projections_only():
    keys = set(EfficientAttention(16, 8, [4, 4], [3], 2, qkv_bias=False).state_dict())
    without = {k.removesuffix(".weight") for k in keys if k.removesuffix("weight") + "bias" not in keys}
    assert {k for k in without if not k.endswith(".bias")} == {"qkvs.0", "global_q", "global_kv", "proj"}


@pytest.mark.parametrize("k_size", K_SIZES)
def test_lska_layers_keep_the_map(k_size):
    for layer in LSKA(4, k_size).modules():
        if isinstance(layer, nn.Conv2d):
            assert layer(torch.zeros(1, 4, 5, 3)).shape == (1, 4, 5, 3)


def convolution_macs(module: nn.Module, x: torch.Tensor) -> int:
    """The multiply-accumulates of every convolution that runs, computed from its output."""
    counts = []

    def count(layer, _inputs, output):
        counts.append(output.numel() * layer.weight[0].numel())

    handles = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with reference_form():
        module(x)
    for handle in handles:
        handle.remove()
    return sum(counts)


@pytest.mark.parametrize("head", [1, 4, 8])
@pytest.mark.parametrize(("c", "size"), [(64, (20, 20)), (128, (7, 9)), (64, (1, 1))])
def test_acmix_runs_the_convolutions_of_the_published_code(c, size, head):
    hw, d = size[0] * size[1], c // head
    m = ACmix(c, c, head=head)
    assert convolution_macs(m, torch.randn(1, c, *size)) == (3 * c * c + 27 * c + 81 * c + 2 * d) * hw
    settings = get("acmix").complete({"head": head})
    assert get("acmix").extra_macs(c, *size, settings) == 98 * c * hw
    assert get("acmix").extra_macs(c, *size, {**settings, "kernel_att": 3, "residual": "scaled"}) == 18 * c * hw
