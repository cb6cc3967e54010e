"""Checks that a module has no side effects on its input, on random numbers, on itself or on the process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.attention.residual import build_module
from nas_attn.conformance.support import agree, fitting, moved
from nas_attn.conformance.surroundings import flags, generators, seed
from nas_attn.errors import CheckFailed

if TYPE_CHECKING:
    from torch import nn


def built_aside(entry: ModuleEntry, settings: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Check that building a module changes no flag of the process and seeds no generator; it may draw numbers.

    Args:
        entry: the module.
        settings: its settings.
        before: `flags()` before the module was built for the first time.

    Raises:
        CheckFailed: a flag changed, or a generator was seeded.
    """
    channels = fitting(entry, settings)
    states = []
    for number in (1, 2):
        seed(number)
        build_module(entry, channels, settings)
        states.append(generators())
    changed = [name for name, value in flags().items() if value != before[name]]
    if changed:
        raise CheckFailed(
            "a constructor must not change the process",
            got=f"another {', '.join(changed)}",
            remedy="Remove the change from `__init__`: it affects every other module and run of this process.",
        )
    if seeded := [name for name, state in states[0].items() if state == states[1][name]]:
        raise CheckFailed(
            "a constructor must not seed random numbers",
            got=f"the same state of {seeded[0]}'s generator after two different seeds",
            remedy="Remove the seed from `__init__`: with it, runs with different seeds draw the same numbers.",
        )


def pure(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`forward` does not change its input, and in evaluation it draws no random numbers.

    In training it may draw random numbers, as dropout does: data order and augmentation of paired runs do not depend on
    the generators.
    """
    module = moved(entry, settings)
    x = torch.randn(2, fitting(entry, settings), 5, 6)
    for training in (True, False):
        given, before = x.clone(), generators()
        with torch.no_grad():
            module.train(training)(given)
        mode = "training" if training else "evaluation"
        if not torch.equal(given, x):
            raise CheckFailed(
                "`forward` must not change its input",
                got="a changed input",
                where=mode,
                remedy="Other layers read this map too: use neither `mul_` and the like on it, nor inplace=True first.",
            )
        drawn = [name for name, state in generators().items() if state != before[name]]
        if drawn and not training:
            raise CheckFailed(
                "`forward` must draw no random numbers in evaluation",
                got=f"another state of {drawn[0]}'s generator",
                remedy="Remove noise and seeds, and call `functional.dropout` with training=self.training.",
            )


def no_trace(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`forward` changes neither the module nor the process."""
    module = moved(entry, settings)
    x, other = (torch.randn(n, fitting(entry, settings), h, w) for n, h, w in ((2, 5, 6), (1, 3, 4)))
    for training in (True, False):
        module.train(training)
        before = _surroundings(entry), _attributes(module), _buffers(module, training)
        with torch.no_grad():
            first = module(x)
            module(other)
            second = module(x)
        after = _surroundings(entry), _attributes(module), _buffers(module, training)
        whats = ("the process (module globals, flags)", "attributes of the module", "its buffers")
        for what, old, new in zip(whats, before, after, strict=True):
            if old != new:
                raise CheckFailed(
                    "`forward` must have no side effects",
                    got=f"a change of {what}" + (f": {_named(old ^ new)}" if isinstance(old, set) else ""),
                    remedy="Compute values that depend on the map in `forward`, and do not store them.",
                )
        if not training:
            agree(second, first, 0.0, "the same input must give the same output again", "Keep no state between calls.")


def _surroundings(entry: ModuleEntry) -> Any:
    wanted = {entry.cls.__module__, *(n for n in sys.modules if n.startswith("nas_attn.attention"))}
    content = {
        name: {k: (id(v), len(v) if isinstance(v, dict | list | set) else 0) for k, v in vars(module).items()}
        for name in wanted
        if (module := sys.modules.get(name)) is not None
    }
    return content, flags()


def _attributes(module: nn.Module) -> set[tuple[str, str, int]]:
    """(path, name, identity) of every attribute that is not a weight, a buffer or a child."""
    return {
        (path, name, hash(value) if isinstance(value, int | float | str) else id(value))
        for path, part in module.named_modules()
        for name, value in vars(part).items()
    }


def _named(changed: set[tuple[str, str, int]]) -> str:
    return ", ".join(sorted({".".join(filter(None, (path, name))) for path, name, _ in changed}))


def _buffers(module: nn.Module, training: bool) -> list[list[float]]:
    """The values of all buffers; empty in training, because batch norms then update their statistics."""
    return [] if training else [b.flatten().tolist() for b in module.buffers()]
