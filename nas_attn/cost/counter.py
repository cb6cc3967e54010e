"""The counter of a model's or module's cost with fvcore: in eval mode, in its reference form, not fused."""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import TYPE_CHECKING, Any

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.cost import declared, handles
from nas_attn.cost.cost import COUNTING, ZERO, Cost
from nas_attn.cost.unseen import declared_macs, unseen_macs
from nas_attn.errors import UserError
from nas_attn.space.architecture import Gene

if TYPE_CHECKING:
    import torch
    from torch import nn


def count(
    model: nn.Module,
    height: int,
    width: int,
    channels: int = 3,
    batch: int = 1,
    *,
    extra_macs: int = 0,
    counting: int = COUNTING,
) -> Cost:
    """The cost of `model` for an input of (batch, channels, height, width).

    A model that Ultralytics can fuse is fused for `flops_torch` only. An end-to-end head (yolov10, yolo26) runs both of
    its branches until it is fused: only the branch that gives the detections is counted. `params` are of both.

    Args:
        model: a model or module; it stays as it is, in the mode it was in.
        height: of the input, in pixels or map cells.
        width: of the input.
        channels: of the input.
        batch: images.
        extra_macs: of a single module, the multiply-accumulates an image that it declares because fvcore cannot see
            them; those of a detector's modules are found by its YAML.
        counting: the rules to count by, see `COUNTING`.

    Raises:
        UserError: the model runs an op whose cost is neither listed nor declared by the module that runs it; or a
            module declares a cost for an op that has a rule.
    """
    import torch

    from nas_attn.attention.forms import reference_form

    first = next(model.parameters(), None)
    like = torch.zeros(0) if first is None else first
    x = torch.zeros(batch, channels, height, width, device=like.device, dtype=like.dtype)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        # fast forms merge and split operators: their counts say nothing about the mathematics; prints of a user's
        # module must not reach stdout
        with reference_form(), contextlib.redirect_stdout(sys.stderr):
            path = _inference_path(model) if counting > 1 else model
            by_op = _fvcore(path, x)
            extra_macs += unseen_macs(path, x[:1], counting)
            products = sum(n for op, n in by_op.items() if op in handles.PRODUCTS)
            flops = _fused_flops(model, x) if hasattr(model, "is_fused") else 2 * products
    finally:
        for module in training:
            module.training = True
    total = sum(by_op.values())
    return Cost(
        macs=total + batch * extra_macs,
        macs_fvcore_default=total - sum(by_op.get(op, 0) for op in (handles.SDPA, handles.BROADCAST, handles.DECLARED)),
        flops_torch=flops,
        params=sum(p.numel() for p in model.parameters()),
    )


def gene_cost(gene: Gene, channels: int, height: int, width: int, *, counting: int = COUNTING) -> Cost:
    """The cost of one gene's module on a (1, channels, height, width) map, by the rules of `counting`.

    Raises:
        UserError: there is no such module or setting, the channels do not allow it, or an op has no listed cost.
    """
    import torch

    entry = registry.get(gene.module)
    if entry.is_none:
        return ZERO
    settings = entry.complete(gene.as_dict())
    extra = declared_macs(entry, channels, height, width, settings, counting)
    # initial weights are drawn, and the caller's random state stays
    try:
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
            module = build_module(entry, channels, settings)
        return count(module, height, width, channels, extra_macs=extra, counting=counting)
    except SystemExit as error:  # from a user's module
        raise UserError(
            "an attention module must not end the process",
            got=f"SystemExit: {error}",
            where=f"`{gene}` at {channels} channels",
            remedy=f"Let it raise an error that says why; `python -m nas_attn modules check {entry.name}` says more.",
        ) from error


def _inference_path(model: nn.Module) -> nn.Module:
    """The model itself, or a copy whose end-to-end heads have lost the branch that only training reads."""

    def both(module: Any) -> bool:
        return None not in (getattr(module, "cv2", None), getattr(module, "one2one_cv2", None))

    if any(map(both, model.modules())):
        model = copy.deepcopy(model)
        for head in filter(both, list(model.modules())):
            head.fuse()
    return model


def _fvcore(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """op -> multiply-accumulates. `x` is on a real device, because the tracer fails at convolutions of meta tensors."""
    import torch

    handles.import_fvcore()
    from fvcore.nn import FlopCountAnalysis

    words = declared.said(model)
    with torch.no_grad():
        analysis = FlopCountAnalysis(model, x)
        noting = declared.op_handles(words, {**handles.COUNTED, **handles.ZERO})
        analysis.set_op_handle(**handles.COUNTED, **handles.ZERO, **noting)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        by_op = {op: int(n) for op, n in analysis.by_operator().items() if not op.startswith(declared.NOTE)}
        by_op[handles.DECLARED], unsaid = declared.settle(words, noting, analysis.by_module_and_operator())
        unknown = sorted(unsaid | set(analysis.unsupported_ops()))
    if unknown:
        raise UserError(
            "every op of a model must have a listed cost",
            got=", ".join(unknown),
            where=type(model).__name__,
            remedy=f"Say in the decorator of the module that runs it what it costs, `@attention(..., "
            f"costs={dict.fromkeys(unknown, 0)})`: multiply-accumulates an output element, 0 for elementwise ops.",
        )
    return by_op


def _fused_flops(model: nn.Module, x: torch.Tensor) -> int:
    """FLOPs of a copy of the model that is fused, as `torch_flops`."""
    fused: Any = copy.deepcopy(model)
    fused.fuse(verbose=False)
    return torch_flops(fused, x)


def torch_flops(model: nn.Module, x: torch.Tensor) -> int:
    """FLOPs by torch's counter, in the reference form: 2 for each multiply-accumulate of convolutions and products."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from nas_attn.attention.forms import reference_form

    # attention as its two products: not every torch's counter knows every fused kernel
    with reference_form(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())
