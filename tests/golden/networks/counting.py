"""The operator costs of a network, counted when torch dispatches the operators, on the meta device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nas_attn.attention.forms import reference_form

aten = torch.ops.aten


class Tally(TorchDispatchMode):
    """Counts while active, per image at batch 1.

    Attributes:
        of: `dense` (convolutions with one group), `grouped` (other convolutions), `linear`, `matmul` (no weights) in
            multiply-accumulates; `bias` in additions; `norm` in normalised elements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is aten.convolution.default:
            _, weight, bias = args[:3]
            self.of["dense" if args[8] == 1 else "grouped"] += out.numel() * weight[0].numel()
            self.of["bias"] += out.numel() * (bias is not None)
        elif func is aten.addmm.default:
            self.of["linear"] += out.numel() * args[1].shape[1]
            self.of["bias"] += out.numel()
        elif func in (aten.mm.default, aten.bmm.default):
            self.of["matmul"] += out.numel() * args[0].shape[-1]
        elif "norm" in func.__name__:
            self.of["norm"] += out[0].numel()
        return out


def parameters(build: Callable[[], nn.Module]) -> int:
    """The number of parameters of the network that `build` makes."""
    with torch.device("meta"):
        return sum(p.numel() for p in build().parameters())


def measure(build: Callable[[], nn.Module], side: int = 224) -> tuple[int, Counter[str]]:
    """(number of parameters, operator costs for one side × side image) of the network that `build` makes."""
    with torch.device("meta"):
        network = build().eval()
    with torch.no_grad(), reference_form(), Tally() as tally:
        scores = network(torch.empty(1, 3, side, side, device="meta"))
    assert scores.shape == (1, 1000)
    return sum(p.numel() for p in network.parameters()), tally.of
