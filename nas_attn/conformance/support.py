"""Functions that several checks share: widths, modules with changed initial values, comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import build_module
from nas_attn.cost.standing import wrong_output
from nas_attn.errors import CheckFailed

if TYPE_CHECKING:
    from torch import nn

WIDTHS = (16, 64, 128, 256)  # channels; a check uses the first width that the settings fit
USUAL = 64  # channels of P3 in the smallest models
SAME = 2e-5  # float32 tolerance if only the order of the computation differs, relative to the largest value


def fitting(entry: ModuleEntry, settings: Mapping[str, Any], height: int = 1, width: int = 1) -> int:
    """The smallest of `WIDTHS` that these settings fit, in channels.

    Raises:
        CheckFailed: the settings fit none of these widths.
    """
    reasons = [entry.refusal(channels, height, width, settings) for channels in WIDTHS]
    if None in reasons:
        return WIDTHS[reasons.index(None)]
    raise CheckFailed(
        f"settings must fit one of the widths {', '.join(map(str, WIDTHS))}",
        got=f"only refusals; the last: {reasons[-1]}",
        remedy="Correct `unsupported` or remove the option.",
    )


def both_widths(entry: ModuleEntry, settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The smallest width that fits, and a usual width: groups, heads and minimum sizes depend on the width."""
    usual = [c for c in (USUAL,) if entry.refusal(c, 1, 1, settings) is None]
    return tuple(dict.fromkeys((fitting(entry, settings), *usual)))


def moved(entry: ModuleEntry, settings: Mapping[str, Any], channels: int | None = None) -> nn.Module:
    """A new module with noise added to its weights and statistics, because special initial values can hide faults."""
    module = build_module(entry, fitting(entry, settings) if channels is None else channels, settings)
    move(module)
    return module


def move(module: nn.Module) -> None:
    """Add noise to all weights, and to the running statistics of batch norms."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.05 * torch.randn_like(buffer))
            elif name.endswith("running_var"):
                buffer.mul_(1 + 0.5 * torch.rand_like(buffer))


def difference(got: Tensor, expected: Tensor) -> float:
    """The largest absolute difference divided by the largest absolute expected value; nan if a tensor has a nan."""
    if not expected.numel():
        return 0.0
    scale = expected.detach().abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
    return float((got.detach() - expected.detach()).abs().max() / scale)


def agree(got: Tensor, expected: Tensor, tolerance: float, rule: str, remedy: str = "", where: str = "") -> None:
    """Compare two tensors, with a tolerance relative to the largest expected value.

    Args:
        got: the tensor to judge.
        expected: the tensor that it must equal.
        tolerance: largest allowed relative difference.
        rule: the rule that the error names.
        remedy: the remedy that the error names.
        where: the place that the error names.

    Raises:
        CheckFailed: the shapes differ, or the difference is larger than the tolerance.
    """
    if got.shape != expected.shape:
        raise CheckFailed(
            rule, got=f"shapes {tuple(got.shape)} and {tuple(expected.shape)}", where=where, remedy=remedy
        )
    found = difference(got, expected)
    if not found <= tolerance:  # nan fails too
        raise CheckFailed(
            rule, got=f"a relative difference of {found:.2g}, above {tolerance:g}", where=where, remedy=remedy
        )


def keeps_shape(y: Any, x: Tensor, where: str) -> None:
    """Check that `y` is a finite tensor with the shape and dtype of `x`.

    Raises:
        CheckFailed: `y` has another shape or dtype, has a value that is not finite, or is no tensor.
    """
    if fault := wrong_output(y, x):
        rule, got, remedy = fault
        raise CheckFailed(rule, got=got, where=where, remedy=remedy)
    if y.device.type != "meta" and not torch.isfinite(y).all():
        raise CheckFailed(
            "outputs must be finite",
            got=f"{int((~torch.isfinite(y)).sum())} of {y.numel()} values that are nan or infinite",
            where=where,
            remedy="Compute sums over a map, squares and exponentials in float32, and never divide by 0.",
        )
