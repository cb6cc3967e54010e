"""The check that the fast form of a module gives the same results as its reference form."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nas_attn.attention.forms import reference_form
from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import agree, difference, fitting, moved
from nas_attn.errors import CheckFailed

MAPS = ((1, 1), (5, 9), (19, 19), (21, 11))
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}  # relative to the largest value of a tensor
ROUNDING = 4  # a fast form may differ in float32 by so many times the rounding error of the reference form
VANISHING = 1e-6  # relative to the largest gradient, for gradients that are mathematically zero
NOUGHT = 1e-10  # a float64 gradient below this share of the largest is mathematically zero


def only_one(entry: ModuleEntry) -> str | None:
    """The reason why the check does not apply to a module with one form; None if there are two forms."""
    return "has one form" if len(entry.forms) == 1 else None


def forms(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Both forms give the same outputs, gradients and statistics, in float32 and float64."""
    channels = fitting(entry, settings)
    original = moved(entry, settings, channels)
    for height, width in MAPS:
        if entry.refusal(channels, height, width, settings) is not None:
            continue
        x = torch.randn(2, channels, height, width).double()  # values that float32 can hold
        slope = _slope(copy.deepcopy(original).double(), x)
        nought: set[str] = set()
        exact: dict[str, Tensor] = {}
        for dtype in (torch.float64, torch.float32):
            module, input_ = copy.deepcopy(original).to(dtype), x.to(dtype)
            for number, (layout, view) in enumerate(_layouts(input_)):
                where = f"{layout} {height}x{width}, {dtype}"
                fast, reference = (_run(copy.deepcopy(module), view, slope, form) for form in ("fast", "reference"))
                if dtype is torch.float64 and number == 0:
                    nought, exact = _vanishing(reference), reference
                if fast.keys() != reference.keys():
                    raise CheckFailed("both forms must use the same parameters", got=fast.keys() ^ reference.keys())
                for what, expected in reference.items():
                    if what in nought:
                        _zero(fast[what], reference, what, where)
                    else:
                        _equal(fast[what], expected, exact[what], what, where)


def _slope(module: Any, x: Tensor) -> Tensor:
    """The gradient of a loss: noise plus the sign of the output. Without the sign, sums over a map may cancel out."""
    with torch.no_grad(), reference_form():
        return (torch.randn_like(x) + module(x).sign()) * x[:, 0].numel() ** -0.5


def _layouts(x: Tensor) -> tuple[tuple[str, Tensor], ...]:
    return (
        ("contiguous", x),
        ("transposed", x.transpose(2, 3).contiguous().transpose(2, 3)),
        ("channels_last", x.contiguous(memory_format=torch.channels_last)),
    )


def _run(module: Any, x: Tensor, slope: Tensor, form: str) -> dict[str, Tensor]:
    """The results of one form: outputs in training and in inference, all gradients, and the buffers afterwards."""
    x = x.detach().requires_grad_()
    if form == "reference":
        with reference_form():
            y = module(x)
    else:
        y = module(x)
    y.backward(slope.to(y))
    result = {"output": y.detach(), "gradient of the input": x.grad}
    result |= {f"gradient of {n}": p.grad for n, p in module.named_parameters() if p.grad is not None}
    result |= {f"state {n}": b for n, b in module.named_buffers() if b.is_floating_point()}
    module.eval()
    with torch.no_grad():
        if form == "reference":
            with reference_form():
                result["output in inference"] = module(x)
            agree(module.reference(x), result["output in inference"], 0.0, "`reference_form()` must run `reference`")
        else:
            result["output in inference"] = module(x)
            agree(module.fast(x), result["output in inference"], 0.0, "`forward` must run `fast` by default")
    return result


def _largest(results: dict[str, Tensor]) -> float:
    return max((float(v.abs().max()) for k, v in results.items() if k.startswith("gradient")), default=0.0)


def _vanishing(reference: dict[str, Tensor]) -> set[str]:
    """The names of gradients that are zero except for rounding."""
    least = NOUGHT * _largest(reference)
    return {k for k, v in reference.items() if k.startswith("gradient") and not float(v.abs().max()) > least}


def _zero(fast: Tensor, reference: dict[str, Tensor], what: str, where: str) -> None:
    """Check a gradient that is mathematically zero."""
    if not float(fast.abs().max()) <= VANISHING * _largest(reference):
        raise _differ(what, f"{float(fast.abs().max()):.2g} for a {what} that is zero", where)


def _equal(fast: Tensor, expected: Tensor, exact: Tensor, what: str, where: str) -> None:
    """Check a result. It may differ more where the reference form itself is far from its float64 result, `exact`."""
    allowed = max(TOLERANCE[expected.dtype], ROUNDING * difference(expected.double(), exact))
    if fast.dtype != expected.dtype or not difference(fast, expected) <= allowed:
        raise _differ(what, f"a relative difference of {difference(fast, expected):.2g} in the {what}", where)


def _differ(what: str, got: str, where: str) -> CheckFailed:
    rule = f"both forms must have equal {'gradients' if what.startswith('gradient') else 'outputs'}"
    return CheckFailed(rule, got=got, where=where, remedy="The reference form is the definition: change `fast`.")
