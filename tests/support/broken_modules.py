"""Modules with one fault each, with the check that finds the fault and words of its message."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from nas_attn.attention import Choice
from nas_attn.attention.forms import fast_wanted
from nas_attn.errors import SlotRefused


class Plain(nn.Module):
    """A correct gate; each of the other classes has one fault."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        return x * self.conv(x).sigmoid()


class Shrinking(Plain):
    def forward(self, x):
        return super().forward(x)[:, :, ::2]


class TwoOutputs(Plain):
    def forward(self, x):
        return x, super().forward(x)


class Infinite(Plain):
    def forward(self, x):
        return super().forward(x) / (x.shape[2] - 1)


class DeadParameter(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.unused = nn.Parameter(torch.zeros(dim))


class DeadSetting(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, 3)


class HonestAlias(DeadSetting):
    @classmethod
    def effective(cls, height, width, *, k_size):
        return ()


class DtypeLeak(Plain):
    def forward(self, x):
        return super().forward(x).float()


class Imprecise(Plain):
    def forward(self, x):
        return x * ((self.conv(x) + 100) - 100)


class Overflowing(Plain):
    def forward(self, x):
        energy = x.square().sum((2, 3), keepdim=True)
        return super().forward(x) * energy / (1 + energy)


class BatchDependent(Plain):
    def forward(self, x):
        return super().forward(x) - x.mean((0, 2, 3), keepdim=True)


class Counting(Plain):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Caching(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += 1
        return super().forward(x) + 0 * self.seen.to(x.dtype)


SEEN: list[int] = []


class Logging(Plain):
    def forward(self, x):
        SEEN.append(1)
        return super().forward(x)


class InPlace(Plain):
    def forward(self, x):
        return x.mul_(self.conv(x).sigmoid())


class WithoutCost(Plain):
    def forward(self, x):
        return super().forward(x) + torch.lgamma(x.abs() + 1)


class HidingFromTraces(Plain):
    def forward(self, x):
        return x if torch.jit.is_tracing() else super().forward(x)


class TwoForms(Plain):
    share = 1.0

    def forward(self, x):
        return self.fast(x) if fast_wanted() else self.reference(x)

    def reference(self, x):
        return x * self.conv(x).sigmoid()

    def fast(self, x):
        gate = 1 / (1 + (-self.conv(x)).exp())
        return x * (self.share * gate + (1 - self.share) * gate.detach())


class WrongGradient(TwoForms):
    share = 0.999


class WrongFast(TwoForms):
    def fast(self, x):
        return 1.0001 * self.reference(x)


class Random(Plain):
    def forward(self, x):
        return super().forward(x) + 0.001 * torch.randn_like(x)


class Dropping(Plain):
    """No fault: dropout that is off in evaluation."""

    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.1, self.training)


class Unseeded(Plain):
    def forward(self, x):
        own = torch.Generator()
        own.seed()
        return super().forward(x) + torch.rand(x.shape, generator=own).to(x)


class Unrepeatable(Plain):
    def forward(self, x):
        y = super().forward(x)
        return y + torch.zeros_like(x).detach().put_(torch.zeros(1, dtype=torch.long), torch.ones(1))


class BurntSize(Plain):
    def forward(self, x):
        batch, channels, height, width = (int(n) for n in x.shape)
        return super().forward(x).reshape(batch, channels, height * width).reshape(batch, channels, height, width)


class NoOnnx(Plain):
    def forward(self, x):
        return super().forward(x) + torch.special.i1e(x)


class GraphBreak(Plain):
    def forward(self, x):
        return super().forward(x) if x.sum().item() < 1e9 else x


class Viewing(Plain):
    def forward(self, x):
        return super().forward(x.view(x.shape[0], -1).view(x.shape))


class Relaying(Plain):
    def forward(self, x):
        return super().forward(x).contiguous()


class AlwaysLast(Plain):
    def forward(self, x):
        return super().forward(x).contiguous(memory_format=torch.channels_last)


class OnTheCpu(Plain):
    def forward(self, x):
        return super().forward(x) + torch.zeros(1, device="cpu").expand(x.shape[0], x.shape[1], 1, 1)


class SwallowsMeta(Plain):
    def forward(self, x):
        return super().forward(x) if x.device.type != "meta" else torch.zeros(x.shape, device="cpu")


class HiddenWeight(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.hidden = torch.randn(1)

    def forward(self, x):
        return super().forward(x) * self.hidden.to(x.dtype)


class ForbiddenChild(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.bn = nn.Identity()


class Conv(Plain):
    """A class with the name of a class of Ultralytics."""


class FusedTwice(nn.Module):
    """Calls the parts of Ultralytics' layer itself; fusing then removes a part that it calls."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        from ultralytics.nn.modules import Conv

        super().__init__()
        self.inner = Conv(dim, dim, k_size, g=dim)

    def forward(self, x):
        return x + 2 * self.inner.conv(x) if not hasattr(self.inner, "bn") else x + self.inner.bn(self.inner.conv(x))


class Silent(Plain):
    """Its output is zero at the start, so gamma of the residual form receives no gradient."""

    def forward(self, x):
        return 0 * super().forward(x)


class Unexplained(Plain):
    """The constructor refuses widths, but there is no `unsupported` that gives the reason."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        if dim % 64:
            raise SlotRefused("must divide by 64")
        super().__init__(dim, k_size)


class Lenient(Plain):
    """The constructor accepts widths that `unsupported` refuses."""

    @classmethod
    def unsupported(cls, channels, *, k_size):
        return "64 must divide the channels" if channels % 64 else None


class FitsNothing(Plain):
    @classmethod
    def unsupported(cls, channels, *, k_size):
        return "7 must divide the channels"


class BatchNorm(Plain):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__(dim, k_size)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x):
        return self.norm(super().forward(x))


class Choosy(Plain):
    """Refuses large maps."""

    @classmethod
    def attention_logits(cls, channels, height, width, *, k_size):
        return (height * width) ** 2


class BrokenAtFive(Plain):
    def forward(self, x):
        return super().forward(x) if self.conv.kernel_size[0] == 3 else super().forward(x)[:, :, ::2]


BROKEN = [  # class, the check that finds the fault, words of the message
    (Unexplained, "construction", ["`unsupported(16, ...)` must return a reason", "must divide by 64"]),
    (Lenient, "construction", ["must raise SlotRefused", "64 must divide"]),
    (FitsNothing, "maps", ["must fit one of the widths", "7 must divide"]),
    (DeadSetting, "settings", ["every setting must change", "k_size 3 and 5", "effective"]),
    (ForbiddenChild, "names", ["children must not be called", "bn in ForbiddenChild", "Rename"]),
    (Conv, "names", ["must not be a name of Ultralytics", "Conv", "Rename"]),
    (Shrinking, "maps", ["keep the shape", "(1, 16, 1, 3) for (1, 16, 2, 3)", "2x3", "Pad"]),
    (TwoOutputs, "maps", ["must return one tensor", "tuple"]),
    (Infinite, "maps", ["must be finite", "1x1"]),
    (BatchNorm, "single value", ["must not raise", "more than 1 value per channel"]),
    (DeadParameter, "gradients", ["every parameter must receive a gradient", "unused", "GPUs"]),
    (DtypeLeak, "half", ["return the dtype", "torch.float32 for torch.float16", "cast float32 results back"]),
    (DtypeLeak, "bfloat16", ["return the dtype", "torch.float32 for torch.bfloat16"]),
    (Imprecise, "bfloat16", ["within 5%", "float32"]),
    (Imprecise, "autocast", ["within 5%", "autocast"]),
    (Overflowing, "large in half", ["must be finite", "scale 30", "float32"]),
    (Viewing, "layouts", ["must not raise", "view", "broken_modules.py, line "]),
    (Relaying, "layouts", ["must have the memory format of the input", "channels_last input", "memory_format"]),
    (AlwaysLast, "layouts", ["must have the memory format of the", "strides (672, 1, 96, 16)", "contiguous input"]),
    (OnTheCpu, "meta", ["must not raise", "cpu"]),
    (SwallowsMeta, "meta", ["must be on the device of the input", "cpu for meta"]),
    (Unseeded, "deterministic", ["equal runs must give equal", "deterministic"]),
    (Unrepeatable, "deterministic", ["deterministic algorithms are on", "put_", "declare"]),
    (BatchDependent, "batch", ["must not depend on the other images"]),
    (HiddenWeight, "copies", ["its state_dict must give the same output", "buffers"]),
    (Counting, "no trace", ["must have no side effects", "attributes of the module: calls"]),
    (Caching, "no trace", ["must have no side effects", "buffers"]),
    (Logging, "no trace", ["must have no side effects", "process"]),
    (Silent, "residual", ["gamma", "must receive a gradient"]),
    (WrongFast, "forms", ["equal outputs", "0.0001", "change `fast`"]),
    (WrongGradient, "forms", ["equal gradients", "change `fast`"]),
    (WithoutCost, "cost", ["must have a listed cost", "lgamma", "costs={"]),
    (HidingFromTraces, "cost", ["agree with torch's FlopCounterMode", "0 FLOPs", "138,240 by torch"]),
    (FusedTwice, "fuse", ["`fuse()` must change no output", "relative difference"]),
    (Plain, "fresh process", ["new process that imports only torch", "No module named", "top level"]),
    (NoOnnx, "onnx", ["must not raise", "i1e"]),
    (BurntSize, "onnx dynamic", ["exported graph must", "(3, 16, 10, 9), recorded for (2, 16, 7, 6)", "x.shape"]),
    (GraphBreak, "compile", ["without a graph break", "item"]),
]
