"""Checks of copies of a module, of Ultralytics' EMA and of `fuse()`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import build_module
from nas_attn.conformance.support import SAME, agree, fitting, move, moved

FUSED = 1e-4  # largest relative change of an output by fusing


def copies(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Copies by deepcopy, pickle, Ultralytics' EMA and a strict state_dict have equal outputs."""
    from nas_attn.conformance.hosting import averaged

    for form in (settings,) if entry.is_none else (settings, {**settings, "residual": "scaled"}):
        module = moved(entry, form).eval()
        x = torch.randn(1, fitting(entry, settings), 5, 6)
        twin = build_module(entry, x.shape[1], form).eval()
        twin.load_state_dict(module.state_dict(), strict=True)
        ways: dict[str, Callable[[Any], Any]] = {
            "deepcopy": copy.deepcopy,
            "pickle": lambda m: pickle.loads(pickle.dumps(m)),
            "Ultralytics' EMA": averaged,
            "its state_dict": lambda _: twin,  # noqa: B023 (called within its round)
        }
        with torch.no_grad():
            expected = module(x)
            for how, make in ways.items():
                agree(
                    make(module)(x),
                    expected,
                    SAME if how.endswith("EMA") else 0.0,  # an average of equal weights has rounding errors
                    f"a copy by {how} must give the same output",
                    "Keep weights in parameters and buffers, and set everything else that `forward` needs in __init__.",
                )


def fuse(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Ultralytics' `fuse()` of a detection model with this module changes no output by more than 1e-4."""
    from nas_attn.conformance.hosting import small_detector

    name, arguments = entry.row(channels := fitting(entry, settings, 8, 8), settings)
    model, row = small_detector(name, arguments, channels)
    move(model)
    seen: list[torch.Tensor] = []
    model.model[row].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model.eval()(x)[0]
        model.fuse(verbose=False)
        after = model(x)[0]
    rule = f"`fuse()` must change no output by more than {FUSED:g}"
    remedy = "Call Ultralytics' Conv only by its own `forward`, and give no child the name `bn`."
    agree(seen[1], seen[0], FUSED, rule, remedy)
    agree(after, before, FUSED, rule, remedy)
