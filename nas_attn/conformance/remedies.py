"""Remedies for an exception that a module raised: a change to the module, or a declaration that it cannot do this."""

from __future__ import annotations

import re

from nas_attn.conformance.check import Check
from nas_attn.errors import CheckFailed

_ON_DEVICE = "Create tensors with `x.new_zeros(...)` or keep them as buffers; call neither `.cuda()` nor `.to(device)`."
_KINDS = (  # words of the exception's type and message, and the remedy; the first that fits is taken
    (
        r"more than 1 value per channel",
        "Batch norm needs several values a channel in training: on a map pooled to 1x1 take GroupNorm, or a "
        "convolution with a bias and no norm.",
    ),
    (r"pickle|local object", "Define classes and functions at the top level of the file, and keep no lambda."),
    (r"ModuleNotFoundError|ImportError", "Install what it imports into this environment, or take the import out."),
    (r"NVIDIA|CUDA|same device|for device|device type|on device|meta tensor", _ON_DEVICE),
    (r"view size is not compatible|view\(\)", "Use `reshape` or `flatten` rather than `view`."),
    (
        r"inplace|in-place",
        "Write `x = x * y`, not `x *= y` or `mul_`: what autograd or another layer still needs must stay as it is.",
    ),
    (
        r"dtype|scalar type|Half|BFloat16|c10::",
        "Create tensors with the input's dtype (`x.new_zeros(...)`), and cast back what is computed in another.",
    ),
    (
        r"Kernel size|kernel size|output size|[Pp]adding|non-singleton dimension|[Ss]izes of tensors|invalid for input",
        "A map may have any size from 1x1 up, odd and not square: pad by k // 2, and bring resized maps back to "
        "`x.shape[2:]`.",
    ),
    (r"SystemExit", "Raise an error that says what is wrong, SlotRefused for a width that does not fit."),
)
_OTHER = "Mend that line, or look at the whole traceback by building the class and calling it on such a map yourself."


def remedy(error: BaseException) -> str:
    """The remedy for an exception that a module raised, in one sentence or two."""
    words = f"{type(error).__name__}: {error}"
    return next((sentence for pattern, sentence in _KINDS if re.search(pattern, words)), _OTHER)


def with_declaration(failure: CheckFailed, check: Check) -> CheckFailed:
    """The failure; if a declaration would excuse the module, its remedy names that too."""
    if check.excuse is None or "cannot=" in failure.remedy:
        return failure
    declare = f'cannot={{"{check.excuse}": "the reason"}} in `@attention(...)`.'
    text = f"{failure.remedy} Or declare it: {declare}" if failure.remedy else f"Mend it, or declare it: {declare}"
    return CheckFailed(failure.rule, got=failure.got, where=failure.where, remedy=text)
