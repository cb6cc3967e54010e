"""A gene as a layer: f(x), or its residual form x + g·γ·f(x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas_attn.attention.registry import ModuleEntry, by_class_name

GAIN = 30.0


class Scaled(nn.Module):
    """`x + gain * gamma * f(x)` with a scalar `gamma` that is learned and starts at 0.

    The layer starts as the identity, so inherited weights stay valid. The fixed gain lets it move away from the
    identity: Adam moves a scalar by at most one learning rate per step, so gamma alone would stay near 0 in a short
    run.

    Args:
        class_name: class of the inner module as a model YAML row names it, e.g. `ACmix`.
        arguments: the constructor arguments of that class.
    Shape:
        (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, class_name: str, *arguments: Any) -> None:
        super().__init__()
        # Ultralytics' parser sets the attributes `f`, `i`, `type` and `np` on every layer: no child may use these names
        self.fn = by_class_name(class_name.removeprefix("nas_attn.")).cls(*arguments)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.gain = GAIN

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.gain * self.gamma).to(x.dtype) * self.fn(x)

    def extra_repr(self) -> str:
        return f"gain={self.gain:g}"


def build_module(entry: ModuleEntry, channels: int, settings: Mapping[str, Any]) -> nn.Module:
    """A new module for a gene: (N, channels, H, W) -> (N, channels, H, W)."""
    name, arguments = entry.row(channels, settings)
    return Scaled(*arguments) if name == "Scaled" else entry.cls(*arguments)
