"""The check of `residual=scaled`: it starts as the identity, and training can move it away from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import GAIN, Scaled, build_module
from nas_attn.conformance.support import fitting
from nas_attn.errors import CheckFailed


def scaled(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """x + g·γ·f(x) starts as x, γ has a gradient, and the formula holds; also in 16 bits and under autocast."""
    channels = fitting(entry, settings)
    for dtype in (torch.float32, torch.bfloat16, torch.half):
        key = {torch.bfloat16: "bfloat16", torch.half: "half"}.get(dtype)
        if key in entry.cannot:
            continue
        module = build_module(entry, channels, {**settings, "residual": "scaled"}).to(dtype)
        if not isinstance(module, Scaled):
            raise CheckFailed("`residual=scaled` must build a Scaled", got=type(module).__name__)
        x = torch.randn(2, channels, 4, 6).to(dtype).requires_grad_()
        y = module(x)
        if y.dtype != dtype or not torch.equal(y, x):
            raise CheckFailed("`residual=scaled` must start as the identity", got=f"another output in {dtype}")
        (y * torch.randn_like(y)).sum().backward()
        if not module.gamma.grad.abs() > 0:
            raise CheckFailed(
                "the gamma of `residual=scaled` must receive a gradient",
                got=f"a gradient of {module.gamma.grad.item()} for gamma in {dtype}",
                remedy="The output of the new module must be neither zero nor infinite.",
            )
        module.eval()
        with torch.no_grad():
            module.gamma.fill_(0.1)
            expected = x + (GAIN * module.gamma) * module.fn(x)
            if not torch.allclose(module(x), expected, rtol=1e-2, atol=1e-2):
                raise CheckFailed("`residual=scaled` must be x + gain·gamma·f(x)", got=f"another output in {dtype}")
    module = build_module(entry, channels, {**settings, "residual": "scaled"})
    x = torch.randn(2, channels, 3, 5, dtype=torch.bfloat16)
    with torch.autocast(x.device.type, torch.bfloat16):
        y = module(x)
    if y.dtype != torch.bfloat16:
        raise CheckFailed("`residual=scaled` must keep the dtype under autocast", got=y.dtype)
