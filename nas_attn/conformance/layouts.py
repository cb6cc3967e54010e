"""Checks of inputs in other memory formats, as views, and on the meta device."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import build_module
from nas_attn.conformance.support import SAME, agree, fitting, keeps_shape, moved
from nas_attn.errors import CheckFailed

RESHAPE = "Use `reshape` or `flatten` instead of `view`, and axes instead of strides."


def layouts(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """channels_last, transposed and strided inputs give the same output and gradient, and the memory format stays."""
    module = moved(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 7, 6)
    expected, slope = _both(module, x)
    keeps_format(expected, torch.contiguous_format, "contiguous input")
    views = {
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
        "strided": x.repeat_interleave(2, 3)[..., ::2],
    }
    for name, view in views.items():
        y, gradient = _both(module, view)
        agree(y, expected, SAME, f"{name} input must give the same output", RESHAPE)
        agree(gradient, slope, 10 * SAME, f"{name} input must give the same gradient", RESHAPE)
        if name == "channels_last":
            keeps_format(y, torch.channels_last, f"{name} input")
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)
    y = last(views["channels_last"])
    agree(y, expected, SAME, "a channels_last module must give the same output", RESHAPE)
    keeps_format(y, torch.channels_last, "channels_last input and module")


def keeps_format(y: torch.Tensor, memory_format: torch.memory_format, where: str) -> None:
    """Check that the output has the memory format of the input; otherwise the next layers copy it or run slowly.

    Raises:
        CheckFailed: the output has another format.
    """
    if not y.is_contiguous(memory_format=memory_format):
        raise CheckFailed(
            "the output must have the memory format of the input",
            got=f"strides {y.stride()} of shape {tuple(y.shape)}",
            where=where,
            remedy="Permute the axes back before `reshape`, or end with `contiguous(memory_format=...)`.",
        )


def _both(module: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = x.detach()  # a clone would change the strides
    leaf.requires_grad_()
    y = module(leaf)
    (gradient,) = torch.autograd.grad(y.square().sum(), leaf)
    leaf.requires_grad_(False)
    return y.detach(), gradient


def meta(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module and its residual form can be built on the meta device and run there."""
    channels = fitting(entry, settings)
    forms = (settings,) if entry.is_none else (settings, {**settings, "residual": "scaled"})
    for form in forms:
        with torch.device("meta"):
            module = build_module(entry, channels, form)
        x = torch.empty(2, channels, 7, 5, device="meta")
        keeps_shape(y := module(x), x, "meta device")
        if y.device.type != "meta":
            raise CheckFailed("the output must be on the device of the input", got=f"{y.device} for meta")
