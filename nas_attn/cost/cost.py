"""Cost as exact integers, and as the figures that tables show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

# Version of the counting rules. Version 1, in release 0.1.0, counted both branches of end-to-end heads, and did not
# count the weighted sums of `sk` and `lsk`.
COUNTING = 2
OLD_NAMES = {"gflops_ultralytics": "gflops_torch", "flops_ultralytics": "flops_torch"}  # name in 0.1.0 -> name today


def true_names(figures: Mapping[str, float]) -> dict[str, float]:
    """Recorded figures under today's names; release 0.1.0 recorded torch's count under Ultralytics' name."""
    if "gflops_torch" in figures or "flops_torch" in figures:
        return dict(figures)
    return {OLD_NAMES.get(name, name): value for name, value in figures.items()}


@dataclass(frozen=True)
class Cost:
    """Cost of a model or module for one image, in eval mode, not fused.

    Of an end-to-end head, only the inference path is counted.

    Attributes:
        macs: multiply-accumulates from four sources: fvcore's default handles, scaled_dot_product_attention, the
            broadcast products that fvcore's `matmul` leaves out, and the products and sums that a module declares
            because fvcore cannot count them.
        macs_fvcore_default: multiply-accumulates by fvcore's default handles alone.
        flops_torch: 2 for each multiply-accumulate of convolutions and matrix products in the fused model, counted by
            torch's `FlopCounterMode`. Ultralytics' `get_flops` gives the same number for YOLOv3 to YOLO26 as shipped;
            in other models it also counts normalisation, softmax and pooling layers.
        params: number of parameters, not fused.
    """

    macs: int
    macs_fvcore_default: int
    flops_torch: int
    params: int

    @property
    def gmacs(self) -> float:
        """`macs` in units of 1e9."""
        return self.macs / 1e9

    @property
    def gmacs_fvcore_default(self) -> float:
        """`macs_fvcore_default` in units of 1e9."""
        return self.macs_fvcore_default / 1e9

    @property
    def gflops_torch(self) -> float:
        """`flops_torch` in units of 1e9."""
        return self.flops_torch / 1e9

    @property
    def params_m(self) -> float:
        """`params` in units of 1e6."""
        return self.params / 1e6

    def as_dict(self) -> dict[str, float]:
        """The four figures; the names contain the units."""
        return {
            "gmacs": self.gmacs,
            "gmacs_fvcore_default": self.gmacs_fvcore_default,
            "gflops_torch": self.gflops_torch,
            "params_m": self.params_m,
        }

    def as_tuple(self) -> tuple[int, int, int, int]:
        """The four integers, in the order of the attributes."""
        return astuple(self)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.macs_fvcore_default + other.macs_fvcore_default,
            self.flops_torch + other.flops_torch,
            self.params + other.params,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(*(times * value for value in self.as_tuple()))


ZERO = Cost(0, 0, 0, 0)
