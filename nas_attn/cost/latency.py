"""Latency and memory of a module, measured on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

ENOUGH = 0.2  # a measurement ends after this many seconds, within the limits of the next line
FEWEST, MOST = 3, 50  # calls of one measurement


@dataclass(frozen=True)
class Latency:
    """Time and memory of one module at one slot.

    Attributes:
        forward_ms: evaluation at batch 1, without gradients; median in milliseconds.
        step_ms: forward and backward pass in training, at the given batch size; median in milliseconds.
        saved_mb: memory that is kept for the backward pass, per image, in units of 1e6 bytes.
    """

    forward_ms: float
    step_ms: float
    saved_mb: float


def measure(
    module: nn.Module, channels: int, height: int, width: int, *, batch: int = 4, device: str = "cpu"
) -> Latency:
    """The time and memory of a module on (N, channels, height, width) maps.

    The module is moved to the device, and its gradients are cleared. On a CPU only one thread is used: on a busy
    machine, several threads would mostly wait for each other.

    Args:
        module: the module.
        channels: channels of the map.
        height: height of the map in cells.
        width: width of the map in cells.
        batch: number of images in a training step.
        device: `cpu`, or a CUDA device, on which the time is measured by events on the stream.
    """
    import torch

    module.to(device)
    one, many = (torch.randn(n, channels, height, width, device=device) for n in (1, batch))
    leaf = many.requires_grad_()

    def forward() -> None:
        with torch.no_grad():
            module(one)

    def step() -> None:
        module.zero_grad(set_to_none=True)
        leaf.grad = None
        module(leaf).sum().backward()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        module.eval()
        forward_ms = _median_ms(forward, device)
        module.train()
        step_ms = _median_ms(step, device)
    finally:
        torch.set_num_threads(threads)
    saved = kept_for_backward(module, leaf) / batch
    module.zero_grad(set_to_none=True)
    return Latency(forward_ms, step_ms, saved / 1e6)


def kept_for_backward(
    module: nn.Module, x: torch.Tensor, form: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> int:
    """Bytes that autograd keeps between the forward and the backward pass; parameters do not count.

    Args:
        module: the module whose parameters do not count.
        x: its input.
        form: a function to call instead of the module.
    """
    import torch

    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = (form or module)(x)
    del result  # it had to live until here, because a new storage can get the address of a freed one
    return sum(kept.values())


def _median_ms(call: Callable[[], Any], device: str) -> float:
    clock = _on_host if device == "cpu" else stream_ms
    call()  # not measured: the first call allocates memory, chooses algorithms and compiles
    spent = [clock(call)]
    while len(spent) < FEWEST or (sum(spent) < 1e3 * ENOUGH and len(spent) < MOST):
        spent.append(clock(call))
    return statistics.median(spent)


def _on_host(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begun)


def stream_ms(call: Callable[[], Any]) -> float:
    """Milliseconds of a call on a CUDA stream, by events."""
    import torch

    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    call()
    ended.record()
    ended.synchronize()
    return float(begun.elapsed_time(ended))
