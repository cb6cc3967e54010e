"""The cost of every shipped detector can be counted; the default counts one for each head, `--soak 1` all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas_attn.attention.forms import reference_form
from nas_attn.cost import counter, handles
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.shipped_models import detectors

IMGSZ = 192  # a multiple of every stride; a head with 300 queries needs at least 300 map cells


def pytest_generate_tests(metafunc):
    if "counted" in metafunc.fixturenames:
        all_of_them = metafunc.config.getoption("--soak") >= 1
        first = {load_base(name).head: name for name in reversed(list(detectors()))}
        metafunc.parametrize("counted", list(detectors()) if all_of_them else sorted(first.values()))


def test_a_shipped_detector_can_be_counted(counted):
    """Every op has a rule, and the count of convolutions and products agrees with torch's own counter."""
    model = load_base(counted).build().eval()
    image = torch.zeros(1, 3, IMGSZ, IMGSZ)
    with reference_form():
        by_op = counter._fvcore(model, image)
    products = sum(n for op, n in by_op.items() if op in handles.PRODUCTS)
    assert 2 * products == counter.torch_flops(model, image) > 0


def test_the_sampling_of_a_deformable_decoder():
    """4 multiply-accumulates for each bilinear sample: 300 queries × 4 points × 3 levels × 256 channels × 6 layers."""
    model = load_base("yolov8n-rtdetr").build().eval()
    by_op = counter._fvcore(model, torch.zeros(1, 3, IMGSZ, IMGSZ))
    assert by_op["grid_sampler"] == 4 * 300 * 4 * 3 * 256 * 6


class Einsum(nn.Module):
    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation, self.other = equation, nn.Parameter(torch.ones(shape))

    def forward(self, x):
        return torch.einsum(self.equation, x, self.other)


@pytest.mark.parametrize(
    ("equation", "shape", "wanted"),
    [
        ("bchw,bkc->bkhw", (1, 7, 8), 8 * 7 * 33 * 35),  # numpy prints only four digits of twice this number, 129,360
        ("bchw, ck -> bkhw", (8, 3), 8 * 3 * 33 * 35),
        ("bchw,ck->bkhw", (8, 11), 8 * 11 * 33 * 35),
        ("abcd,bcde->ae", (8, 33, 35, 2), 8 * 33 * 35 * 2),
    ],
)
def test_products_by_einsum_are_exact(equation, shape, wanted):
    by_op = counter._fvcore(Einsum(equation, *shape), torch.ones(1, 8, 33, 35))
    assert by_op["einsum"] + by_op.get(handles.BROADCAST, 0) == wanted


def test_an_einsum_that_sums_nothing_keeps_fvcores_count():
    by_op = counter._fvcore(Einsum("bchw,bchw->bchw", 1, 8, 33, 35), torch.ones(1, 8, 33, 35))
    assert by_op.get(handles.BROADCAST, 0) == 0
