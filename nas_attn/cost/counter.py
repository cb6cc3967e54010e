"""Counts the cost of a model or module with fvcore: in eval mode, in the reference form, not fused."""

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
    its branches until it is fused; only the branch that gives the detections is counted. `params` includes both.

    Args:
        model: a model or module; it is not changed.
        height: height of the input, in pixels of an image or cells of a map.
        width: width of the input, in the same unit.
        channels: channels of the input.
        batch: number of images.
        extra_macs: for a single module: multiply-accumulates per image that it declares because fvcore cannot count
            them. For the modules of a detector, they are found from its YAML.
        counting: version of the counting rules, see `COUNTING`.

    Raises:
        UserError: the model runs an op whose cost is neither listed nor declared by the module that runs it, or a
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
        # fast forms merge and split operators, so their counts do not describe the mathematics; prints of a user's
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
    """The cost of the module of one gene on a (1, channels, height, width) map, by the rules of `counting`.

    Raises:
        UserError: there is no such module or setting, it does not fit the channels, or an op has no listed cost.
    """
    import torch

    entry = registry.get(gene.module)
    if entry.is_none:
        return ZERO
    settings = entry.complete(gene.as_dict())
    extra = declared_macs(entry, channels, height, width, settings, counting)
    # building draws random weights; the random state of the caller must not change
    try:
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
            module = build_module(entry, channels, settings)
        return count(module, height, width, channels, extra_macs=extra, counting=counting)
    except SystemExit as error:  # from a user's module
        raise UserError(
            "an attention module must not end the process",
            got=f"SystemExit: {error}",
            where=f"`{gene}` at {channels} channels",
            remedy=f"Raise an error with the reason instead. See `python -m nas_attn modules check {entry.name}`.",
        ) from error


def _inference_path(model: nn.Module) -> nn.Module:
    """The model itself, or a copy whose end-to-end heads do not have the branch that only training needs."""

    def both(module: Any) -> bool:
        return None not in (getattr(module, "cv2", None), getattr(module, "one2one_cv2", None))

    if any(map(both, model.modules())):
        model = copy.deepcopy(model)
        for head in filter(both, list(model.modules())):
            head.fuse()
    return model


def _fvcore(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Op -> multiply-accumulates. `x` is not on the meta device, because the tracer fails at convolutions there."""
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
            remedy=f"Declare the cost in the decorator of the module that runs the op, `@attention(..., "
            f"costs={dict.fromkeys(unknown, 0)})`: multiply-accumulates per output element, 0 for elementwise ops. For "
            "a layer of --layers, write the same dictionary as the attribute `costs` of its class.",
        )
    return by_op


def _fused_flops(model: nn.Module, x: torch.Tensor) -> int:
    """The result of `torch_flops` for a fused copy of the model."""
    fused: Any = copy.deepcopy(model)
    fused.fuse(verbose=False)
    return torch_flops(fused, x)


def torch_flops(model: nn.Module, x: torch.Tensor) -> int:
    """FLOPs by torch's counter, in the reference form: 2 per multiply-accumulate of convolutions and products."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from nas_attn.attention.forms import reference_form

    # attention is computed as two products, because the counters of some torch versions do not know all fused kernels
    with reference_form(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops())
