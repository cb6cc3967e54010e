"""The state of the process around a module: flags of torch, random generators, standard output."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

_FLAGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "deterministic algorithms": (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda kept: torch.use_deterministic_algorithms(kept[0], warn_only=kept[1]),
    ),
    "cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda kept: setattr(torch.backends.cudnn, "benchmark", kept),
    ),
    "cudnn.deterministic": (
        lambda: torch.backends.cudnn.deterministic,
        lambda kept: setattr(torch.backends.cudnn, "deterministic", kept),
    ),
}


def flags() -> dict[str, Any]:
    """The flags of this process that a module could change: name -> value."""
    return {name: get() for name, (get, _) in _FLAGS.items()}


def seed(number: int) -> None:
    """Seed every generator of the process."""
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)


def generators() -> dict[str, Any]:
    """The states of the random generators, as values that can be compared: library -> state."""
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state().tolist(),
        "Python": random.getstate(),
        "numpy": (np.asarray(keys).tolist(), *rest),
    }


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """A context that restores flags and random states at its end, and sends prints of modules to stderr."""
    before, python, numpy = flags(), random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(), contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for name, (get, restore) in _FLAGS.items():
            if get() != before[name]:
                restore(before[name])


@contextlib.contextmanager
def quiet(device: str) -> Iterator[None]:
    """The context `kept`, with seeded generators, one thread, full float32 products, and new tensors on `device`."""
    with kept(), contextlib.ExitStack() as stack:
        torch.set_num_threads(1)  # the maps are so small that several threads would be slower
        seed(0)
        if device != "cpu":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS is not deterministic
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            stack.enter_context(torch.device(device))
        yield
