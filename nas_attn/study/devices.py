"""The workers of a search: their number, and the device of each."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nas_attn.errors import UserError

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time per period, and the period
MEMORY_PER_WORKER = 2 * 2**30  # bytes; a CPU worker with torch, Ultralytics and a small detector holds about 1.3 GB


def workers(device: str | None, jobs: int | None) -> tuple[tuple[str, ...], int]:
    """The device of each worker, and the number of CPU threads per worker.

    Args:
        device: `cpu`, `cuda`, or GPU indices such as `0,1`; None means all GPUs, or the CPU if there is no GPU.
        jobs: number of workers; None means one per GPU. On the CPU, None means one per core, but no more than fit
            into the free memory.

    Returns:
        One entry per worker, `cpu` or a value for CUDA_VISIBLE_DEVICES; and the CPU threads of each worker.

    Raises:
        UserError: the value of `device` is not valid, or this machine has no such device.
    """
    gpus = _gpus(device)
    if gpus:
        count = jobs or len(gpus)
        return tuple(gpus[i % len(gpus)] for i in range(count)), max(1, cores() // count)
    free = free_memory()
    room = cores() if free is None else free // MEMORY_PER_WORKER
    count = jobs or max(1, min(cores(), room))
    return ("cpu",) * count, max(1, cores() // count)


def cores() -> int:
    """The number of CPU cores that this process may use: its affinity, and the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text("ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no control groups of version 2, or `max`: no quota
        return allowed


def _gpus(device: str | None) -> list[str]:
    """The GPUs that `device` means, as entries for CUDA_VISIBLE_DEVICES; empty for the CPU."""
    if device == "cpu":
        return []
    if device == "mps":
        raise UserError(
            "`--device` must be cpu, cuda or GPU indices such as 0,1",
            got="mps: on Apple's GPU, torch cannot repeat a training exactly, so trials would not compare",
            remedy="Use --device cpu.",
        )
    if device is not None and device != "cuda" and not re.fullmatch(r"\d+(,\d+)*", device):
        raise UserError(
            "`--device` must be cpu, cuda or GPU indices such as 0,1",
            got=f"'{device}'",
            remedy="Or leave it out: then all GPUs are used, or the CPU if there is none.",
        )
    import torch

    count = torch.cuda.device_count()
    if count == 0:
        if device is None:
            return []
        raise UserError(
            f"`--device {device}` needs an NVIDIA GPU that torch can use",
            got="none",
            remedy="Use --device cpu. `python -m nas_attn doctor` lists the devices of this machine.",
        )
    chosen = range(count) if device in (None, "cuda") else [int(i) for i in str(device).split(",")]
    if missing := [i for i in chosen if i >= count]:
        raise UserError(f"`--device` must name GPUs from 0 to {count - 1}", got=", ".join(map(str, missing)))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")  # indices count only the GPUs that this process may see
    names = visible.split(",") if visible else [str(i) for i in range(count)]
    return [names[i] for i in chosen]


def free_memory() -> int | None:
    """Bytes of memory that can be used without swapping; None if the system does not tell."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)
