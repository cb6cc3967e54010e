"""Checks on copies of a module, on what Ultralytics does with one, and on what a forward pass leaves behind."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import SAME, agree, fitting, move, moved
from nas_attn.errors import CheckFailed

if TYPE_CHECKING:
    from torch import nn

FUSED = 1e-4  # relative change of an output that fusing may bring


def copies(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """deepcopy, pickle, Ultralytics' EMA and a strict state_dict give a module of equal output."""
    from nas_attn.detector.hosting import averaged

    for form in (settings,) if entry.is_none else (settings, {**settings, "residual": "scaled"}):
        module = moved(entry, form).eval()
        x = torch.randn(1, fitting(entry, settings), 5, 6)
        twin = entry.build(x.shape[1], form).eval()
        twin.load_state_dict(module.state_dict(), strict=True)
        with torch.no_grad():
            expected = module(x)
            for how, make in (
                ("deepcopy", copy.deepcopy),
                ("pickle", lambda m: pickle.loads(pickle.dumps(m))),
                ("Ultralytics' EMA", averaged),
                ("its state_dict", lambda _, same=twin: same),
            ):
                agree(
                    make(module)(x),
                    expected,
                    SAME if how.endswith("EMA") else 0.0,  # an average of equal weights is rounded
                    f"a copy by {how} must compute the same",
                    "Keep weights in parameters and buffers, and nothing else that `forward` needs outside __init__.",
                )


def fuse(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Inside a detection model, Ultralytics' `fuse()` changes no output by more than 1e-4."""
    from nas_attn.detector.hosting import small_detector

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
    remedy = "Take Ultralytics' Conv only with its own `forward`, and call no child `bn`."
    agree(seen[1], seen[0], FUSED, rule, remedy)
    agree(after, before, FUSED, rule, remedy)


def no_trace(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`forward` changes neither its input, nor the module, nor anything around it."""
    module = moved(entry, settings)
    x, other = (torch.randn(n, fitting(entry, settings), h, w) for n, h, w in ((2, 5, 6), (1, 3, 4)))
    kept = x.clone()
    for training in (True, False):
        module.train(training)
        before = _surroundings(entry), _attributes(module), _buffers(module, training)
        with torch.no_grad():
            first = module(x)
            module(other)
            second = module(x)
        after = _surroundings(entry), _attributes(module), _buffers(module, training)
        if not torch.equal(x, kept):
            raise CheckFailed("`forward` must leave its input as it is", got="a changed one", remedy="Copy it first.")
        whats = ("the process (module globals, flags, random state)", "attributes of the module", "its buffers")
        for what, old, new in zip(whats, before, after, strict=True):
            if old != new:
                raise CheckFailed(
                    "`forward` must leave no trace",
                    got=f"other {what}" + (f": {_named(old ^ new)}" if isinstance(old, set) else ""),
                    remedy="Compute what depends on the map in `forward`, without keeping it.",
                )
        agree(second, first, 0.0, "the same input must give the same output again", "Keep no state between calls.")


def _surroundings(entry: ModuleEntry) -> Any:
    wanted = {entry.cls.__module__, *(n for n in sys.modules if n.startswith("nas_attn.attention"))}
    content = {
        name: {k: (id(v), len(v) if isinstance(v, dict | list | set) else 0) for k, v in vars(module).items()}
        for name in wanted
        if (module := sys.modules.get(name)) is not None
    }
    flags = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled())
    return content, flags, torch.get_rng_state().tolist()


def _attributes(module: nn.Module) -> set[tuple[str, str, int]]:
    """Path, attribute and identity of its value, for all that stands beside weights, buffers and children."""
    return {
        (path, name, hash(value) if isinstance(value, int | float | str) else id(value))
        for path, part in module.named_modules()
        for name, value in vars(part).items()
    }


def _named(changed: set[tuple[str, str, int]]) -> str:
    return ", ".join(sorted({".".join(filter(None, (path, name))) for path, name, _ in changed}))


def _buffers(module: nn.Module, training: bool) -> list[list[float]]:
    """Values of all buffers; none in training, when batch norms keep statistics."""
    return [] if training else [b.flatten().tolist() for b in module.buffers()]
