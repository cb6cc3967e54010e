"""The check that the cost of a module can be counted, and agrees with torch's own count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import build_module
from nas_attn.conformance.support import fitting
from nas_attn.errors import CheckFailed, UserError

HEIGHT, WIDTH = 20, 24


def cost(entry: ModuleEntry, settings: Mapping[str, Any]) -> str | None:
    """Every op has a listed cost, two counts are equal, and products count the same as in torch's own counter."""
    from nas_attn.cost.counter import count, torch_flops

    channels = fitting(entry, settings, HEIGHT, WIDTH)
    module = build_module(entry, channels, settings).cpu().eval()
    extra = entry.extra_macs(channels, HEIGHT, WIDTH, settings)
    if entry.is_none:
        return "costs nothing"
    try:
        first, second = (count(module, HEIGHT, WIDTH, channels, extra_macs=extra) for _ in range(2))
    except UserError as error:
        raise CheckFailed(error.rule, got=error.got, where=error.where, remedy=error.remedy) from None
    if first != second:
        raise CheckFailed("two counts of a module must be equal", got=f"{first} and {second}")
    by_torch = torch_flops(module, torch.zeros(1, channels, HEIGHT, WIDTH, device="cpu"))
    if first.flops_torch != by_torch:
        raise CheckFailed(
            "the count of products must agree with torch's FlopCounterMode",
            got=f"{first.flops_torch:,} FLOPs by fvcore's trace and {by_torch:,} by torch",
            remedy="Write the product with matmul, einsum, a linear layer or a convolution layer.",
        )
    return None
