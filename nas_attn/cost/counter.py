"""Counting a module's cost with fvcore, in eval mode, as it stands (not fused)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from nas_attn.attention import registry
from nas_attn.cost import handles
from nas_attn.cost.cost import ZERO, Cost
from nas_attn.errors import UserError
from nas_attn.space.architecture import Gene

if TYPE_CHECKING:
    import torch
    from torch import nn


def count(model: nn.Module, height: int, width: int, channels: int = 3, batch: int = 1, *, extra_macs: int = 0) -> Cost:
    """The cost of `model` for an input of (batch, channels, height, width).

    A model that Ultralytics can fuse is fused for `flops_ultralytics` only. yolo26 runs both of its heads before it is
    fused, and one of them after: its `macs` count both, its `flops_ultralytics` one.

    Args:
        model: a model or module; it stays as it is, in the mode it was in.
        height: of the input, in pixels or map cells.
        width: of the input.
        channels: of the input.
        batch: images.
        extra_macs: what the modules inside declare that fvcore cannot see, in multiply-accumulates
            an image.

    Raises:
        UserError: the model runs an op for which no cost is listed.
    """
    import torch

    first = next(model.parameters(), None)
    like = torch.zeros(0) if first is None else first
    x = torch.zeros(batch, channels, height, width, device=like.device, dtype=like.dtype)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        by_op = _fvcore(model, x)
        flops = _flops_ultralytics(model, x)
    finally:
        for module in training:
            module.training = True
    total = sum(by_op.values())
    return Cost(
        macs=total + batch * extra_macs,
        macs_fvcore_default=total - by_op.get(handles.SDPA, 0),
        flops_ultralytics=flops,
        params=sum(p.numel() for p in model.parameters()),
    )


def gene_cost(gene: Gene, channels: int, height: int, width: int) -> Cost:
    """The cost of one gene's module on a (1, channels, height, width) map.

    Raises:
        UserError: no such module or setting, or one that the channels do not allow, or an op without a listed cost.
    """
    entry = registry.get(gene.module)
    if entry.is_none:
        return ZERO
    settings = entry.complete(gene.as_dict())
    extra = entry.extra_macs(channels, height, width, settings)
    return count(entry.build(channels, settings), height, width, channels, extra_macs=extra)


def _fvcore(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """op -> multiply-accumulates. On a real device: the tracer does not get through convolutions on meta tensors."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad():
        analysis = FlopCountAnalysis(model, x).set_op_handle(**handles.COUNTED, **handles.ZERO)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_op = {op: int(n) for op, n in analysis.by_operator().items()}
        unknown = analysis.unsupported_ops()
    if unknown:
        raise UserError(
            "every op of a model must have a listed cost",
            got=", ".join(sorted(unknown)),
            where=type(model).__name__,
            remedy="List it in nas_attn/cost/handles.py, with a handle if it multiplies and adds.",
        )
    return by_op


def _flops_ultralytics(model: nn.Module, x: torch.Tensor) -> int:
    """2 a multiply-accumulate of convolutions and matrix products, in the fused form where there is one."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = copy.deepcopy(model)
    if hasattr(model, "fuse") and hasattr(model, "is_fused"):
        model = model.fuse(verbose=False)
    else:
        model, x = model.to("meta"), x.to("meta")  # shapes are all it takes
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())
