"""Published weights load with their published names and shapes, and give the output of the published formula.

Names and shapes come from the repository that an entry names, at the widths in `published_layers`.
"""

from __future__ import annotations

import published_formulas
import pytest
import torch
from published_formulas import batch_norm, conv
from published_layers import PUBLISHED, layer, norm
from torch import nn
from torch.nn import functional

from nas_attn.attention import entries, get
from nas_attn.attention.residual import build_module

every = pytest.mark.parametrize("case", PUBLISHED)


def module_of(case):
    channels, settings, _ = PUBLISHED[case]
    entry = get(case.split()[0])
    return build_module(entry, channels, entry.complete(settings)).double().eval()


def weights_of(case):
    torch.manual_seed(0)
    found = {}
    for name, shape in PUBLISHED[case][2].items():
        if name.endswith(("num_batches_tracked", "_index")):
            found[name] = torch.zeros(shape, dtype=torch.long)
        else:
            found[name] = torch.rand(shape, dtype=torch.float64) * 0.9 + (0.2 if "running_var" in name else -0.4)
    return found


@every
def test_published_weights_load(case):
    weights = weights_of(case)
    kept = dict(weights)
    module = module_of(case)
    whole = nn.Sequential(nn.Identity(), module)
    whole.load_state_dict({f"1.{name}": value for name, value in weights.items()}, strict=True)
    module = module_of(case)
    module.load_state_dict(weights, strict=True)
    assert weights.keys() == kept.keys()  # loading must not change the given dictionary
    assert sum(t.numel() for t in module.state_dict().values()) == sum(
        t.numel() if t.dim() < 5 else t[:, :, 0].numel()  # a 3-D convolution on one slice
        for name, t in weights.items() if name != "relative_position_index"
    )  # fmt: skip
    for name, value in module.state_dict().items():
        assert torch.equal(value, whole.state_dict()[f"1.{name}"])


@every
def test_own_names_load_and_wrong_ones_are_refused(case):
    module, own = module_of(case), module_of(case).state_dict()
    module.load_state_dict(own, strict=True)
    assert all(torch.equal(value, own[name]) for name, value in module.state_dict().items())
    for weights in (own, weights_of(case)):
        name, value = next(iter(weights.items()))
        with pytest.raises(RuntimeError, match="Unexpected key"):
            module.load_state_dict({**weights, f"{name}_": value})
        with pytest.raises(RuntimeError, match="Missing key"):
            module.load_state_dict({n: v for n, v in weights.items() if n != name})
    both = {**own, **weights_of(case)}
    if both.keys() - own.keys() - {"relative_position_index"}:
        with pytest.raises(RuntimeError, match="Unexpected key"):
            module.load_state_dict(both)


def triplet(p, x):
    total = 0
    for gate, order in (("cw", (0, 2, 1, 3)), ("hc", (0, 3, 2, 1)), ("hw", (0, 1, 2, 3))):
        y = x.permute(order)
        pooled = torch.stack([y.amax(1), y.mean(1)], 1)
        scale = batch_norm(p, f"{gate}.conv.bn", conv(p, f"{gate}.conv.conv", pooled)).sigmoid()
        total = total + (y * scale).permute(order)
    return total / 3


def lsk(p, x):
    near = conv(p, "conv0", x, groups=16)
    far = conv(p, "conv_spatial", near, groups=16, dilation=3)
    near, far = conv(p, "conv1", near), conv(p, "conv2", far)
    both = torch.cat([near, far], 1)
    mask = conv(p, "conv_squeeze", torch.stack([both.mean(1), both.amax(1)], 1)).sigmoid()
    return x * conv(p, "conv", near * mask[:, :1] + far * mask[:, 1:])


def caa(p, x):
    y = conv(p, "conv1.conv", functional.avg_pool2d(x, 7, 1, 3))
    y = conv(p, "v_conv.conv", conv(p, "h_conv.conv", y, groups=16), groups=16)
    return x * conv(p, "conv2.conv", y).sigmoid()


def lite_mla(p, x):
    qkv, out = conv(p, "qkv.conv", x), []
    gathered = conv(p, "aggreg.0.1", conv(p, "aggreg.0.0", qkv, groups=48), groups=6)
    for source in (qkv, gathered):
        for head in source.flatten(2).split(24, 1):
            q, k, v = head.split(8, 1)
            weights = torch.einsum("bdi,bdj->bij", q.relu(), k.relu())
            weights = weights / (weights.sum(2, keepdim=True) + 1e-15)
            out.append(torch.einsum("bij,bdj->bdi", weights, v).unflatten(2, x.shape[2:]))
    return batch_norm(p, "proj.norm", conv(p, "proj.conv", torch.cat(out, 1)))


def window(p, x):
    out = torch.empty_like(x)
    places = [(i, j) for i in range(4) for j in range(4)]
    rows = torch.tensor([[(a - c + 3) * 7 + b - d + 3 for c, d in places] for a, b in places])
    for top in range(0, x.shape[2], 4):
        for left in range(0, x.shape[3], 4):
            tokens = x[:, :, top : top + 4, left : left + 4].flatten(2).transpose(1, 2)
            q, k, v = functional.linear(tokens, p["qkv.weight"], p["qkv.bias"]).chunk(3, 2)
            heads = []
            for head in range(2):
                part = slice(8 * head, 8 * head + 8)
                logits = q[..., part] @ k[..., part].transpose(1, 2) / 8**0.5
                heads.append((logits + p["relative_position_bias_table"][rows, head]).softmax(-1) @ v[..., part])
            tokens = functional.linear(torch.cat(heads, -1), p["proj.weight"], p["proj.bias"])
            out[:, :, top : top + 4, left : left + 4] = tokens.transpose(1, 2).unflatten(2, (4, 4))
    return out


def bi_level_routing(p, x, qkv="qkv.qkv", last="wo"):
    q, k, v = conv(p, qkv, x).chunk(3, 1)
    height, width = x.shape[2] // 4, x.shape[3] // 4

    def regions(t):  # (N, 16, pixels, C)
        t = t.unflatten(3, (4, width)).unflatten(2, (4, height))
        return t.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)

    q, k, values = (regions(t) for t in (q, k, v))
    out = torch.empty_like(x)
    for image in range(x.shape[0]):
        affinity = q[image].mean(1) @ k[image].mean(1).T
        for region in range(16):
            chosen = affinity[region].topk(4).indices
            keys, found = k[image, chosen].flatten(0, 1), []
            for head in range(4):
                part = slice(4 * head, 4 * head + 4)
                weights = (q[image, region][:, part] @ keys[:, part].T / 16**0.5).softmax(-1)
                found.append(weights @ values[image, chosen].flatten(0, 1)[:, part])
            y, z = region // 4 * height, region % 4 * width
            out[image, :, y : y + height, z : z + width] = torch.cat(found, 1).T.unflatten(1, (height, width))
    return conv(p, last, out + conv(p, "lepe", v, groups=16))


def of_ultralytics(make):
    def formula(p, x):
        block = make().double().eval()
        block.load_state_dict(p, strict=True)
        return block(x)

    return formula


def aattn():
    from ultralytics.nn.modules.block import AAttn

    return AAttn(16, 2, 4)


def psa():
    from ultralytics.nn.modules.block import PSABlock

    return PSABlock(16, 0.5, 2)


FORMULAS = {
    "triplet": triplet,
    "lsk": lsk,
    "caa": caa,
    "lite_mla": lite_mla,
    "window": window,
    "bi_level_routing": bi_level_routing,
    "bi_level_routing (NCHW)": lambda p, x: bi_level_routing(p, x, "qkv_linear", "output_linear"),
    "aattn": of_ultralytics(aattn),
    "psa": of_ultralytics(psa),
    **published_formulas.FORMULAS,
}


@pytest.mark.parametrize("case", FORMULAS)
def test_loaded_weights_compute_the_published_formula(case):
    module, weights = module_of(case), weights_of(case)
    module.load_state_dict(weights)
    channels, settings, _ = PUBLISHED[case]
    x = torch.randn(2, channels, 8, 12, dtype=torch.float64)
    own = settings if case in published_formulas.FORMULAS else {}
    with torch.no_grad():
        expected, found = FORMULAS[case](weights, x, **own), module(x)
    # ε of the linear attention is 1e-5 here, but 1e-15 in the published code
    tolerance = 1e-4 if case == "lite_mla" else 1e-10
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


def test_what_an_entry_says_of_published_weights_is_tested():
    said = {e.name for e in entries() if e.weights.startswith("load as in ")}
    assert said == {case.split()[0] for case in PUBLISHED}
    refused = {e.name for e in entries() if e.weights and e.name not in said}
    assert refused == set(NOT_FITTING) and all(get(name).weights.startswith("do not fit: ") for name in refused)


NOT_FITTING = {
    "cbam": {
        **layer("ChannelGate.mlp.1", 1, 16), **layer("ChannelGate.mlp.3", 16, 1),
        "SpatialGate.spatial.conv.weight": (1, 2, 7, 7), **norm("SpatialGate.spatial.bn", 1),
    },
    "strip": {
        **layer("conv1", 16, 16, 3, 1, bias=False), **norm("bn1", 16),
        **layer("conv2", 16, 16, 1, 3, bias=False), **norm("bn2", 16), **layer("conv3", 16, 16, 1, 1),
    },
    "dattention": {
        **layer("conv_offset.0", 16, 1, 7, 7), **norm("conv_offset.1.norm", 16, statistics=False),
        **layer("conv_offset.3", 2, 16, 1, 1, bias=False), **layer("rpe_table", 16, 1, 3, 3),
        **layer("proj_q", 16, 16, 1, 1), **layer("proj_k", 16, 16, 1, 1), **layer("proj_v", 16, 16, 1, 1),
        **layer("proj_out", 16, 16, 1, 1),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FITTING)
def test_weights_that_would_compute_something_else_are_refused(name):
    state = {n: torch.zeros(s) for n, s in NOT_FITTING[name].items()}
    with pytest.raises(RuntimeError, match="Unexpected key"):
        build_module(get(name), 16, get(name).defaults()).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "licence", "address"),
    [
        ("bi_level_routing", "MIT", "rayleizhu/BiFormer"),
        ("caa", "Apache-2.0", "NUST-Machine-Intelligence-Laboratory/PKINet"),
        ("cpca", "Apache-2.0", "Cuthbert-Huang/CPCANet"),
        ("dattention", "Apache-2.0", "LeapLabTHU/DAT"),
        ("mlca", "GPL-3.0", "wandahangFY/MLCA"),
        ("strip", "MIT", "houqb/SPNet"),
    ],
)
def test_licences_of_published_code(name, licence, address):
    assert licence in get(name).licence and f"github.com/{address}" in get(name).licence
