"""The seconds and the memory of a training, from a few steps on random images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

START = 3.0  # seconds before the first step of a trial: model and data loader
BATCHES = 3  # measured batches, after one for warm-up


@dataclass(frozen=True)
class StepTime:
    """The time and the memory of a few training steps.

    Attributes:
        seconds: of one image, forward and backward.
        gigabytes: largest memory of the process, or of the GPU; None if it is unknown.
    """

    seconds: float
    gigabytes: float | None

    def of_trial(self, epochs: int, train: float, scored: int) -> float:
        """The seconds of a trial.

        Args:
            epochs: number of epochs.
            train: images per epoch.
            scored: images that are validated at its end.
        """
        # a forward pass takes a third of a training step
        return START + self.seconds * (epochs * train + scored / 3)


def step_time(model: nn.Module, batch: int, imgsz: int, device: str, threads: int) -> StepTime:
    """Measure forward and backward passes of a detector.

    Args:
        model: the detector; it is moved to the device.
        batch: images of a step.
        imgsz: size of the images in pixels.
        device: `cpu` or `cuda`.
        threads: CPU threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model.to(device).train()
        images = torch.rand(batch, 3, imgsz, imgsz, device=device)
        times, gigabytes = [], 0.0
        for _ in range(BATCHES + 1):
            began = time.perf_counter()
            loss = _total(model(images))
            gigabytes = max(gigabytes, _gigabytes(device))  # all maps are kept until the backward pass
            loss.backward()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return StepTime(min(times[1:]) / batch, gigabytes or None)


def _gigabytes(device: str) -> float:
    """The memory of this process, or of the GPU; 0 if it is unknown."""
    if device == "cuda":
        return float(torch.cuda.max_memory_reserved()) / 1e9
    try:
        import psutil
    except ImportError:
        return 0.0
    return float(psutil.Process().memory_info().rss) / 1e9


def _total(output: Any) -> Any:
    """The sum over all tensors in a detector's nested training output."""
    if isinstance(output, torch.Tensor):
        return output.float().sum()
    if isinstance(output, dict):
        return sum(_total(v) for v in output.values())
    if isinstance(output, list | tuple):
        return sum(_total(v) for v in output)
    return 0.0
