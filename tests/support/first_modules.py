"""Common mistakes in a first module, each with the check that reports it first, and words of the report."""

from __future__ import annotations

import math
import random
import sys
from typing import Annotated

import torch
from broken_modules import Infinite, InPlace, Plain, Random, Shrinking, TwoOutputs
from torch import nn

from nas_attn.attention import Choice

Size = Annotated[int, Choice(3, 5)]


class ActivationFirst(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__(dim, k_size)
        self.conv = nn.Sequential(nn.SiLU(inplace=True), self.conv)


class AlwaysDropping(Plain):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.1)


class OtherRandom(Plain):
    def forward(self, x):
        return super().forward(x) * (1 + 0.1 * random.random())


class NormGate(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__(dim, k_size)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x):
        return x * self.norm(self.conv(x)).sigmoid()


class PooledNorm(NormGate):
    def forward(self, x):
        return x * self.norm(self.conv(x.mean((2, 3), keepdim=True))).sigmoid()


class WithLambda(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__(dim, k_size)
        self.gate = lambda y: y.sigmoid()

    def forward(self, x):
        return x * self.gate(self.conv(x))


class OnCuda(Plain):
    def forward(self, x):
        return super().forward(x) + torch.zeros(1).cuda()


class MissingImport(Plain):
    def forward(self, x):
        import nowhere_to_be_found

        return nowhere_to_be_found.gate(x)


class OddSizes(Plain):
    def forward(self, x):
        small = nn.functional.avg_pool2d(self.conv(x), 2)
        return x * nn.functional.interpolate(small, scale_factor=2).sigmoid()


class LargeIsOther(Plain):
    def forward(self, x):
        return x * self.conv(x) if x.shape[2] > 10 else x + self.conv(x)


class WideIsOther(Plain):
    def forward(self, x):
        return x * self.conv(x) if x.shape[3] > 32 else x + self.conv(x)


class SizeRoot(Plain):
    """Compiles for one size, but not for symbolic sizes."""

    def forward(self, x):
        return super().forward(x) * math.isqrt(x.shape[2])


class Seeding(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        torch.manual_seed(0)
        super().__init__(dim, k_size)


class SeedingPython(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        random.seed(0)
        super().__init__(dim, k_size)


class Threading(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        torch.set_num_threads(7)
        super().__init__(dim, k_size)


class Retyping(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__(dim, k_size)
        torch.set_default_dtype(torch.float64)


class Leaving(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        sys.exit(f"{dim} channels are too many")


class LeavingLater(Plain):
    def forward(self, x):
        sys.exit()


class Misspelt(Plain):
    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__(dim, k_size + "")  # type: ignore[operator]


class Idle(nn.Module):
    """`none` under another name."""

    def __init__(self, dim: int, k_size: Size = 3) -> None:
        super().__init__()

    def forward(self, x):
        return x


class Nested(Plain):
    """Its arguments change when they are written as YAML and read back."""

    def __init__(self, dim: int, k_size: Size = 3, sizes: tuple = ()) -> None:
        super().__init__(dim, k_size)

    @classmethod
    def from_settings(cls, channels, *, k_size):
        return {"sizes": [(k_size, k_size)]}


HABITS = [  # class, the check that reports it first, words of the report
    (InPlace, "pure", ["must not change its input", "inplace=True"]),
    (ActivationFirst, "pure", ["must not change its input", "inplace=True"]),
    (Random, "pure", ["must draw no random numbers in evaluation", "torch's generator"]),
    (AlwaysDropping, "pure", ["must draw no random numbers in evaluation", "dropout"]),
    (OtherRandom, "pure", ["must draw no random numbers in evaluation", "Python's generator"]),
    (Infinite, "maps", ["must be finite"]),
    (Shrinking, "maps", ["must keep the shape"]),
    (TwoOutputs, "maps", ["must return one tensor"]),
    (NormGate, "single value", ["more than 1 value per channel", 'cannot={"single_value": "the reason"}']),
    (PooledNorm, "maps", ["more than 1 value per channel", "GroupNorm"]),
    (WithLambda, "copies", ["lambda", "top level of the file"]),
    (OnCuda, "maps", ["must not raise", "x.new_zeros"]),
    (MissingImport, "maps", ["nowhere_to_be_found", "Install"]),
    (OddSizes, "maps", ["first_modules.py, line ", "any size"]),
    (LargeIsOther, "onnx dynamic", ["exported graph must give the same output", "(1, 16, 40, 33)", "x.shape"]),
    (WideIsOther, "onnx dynamic", ["exported graph must give the same output", "(1, 16, 40, 33)", "x.shape"]),
    (SizeRoot, "compile dynamic", ["without a graph break", "for any size", "+ - *"]),
    (Seeding, "construction", ["must not seed", "torch's generator"]),
    (SeedingPython, "construction", ["must not seed", "Python's generator"]),
    (Threading, "construction", ["must not change the process", "number of threads"]),
    (Retyping, "construction", ["must not change the process", "default dtype"]),
    (Leaving, "construction", ["SystemExit: 16 channels are too many", "first_modules.py, line ", "Raise an error"]),
    (LeavingLater, "maps", ["SystemExit", "Raise an error"]),
    (Misspelt, "construction", ["must not raise", "TypeError", "first_modules.py, line "]),
    (Idle, "settings", ["must change its map", "`none`"]),
    (Nested, "yaml row", ["YAML must keep the arguments", "from_settings"]),
]
