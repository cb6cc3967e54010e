"""Remedies for exceptions that a module raised: a change to the module, or a declaration that it cannot do this."""

from __future__ import annotations

import re

from nas_attn.conformance.check import Check
from nas_attn.errors import CheckFailed

_ON_DEVICE = "Create tensors with `x.new_zeros(...)` or keep them as buffers; call neither `.cuda()` nor `.to(device)`."
_KINDS = (  # pattern for the exception's type and message -> remedy; the first match counts
    (
        r"more than 1 value per channel",
        "Batch norm needs several values per channel in training. On a map that is pooled to 1x1, use GroupNorm, or a "
        "convolution with a bias and no norm.",
    ),
    (r"pickle|local object", "Define classes and functions at the top level of the file, and store no lambda."),
    (r"ModuleNotFoundError|ImportError", "Install the imported package into this environment, or remove the import."),
    (r"NVIDIA|CUDA|same device|for device|device type|on device|meta tensor", _ON_DEVICE),
    (r"view size is not compatible|view\(\)", "Use `reshape` or `flatten` instead of `view`."),
    (
        r"inplace|in-place",
        "Write `x = x * y`, not `x *= y` or `mul_`: autograd or another layer may still need the old values.",
    ),
    (
        r"dtype|scalar type|Half|BFloat16|c10::",
        "Create tensors with the input's dtype (`x.new_zeros(...)`), and cast results of another dtype back.",
    ),
    (
        r"Kernel size|kernel size|output size|[Pp]adding|non-singleton dimension|[Ss]izes of tensors|invalid for input",
        "A map may have any size from 1x1 up, also odd and not square. Pad by k // 2, and resize maps back to "
        "`x.shape[2:]`.",
    ),
    (r"SystemExit", "Raise an error that describes the problem: SlotRefused if the width does not fit."),
)
_OTHER = "Correct that line. To see the whole traceback, build the class yourself and call it on such a map."


def remedy(error: BaseException) -> str:
    """The remedy for an exception that a module raised, in one or two sentences."""
    words = f"{type(error).__name__}: {error}"
    return next((sentence for pattern, sentence in _KINDS if re.search(pattern, words)), _OTHER)


def with_declaration(failure: CheckFailed, check: Check) -> CheckFailed:
    """The failure; if the module can declare this limit, the remedy says so too."""
    if check.excuse is None or "cannot=" in failure.remedy:
        return failure
    declare = f'cannot={{"{check.excuse}": "the reason"}} in `@attention(...)`.'
    text = f"{failure.remedy} Or declare it: {declare}" if failure.remedy else f"Correct it, or declare it: {declare}"
    return CheckFailed(failure.rule, got=failure.got, where=failure.where, remedy=text)
