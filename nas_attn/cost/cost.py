"""Cost as exact integers, and as the figures that people compare."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Cost:
    """Cost of one image through a model or module, in eval mode, not fused.

    Attributes:
        macs: multiply-accumulates: fvcore's default handles, scaled_dot_product_attention, the broadcast products that
            its `matmul` leaves out, and the product-sums that a module declares because fvcore cannot see them.
        macs_fvcore_default: what fvcore counts as it is installed.
        flops_ultralytics: floating point operations as Ultralytics prints them: 2 a multiply-accumulate, fused model.
        params: learned numbers, not fused.
    """

    macs: int
    macs_fvcore_default: int
    flops_ultralytics: int
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
    def gflops_ultralytics(self) -> float:
        """`flops_ultralytics` in units of 1e9."""
        return self.flops_ultralytics / 1e9

    @property
    def params_m(self) -> float:
        """`params` in units of 1e6."""
        return self.params / 1e6

    def as_dict(self) -> dict[str, float]:
        """The four figures, with their units in the names."""
        return {
            "gmacs": self.gmacs,
            "gmacs_fvcore_default": self.gmacs_fvcore_default,
            "gflops_ultralytics": self.gflops_ultralytics,
            "params_m": self.params_m,
        }

    def as_tuple(self) -> tuple[int, int, int, int]:
        """The four integers, in the order of the attributes."""
        return astuple(self)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.macs_fvcore_default + other.macs_fvcore_default,
            self.flops_ultralytics + other.flops_ultralytics,
            self.params + other.params,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(*(times * value for value in self.as_tuple()))


ZERO = Cost(0, 0, 0, 0)
