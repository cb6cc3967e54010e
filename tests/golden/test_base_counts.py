"""Counts that anybody can check: base models at 80 classes and 640 pixels, and modules from their formulas."""

from __future__ import annotations

import pytest
import torch

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.cost.counter import count, gene_cost, torch_flops
from nas_attn.detector.model.base_model import load_base
from nas_attn.space import Gene

# Parameters: `sum(p.numel())` of the stock `DetectionModel(name + ".yaml")`, as Ultralytics prints it before fusing.
# MACs: `FlopCountAnalysis(model.eval(), zeros(1, 3, 640, 640)).total()` with unchanged fvcore; batch norm in eval mode
# counts 2 per element, and nearest upsampling 1. Half of Ultralytics' published GFLOPs (2 per MAC, fused) is slightly
# lower, because fusing removes the batch norms: yolo11n 6.5 / 2 = 3.27, yolov8n 8.7 / 2 = 4.37. yolo26n and yolov10n
# run both branches of their heads until they are fused; only the branch that gives the detections is counted.
# Fused FLOPs: 2 x the MACs of convolutions and matrix products of `model.fuse()`.
BASES = {
    "yolov5n": (2_654_816, 3_891_558_400, 7_724_902_400),
    "yolov8n": (3_157_200, 4_400_998_400, 8_743_987_200),
    "yolo11n": (2_624_080, 3_305_184_000, 6_542_502_400),
    "yolo12n": (2_602_288, 3_777_504_000, 7_470_963_200),
    "yolo26n": (2_572_280, 2_774_982_400, 5_480_307_200),
}
BOTH_BRANCHES = {"yolo26n": 306_476_800}  # multiply-accumulates of the branch that only training needs
MAPS = ((64, 80), (128, 40), (256, 20))  # channels and side at P3, P4, P5 of these models


@pytest.mark.parametrize("name", BASES)
def test_base(name, known_base):
    from ultralytics.utils.torch_utils import get_flops

    base, _ = known_base(name)
    model = base.build()
    cost = count(model, 640, 640)
    assert (cost.params, cost.macs, cost.flops_torch) == BASES[name]
    assert cost.macs_fvcore_default == cost.macs  # no base calls scaled_dot_product_attention
    assert model.training and not model.is_fused()
    assert cost.gflops_torch == pytest.approx(get_flops(model.eval().fuse(verbose=False)), rel=1e-12)


@pytest.mark.parametrize("name", BASES)
def test_a_base_counted_as_release_0_1_0_did(name, known_base):
    """A study that release 0.1.0 began keeps its counting rules."""
    model = known_base(name)[0].build()
    params, macs, flops = BASES[name]
    found = count(model, 640, 640, counting=1)
    assert (found.params, found.macs, found.flops_torch) == (params, macs + BOTH_BRANCHES.get(name, 0), flops)


@pytest.mark.parametrize("name", ["yolo26n", "yolo26n-seg", "yolo26n-pose", "yolo26n-obb", "yolov10n", "yoloe-26n"])
def test_of_an_end_to_end_head_the_branch_that_detects_is_counted(name):
    """The count is that of an unfused model without the other branch; the counted model keeps both branches."""
    model = load_base(f"{name}.yaml").build().eval()
    found = count(model, 192, 192)
    both = count(model, 192, 192, counting=1)
    heads = model.model[-1]
    assert heads.cv2 is not None and heads.one2one_cv2 is not None
    heads.fuse()
    assert heads.one2one_cv2 is None
    alone = count(model, 192, 192, counting=1)
    assert (found.macs, found.flops_torch, found.params) == (alone.macs, alone.flops_torch, both.params)
    assert found.macs < both.macs and alone.params < both.params


@pytest.mark.parametrize(("channels", "side"), MAPS)
@pytest.mark.parametrize("sizes", [(3, 5), (3, 5, 7)])
@pytest.mark.parametrize("reduction", [4, 16])
def test_sk(channels, side, sizes, reduction):
    """M grouped 3x3 convolutions with batch norms, two layers on the mean, and Σ wᵢ · uᵢ, which the module declares."""
    pixels, m, d = side * side, len(sizes), channels // reduction
    counted = m * (9 * channels**2 // 32 + 2 * channels) * pixels + channels * d + m * channels * d
    gene = Gene.of("sk", {"kernel_sizes": sizes, "reduction": reduction})
    cost = gene_cost(gene, channels, side, side)
    assert cost.macs_fvcore_default == counted
    assert cost.macs == counted + m * channels * pixels
    assert gene_cost(gene, channels, side, side, counting=1).macs == counted


@pytest.mark.parametrize(("channels", "side"), MAPS)
@pytest.mark.parametrize(("k", "links"), [(11, 2), (23, 2), (29, 3)])
def test_lsk_adds_the_weighted_sum_of_its_maps(channels, side, k, links):
    gene = Gene.of("lsk", {"k_size": k, "reduction": 2})
    cost, before = (gene_cost(gene, channels, side, side, counting=n) for n in (2, 1))
    assert cost.macs - before.macs == links * (channels // 2) * side * side
    assert before.macs == before.macs_fvcore_default == cost.macs_fvcore_default


@pytest.mark.parametrize(("channels", "side"), MAPS)
@pytest.mark.parametrize("head", [1, 4])
@pytest.mark.parametrize("k", [3, 7])
def test_acmix(channels, side, head, k):
    """Three 1x1 convolutions, fc from 3·head to 9 maps, the grouped 3x3 convolution; q·k and att·v are declared."""
    pixels, d = side * side, channels // head
    counted = (3 * channels**2 + 27 * channels + 81 * channels + 2 * d) * pixels
    cost = gene_cost(Gene.of("acmix", {"head": head, "kernel_att": k}), channels, side, side)
    assert cost.macs_fvcore_default == counted
    assert cost.macs == counted + 2 * k * k * channels * pixels
    assert cost.params == 3 * (channels**2 + channels) + 3 * d + 9 * 3 * head + 81 * channels + 2


@pytest.mark.parametrize(("channels", "side"), MAPS)
@pytest.mark.parametrize(
    ("k", "first", "second"), [(7, 3, 3), (11, 3, 5), (23, 5, 7), (35, 5, 11), (41, 5, 13), (53, 5, 17)]
)
def test_lska(channels, side, k, first, second):
    """Four one-dimensional depthwise convolutions and a 1x1 convolution."""
    cost = gene_cost(Gene.of("lska", {"k_size": k}), channels, side, side)
    assert cost.macs == cost.macs_fvcore_default == (2 * (first + second) * channels + channels**2) * side * side
    assert cost.params == channels * (2 * first + 2 * second + 4) + channels**2 + channels


@pytest.mark.parametrize(
    ("channels", "side", "window", "published"),
    [(64, 80, 8, 148_480_000), (128, 40, 4, 121_548_800), (256, 20, 2, 112_384_000)],
)
def test_efficient_attention(channels, side, window, published):
    """Half of the heads are local with a 3x3 kernel, half are global over 100 pooled tokens."""
    pixels, g, tokens, k = side * side, channels // 2, (side // window) ** 2, 3
    local = 3 * channels * g + 3 * g * k * k + 2 * g * g
    overall = channels * g * pixels + 2 * channels * (channels - g) * tokens + 2 * (channels - g) * pixels * tokens
    cost = gene_cost(
        Gene.of("efficient_attention", {"group_split": (4, 4), "window_size": window}), channels, side, side
    )
    assert cost.macs == (local + channels**2) * pixels + overall
    assert cost.macs + 3 * g * (25 - 9) * pixels == published  # counted on the published code with a 5x5 kernel


MODULES = [entry.name for entry in registry.entries() if not entry.is_none]


@pytest.mark.parametrize("name", MODULES)
def test_flops_of_a_module_are_torchs_own(name):
    module = build_module(registry.get(name), 64, registry.get(name).defaults()).eval()
    assert count(module, 20, 24, 64).flops_torch == torch_flops(module, torch.zeros(1, 64, 20, 24))


class Product(torch.nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return x * 1 + self.first @ self.second


@pytest.mark.parametrize(
    ("first", "second", "macs", "by_fvcore"),
    [
        ((4, 5), (2, 3, 5, 7), 2 * 3 * 4 * 5 * 7, 4 * 5 * 7),
        ((2, 3, 4, 5), (5, 7), 2 * 3 * 4 * 5 * 7, 2 * 3 * 4 * 5 * 7),
        ((2, 1, 4, 5), (3, 5, 7), 2 * 3 * 4 * 5 * 7, 2 * 4 * 5 * 7),
        ((4, 5), (5,), 4 * 5, 0),
    ],
)
def test_broadcast_products_count_in_full(first, second, macs, by_fvcore):
    """fvcore counts the elements of the first factor × the last axis of the second, and ignores broadcasting."""
    module = Product(torch.ones(first), torch.ones(second))
    cost = count(module, 1, 1, 1)
    assert (cost.macs, cost.macs_fvcore_default, cost.flops_torch) == (macs, by_fvcore, 2 * macs)


@pytest.mark.parametrize("name", MODULES)
def test_a_residual_adds_one_scalar(name):
    plain = gene_cost(Gene.of(name, registry.get(name).defaults()), 64, 20, 20)
    scaled = gene_cost(Gene.of(name, {**registry.get(name).defaults(), "residual": "scaled"}), 64, 20, 20)
    assert (scaled.macs, scaled.macs_fvcore_default, scaled.flops_torch) == plain.as_tuple()[:3]
    assert scaled.params == plain.params + 1
