"""The rule by which the arguments of a user's layer are completed: the signature of its class decides."""

from __future__ import annotations

import pytest

from nas_attn.detector.model.layer_arguments import following, layer_arguments
from nas_attn.errors import UserError


def scaled(channels: int) -> int:
    """The channels at a width of 0.25 and at most 512, as Ultralytics rounds them."""
    return -(-min(channels, 512) // 4 // 8) * 8


def of(signature: str) -> type:
    space: dict[str, type] = {}
    exec(f"class L:\n    def __init__(self, {signature}):\n        pass\n", space)
    return space["L"]


@pytest.mark.parametrize(
    ("signature", "given", "wanted"),
    [
        # input and output channels: the first number is the output, scaled by width
        ("c1, c2, k=1", [256], [32, 64]),
        ("c1, c2, k=1", [1024, 3], [32, 128, 3]),
        ("inc, ouc, dimension=1", [256], [32, 64]),
        ("in_channels, out_channels, k=3", [256, 5], [32, 64, 5]),
        ("inp, oup", [100], [32, 32]),
        ("ch_in, ch_out", [256], [32, 64]),
        ("dim, out_dim=None", [256], [32, 64]),
        ("channels, out_channels=None, t=16", [], [32, 32]),
        ("c1, c2, act=True", [], [32, 32]),
        ("c1, c2, act=True", [True], [32, 32, True]),  # True is no width
        # the same with a number of repeats in third place
        ("c1, c2, n=1, shortcut=False", [256, True], [32, 64, 2, True]),
        ("c1, c2, number=1", [256], [32, 64]),
        # channels alone: the row may state those of its input, before or after scaling
        ("channels", [128], [32]),
        ("channels", [32], [32]),
        ("channels", [], [32]),
        ("dim, k=7", [5], [32, 5]),
        ("dim, k=7", [128, 5], [32, 5]),
        ("in_planes, ratio=16", [], [32]),
        # no channels
        ("", [128], []),
        ("scale=2, mode='nearest'", [4, "bilinear"], [4, "bilinear"]),
        ("groups", ["None"], [None]),
        ("*sizes", [1, 2], [1, 2]),
        # as the row has them: Ultralytics' own parser passes them so
        ("size, depth", [3, [1, 2]], [3, [1, 2]]),
    ],
)
def test_the_arguments(signature, given, wanted):
    found, times = layer_arguments(of(signature), given, 32, scaled, 2)
    assert found == wanted
    assert times == (1 if "n=1," in signature else 2)


@pytest.mark.parametrize(
    ("signature", "given", "reason"),
    [("channels", [128, 3], "too many"), ("scale, mode", [2], "missing"), ("c1, c2, k", [256], "missing"),
     ("c1, c2, *, k", [256], "missing")],
)  # fmt: skip
def test_arguments_that_the_class_does_not_take(signature, given, reason):
    with pytest.raises(UserError, match=rf"(?s)that its class takes.*for L\({signature[:2]}.*{reason}.*README"):
        layer_arguments(of(signature), given, 32, scaled, 1)


def test_a_small_number_is_a_setting_even_if_it_scales_to_the_channels():
    assert layer_arguments(of("dim, k=7"), [3], 8, scaled, 1)[0] == [8, 3]
    assert layer_arguments(of("dim, k=7"), [16], 8, scaled, 1)[0] == [8]


def test_a_repeated_layer_reads_the_channels_of_the_one_before():
    assert following(of("c1, c2, k=1"), [32, 64, 3], 64) == [64, 64, 3]
    assert following(of("scale=2"), [2], 64) == [2]
