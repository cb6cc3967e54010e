"""Published networks, rebuilt with modules of the zoo: parameters and multiply-accumulates at 224×224.

Figures are for 1000 classes and come from the published code, or from papers and model cards if a test says so. The
tables of LSKA's paper were not available; for its grid, figures follow from the definitions of its variants.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from networks.acmix_resnet import DEPTHS, WIDTHS, ACmixResNet
from networks.cloformer import SIZES as CLOFORMER
from networks.cloformer import CloFormer
from networks.counting import measure, parameters
from networks.van import SIZES as VAN_SIZES
from networks.van import VAN

from nas_attn.attention import get
from nas_attn.attention.zoo.lka import LKA
from nas_attn.attention.zoo.lka_trivial import LKATrivial
from nas_attn.attention.zoo.lska import LSKA
from nas_attn.attention.zoo.lska_trivial import LSKATrivial
from nas_attn.cost.counter import count

GIGA = 1e9
K_SIZES = (7, 11, 23, 35, 53)
PAPER_NAMES = {"T": "B0", "S": "B1", "B": "B2"}  # LSKA's paper uses letters for VAN's sizes

# size, gate -> (parameters, multiply-accumulates of layers in units of 1e9) for each of K_SIZES
GRID = {
    ("T", LKATrivial): (
        (4_064_200, "0.848"), (4_179_400, "0.894"), (4_832_200, "1.152"), (5_945_800, "1.593"), (8_480_200, "2.597")),
    ("T", LSKATrivial): (
        (4_009_800, "0.826"), (4_022_600, "0.831"), (4_061_000, "0.846"), (4_099_400, "0.862"), (4_157_000, "0.884")),
    ("T", LKA): (
        (4_016_200, "0.829"), (4_041_800, "0.839"), (4_105_800, "0.864"), (4_221_000, "0.910"), (4_489_800, "1.016")),
    ("T", LSKA): (
        (4_009_800, "0.825"), (4_016_200, "0.827"), (4_029_000, "0.833"), (4_041_800, "0.838"), (4_061_000, "0.845")),
    ("S", LKATrivial): (
        (13_791_912, "2.473"), (13_985_448, "2.538"), (15_082_152, "2.906"), (16_953_000, "3.535"),
        (21_210_792, "4.965")),
    ("S", LSKATrivial): (
        (13_700_520, "2.441"), (13_722_024, "2.448"), (13_786_536, "2.470"), (13_851_048, "2.492"),
        (13_947_816, "2.524")),
    ("S", LKA): (
        (13_711_272, "2.445"), (13_754_280, "2.459"), (13_861_800, "2.495"), (14_055_336, "2.560"),
        (14_506_920, "2.712")),
    ("S", LSKA): (
        (13_700_520, "2.439"), (13_711_272, "2.443"), (13_732_776, "2.450"), (13_754_280, "2.457"),
        (13_786_536, "2.468")),
    ("B", LKATrivial): (
        (26_423_720, "4.949"), (26_852_264, "5.074"), (29_280_680, "5.780"), (33_423_272, "6.985"),
        (42_851_240, "9.727")),
    ("B", LSKATrivial): (
        (26_221_352, "4.889"), (26_268_968, "4.903"), (26_411_816, "4.944"), (26_554_664, "4.986"),
        (26_768_936, "5.048")),
    ("B", LKA): (
        (26_245_160, "4.896"), (26_340_392, "4.924"), (26_578_472, "4.993"), (27_007_016, "5.117"),
        (28_006_952, "5.408")),
    ("B", LSKA): (
        (26_221_352, "4.885"), (26_245_160, "4.892"), (26_292_776, "4.906"), (26_340_392, "4.920"),
        (26_411_816, "4.941")),
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def layers(tally) -> int:
    """The multiply-accumulates of convolutions and linear layers."""
    return tally["dense"] + tally["grouped"] + tally["linear"]


@pytest.mark.parametrize(
    ("size", "learned", "printed", "of_layers", "by_fvcore"),
    [
        ("B0", 4_105_800, "0.88", "0.864", 868_118_912),
        ("B1", 13_861_800, "2.52", "2.495", 2_501_597_440),
        ("B2", 26_578_472, "5.03", "4.993", 5_002_419_456),
        ("B3", 44_765_608, "8.99", "8.925", 8_939_504_384),
    ],
)
def test_van(size, learned, printed, of_layers, by_fvcore):
    """The printed figure includes convolutions, linear layers, 1 per bias addition and 2 per normalised element."""
    found, tally = measure(partial(VAN, VAN_SIZES[size], LKA))
    assert found == learned
    assert f"{layers(tally) / GIGA:.3f}" == of_layers
    assert f"{(layers(tally) + tally['bias'] + 2 * tally['norm']) / GIGA:.2f}" == printed
    cost = count(VAN(VAN_SIZES[size], LKA), 224, 224)
    assert cost.macs == cost.macs_fvcore_default == by_fvcore
    assert cost.flops_torch == 2 * layers(tally)
    assert cost.params == learned


@pytest.mark.parametrize(("size", "gate"), GRID, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_lska_van_grid(size, gate):
    for k_size, expected in zip(K_SIZES, GRID[size, gate], strict=True):
        learned, tally = measure(partial(VAN, VAN_SIZES[PAPER_NAMES[size]], partial(gate, k_size=k_size)))
        assert (learned, f"{layers(tally) / GIGA:.3f}") == expected, k_size


@pytest.mark.parametrize(("size", "learned"), [("T", 4_048_200), ("S", 13_765_032), ("B", 26_364_200)])
def test_lska_van_with_the_size_that_only_the_code_has(size, learned):
    assert parameters(partial(VAN, VAN_SIZES[PAPER_NAMES[size]], partial(LSKA, k_size=41))) == learned


@pytest.mark.parametrize("size", PAPER_NAMES)
def test_the_two_papers_meet_at_kernel_23(size):
    """LKA's published kernels are the split of 23, so LSKA's grid contains VAN itself."""
    van = measure(partial(VAN, VAN_SIZES[PAPER_NAMES[size]], LKA))
    assert van == measure(partial(VAN, VAN_SIZES[PAPER_NAMES[size]], partial(LKA, k_size=23)))
    assert van[0] == GRID[size, LKA][K_SIZES.index(23)][0]


def test_separable_kernels_grow_linearly_the_others_do_not():
    """LSKA's claim: the parameters of VAN-T from kernel 7 to 53 grow quadratically, more slowly, and linearly."""

    def learned(gate, k_size):
        return parameters(partial(VAN, VAN_SIZES["B0"], partial(gate, k_size=k_size)))

    def growth(gate):
        return f"{learned(gate, 53) / learned(gate, 7) - 1:+.1%}"

    assert [growth(g) for g in (LKATrivial, LKA, LSKA)] == ["+108.7%", "+11.8%", "+1.3%"]
    counts = {k: learned(LSKATrivial, k) for k in K_SIZES}
    assert {(counts[k] - counts[7]) / (k - 7) for k in K_SIZES[1:]} == {3200.0}  # 2 for each of 1,600 gated channels
    counts = {k: learned(LKATrivial, k) for k in K_SIZES}
    assert {(counts[k] - counts[7]) / (k**2 - 49) for k in K_SIZES[1:]} == {1600.0}


@pytest.mark.parametrize(
    ("size", "learned", "printed", "dense", "convolutions", "with_attention"),
    [
        ("XXS", 4_166_728, "0.6", "0.586", "0.641", "0.667"),
        ("XS", 7_172_216, "1.1", "1.114", "1.190", "1.228"),
        ("S", 12_345_576, "2.0", "2.031", "2.134", "2.182"),
    ],
)
def test_cloformer(size, learned, printed, dense, convolutions, with_attention):
    """The printed figures count only dense convolutions; all convolutions of the two larger sizes exceed them."""
    found, tally = measure(partial(CloFormer, CLOFORMER[size]))
    assert found == learned
    assert f"{tally['dense'] / GIGA:.3f}" == dense and f"{tally['dense'] / GIGA:.1f}" == printed
    assert f"{(tally['dense'] + tally['grouped']) / GIGA:.3f}" == convolutions
    cost = count(CloFormer(CLOFORMER[size]), 224, 224)
    assert f"{cost.gmacs:.3f}" == with_attention and cost.params == learned
    assert cost.flops_torch == 2 * (layers(tally) + tally["matmul"])


@pytest.mark.parametrize(("depth", "learned"), [(26, 10_487_816), (38, 14_410_896), (50, 18_333_976)])
def test_acmix_resnet_of_the_released_code(depth, learned):
    assert parameters(partial(ACmixResNet, depth)) == learned


@pytest.mark.parametrize(
    ("depth", "printed", "released", "one_more"),
    [
        (26, ("10.6", "2.3"), ("10.5", "2.2"), ("10.638", "2.27")),
        (38, ("14.6", "2.9"), ("14.4", "2.9"), ("14.639", "2.94")),
        (50, ("18.6", "3.6"), ("18.3", "3.5"), ("18.640", "3.61")),
    ],
)
def test_acmix_paper_prints_more_than_its_released_code_has(depth, printed, released, one_more):
    """ACmix's paper prints 10.6, 14.6 and 18.6 million parameters, more than its released code has.

    The released block has one grouped convolution with 9 · 9 · C weights (`dep_conv`). With one more of this size per
    block, all six printed figures are met, including multiply-accumulates. So the paper's network probably had two. The
    module of the zoo follows the released code, because its weights are available.
    """
    learned, tally = measure(partial(ACmixResNet, depth))
    settings = get("acmix").complete({"kernel_att": 7, "head": 4})
    maps = zip(WIDTHS, DEPTHS[depth], (56, 28, 14, 7), strict=True)
    attention = sum(n * get("acmix").extra_macs(c, side, side, settings) for c, n, side in maps)
    macs = layers(tally) + attention
    assert (f"{learned / 1e6:.1f}", f"{macs / GIGA:.1f}") == released
    weights = sum(81 * c * n for c, n in zip(WIDTHS, DEPTHS[depth], strict=True))
    learned, macs = learned + weights, macs + tally["grouped"]
    assert (f"{learned / 1e6:.3f}", f"{macs / GIGA:.2f}") == one_more
    assert (f"{learned / 1e6:.1f}", f"{macs / GIGA:.1f}") == printed
    assert released[0] != printed[0]


@pytest.mark.parametrize(
    "build",
    [partial(VAN, VAN_SIZES["B0"], gate) for gate in (LKA, partial(LSKA, k_size=53))]
    + [partial(CloFormer, CLOFORMER["XXS"]), partial(ACmixResNet, 26)],
    ids=["van", "lska_van", "cloformer", "acmix_resnet"],
)
def test_networks_run_and_every_part_learns(build):
    """An input of 96×64 gives maps down to 3×2: smaller than kernels, and not divisible by CloFormer's windows."""
    torch.manual_seed(0)
    network = build()
    scores = network(torch.randn(2, 3, 96, 64))
    assert scores.shape == (2, 1000) and torch.isfinite(scores).all()
    scores.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
