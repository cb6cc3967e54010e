"""Checks of the numbers that a module computes: shapes, gradients, precision, batches, repeated runs."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import SAME, agree, both_widths, difference, fitting, keeps_shape, moved
from nas_attn.conformance.surroundings import seed
from nas_attn.errors import CheckFailed

if TYPE_CHECKING:
    from torch import nn

MAPS = ((1, 1), (2, 3), (3, 20), (19, 19), (21, 11), (80, 80))
BATCHES = (1, 3)
REDUCED = 0.05  # root mean square error in 16-bit types, divided by the root mean square of the output


def maps(entry: ModuleEntry, settings: Mapping[str, Any]) -> str | None:
    """The output has the input's shape (N, C, H, W), in training and evaluation, for all of `MAPS` and `BATCHES`."""
    remarks = []
    narrow = fitting(entry, settings)
    for channels, (height, width) in itertools.product(both_widths(entry, settings), MAPS):
        if channels != narrow and height * width > 1000:
            continue  # the large map runs only once: it takes longer than all others together
        module = moved(entry, settings, channels)
        if (reason := entry.refusal(channels, height, width, settings)) is not None:
            remarks.append(f"{height}x{width} refused: {reason}")
            continue
        for batch in BATCHES:
            x = torch.randn(batch, channels, height, width)
            for training in (True, False):
                if training and batch * height * width == 1:
                    continue  # `single_value` checks this case, and a module may be excused from it
                with torch.no_grad():
                    y = module.train(training)(x.clone())
                keeps_shape(y, x, f"batch {batch} of {height}x{width}, {'training' if training else 'evaluation'}")
    return "; ".join(remarks) or None


def single_value(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module trains on one value per channel: batch 1 on a 1x1 map."""
    _every_gradient(moved(entry, settings), torch.randn(1, fitting(entry, settings), 1, 1))


def gradients(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Every parameter and the input receive a finite gradient, also on a map of one pixel."""
    for channels, (batch, height, width) in itertools.product(
        both_widths(entry, settings), ((2, 1, 1), (1, 3, 20), (2, 7, 6))
    ):
        if entry.refusal(channels, height, width, settings) is None:
            _every_gradient(moved(entry, settings, channels), torch.randn(batch, channels, height, width))


def _every_gradient(module: nn.Module, x: torch.Tensor) -> None:
    x.requires_grad_()
    y = module.train()(x)
    where = f"{tuple(x.shape)}, training"
    keeps_shape(y, x, where)
    y.square().sum().backward()
    for name, leaf in (("the input", x), *module.named_parameters()):
        if leaf.grad is None:
            raise CheckFailed(
                "every parameter must receive a gradient",
                got=f"none for {name}",
                where=where,
                remedy="Remove the parameter or use it: training on several GPUs stops at an unused parameter.",
            )
        if not torch.isfinite(leaf.grad).all():
            raise CheckFailed("gradients must be finite", got=f"nan or infinity for {name}", where=where)


def half(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module runs in float16 with an error of at most 5 %."""
    _reduced(entry, settings, torch.half)


def bfloat16(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module runs in bfloat16 with an error of at most 5 %."""
    _reduced(entry, settings, torch.bfloat16)


def _reduced(entry: ModuleEntry, settings: Mapping[str, Any], dtype: torch.dtype) -> None:
    module = moved(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 6, 5).to(dtype)
    with torch.no_grad():
        exact = module(x.float())
        module.to(dtype)
        for part in (x, x[:, :, :1, :1]):
            keeps_shape(module(part), part, f"a {part.shape[2]}x{part.shape[3]} map in {dtype}")
        _precise(module(x), exact, dtype)


def _precise(got: torch.Tensor, exact: torch.Tensor, what: object) -> None:
    error = (got.float() - exact).square().mean().sqrt() / exact.square().mean().sqrt().clamp_min(1e-3)
    if not error < REDUCED:
        raise CheckFailed(
            f"16-bit results must be within {REDUCED:.0%} of float32",
            got=f"{error:.1%} in {what}",
            remedy="Compute sums over a map, squares, and differences of similar numbers in float32, then cast back.",
        )


def large_half(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Activations of 30 times the usual size stay finite in float16, also in training."""
    channels = fitting(entry, settings, 20, 18)
    x = torch.randn(2, channels, 20, 18).mul(30).half()  # the squares of a channel sum to 5 times the float16 maximum
    module = moved(entry, settings, channels).half()
    with torch.no_grad():
        for training in (False, True):
            keeps_shape(module.train(training)(x), x, "inputs of scale 30 in torch.float16")


def autocast(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module runs under autocast to bfloat16, with float32 and with bfloat16 input."""
    module = moved(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 6, 5)
    with torch.no_grad():
        with torch.autocast(x.device.type, torch.bfloat16):
            y, reduced = module(x), module(x.bfloat16())
        keeps_shape(y.to(x.dtype), x, "float32 under autocast")  # both output types are allowed
        keeps_shape(reduced, x.bfloat16(), "bfloat16 under autocast")
        _precise(y, module(x), "autocast")


def batch_independence(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """In evaluation, a batch of two gives the outputs of two batches of one."""
    module = moved(entry, settings).eval()
    x = torch.randn(2, fitting(entry, settings), 5, 7)
    with torch.no_grad():
        agree(
            module(x),
            torch.cat([module(x[:1]), module(x[1:])]),
            SAME,
            "in evaluation, the output of an image must not depend on the other images of the batch",
            "Reduce over channels or pixels only, and keep the batch axis first in reshapes.",
        )


def deterministic(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Two equal runs give equal gradients, with deterministic algorithms on; a warning is an error."""
    module = moved(entry, settings)
    x = torch.randn(2, fitting(entry, settings), 6, 5)
    kept = {key: value.clone() for key, value in module.state_dict().items()}
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    runs = []
    torch.use_deterministic_algorithms(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            for _ in range(2):
                module.load_state_dict(kept)
                module.zero_grad()
                seed(0)  # so that dropout draws the same random numbers
                leaf = x.clone().requires_grad_()
                y = module(leaf)
                y.square().sum().backward()
                runs.append([y, leaf.grad, *(p.grad for p in module.parameters())])
    except (RuntimeError, UserWarning) as error:
        if "determinis" not in str(error):
            raise
        raise CheckFailed(
            "a module must run without a warning if deterministic algorithms are on",
            got=str(error).split(". ")[0],
            remedy="Use an operator with a deterministic gradient, or declare cannot={'deterministic': reason}.",
        ) from None
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    for first, second in zip(*runs, strict=True):
        if (first is None) != (second is None) or (first is not None and not torch.equal(first, second)):
            raise CheckFailed(
                "equal runs must give equal outputs and gradients",
                got=f"a difference of {difference(second, first):.2g}",
                remedy="Create no random generator in the module, or declare cannot={'deterministic': reason}.",
            )
