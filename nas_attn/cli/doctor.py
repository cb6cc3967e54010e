"""`doctor`: checks this machine for everything that a search needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import shutil
import sys
from pathlib import Path

from nas_attn.cli.options import Json, Modules, use_modules
from nas_attn.lines import many, say

NAME = "doctor"
EXAMPLES = """
nas-attn doctor
"""
NEEDED = ("torch", "torchvision", "ultralytics", "optuna", "fvcore", "pandas", "plotly", "dash", "pydantic")
BUNDLES = ("onnx", "onnxruntime")


def command(modules: Modules = None, as_json: Json = False) -> int:
    """Check this machine for everything that a search needs.

    The exit code is 1 if something necessary is missing.
    """
    checks = (_python, _packages, _bundles, _opencv, _modules, _devices, _cpu, _memory, _disk, _cache, _hook)
    use_modules(modules)
    results = [check() for check in checks]
    if as_json:
        print(json.dumps({"checks": [{"check": n, "ok": ok, "found": text} for n, ok, text in results]}, indent=1))
    else:
        for name, ok, text in results:
            say(f"{'ok  ' if ok else 'FAIL'}  {name:8s}  {text}")
    return 0 if all(ok for _, ok, _ in results) else 1


Result = tuple[str, bool, str]


def _python() -> Result:
    ok = sys.version_info >= (3, 11)
    return (
        "python",
        ok,
        f"{platform.python_version()} on {platform.system()} {platform.machine()}"
        + ("" if ok else "; 3.11 or newer is needed"),
    )


def _packages() -> Result:
    found, missing = [], []
    for name in NEEDED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found) + (f"; missing: {', '.join(missing)} (pip install -e .)" if missing else "")
    return "packages", not missing, text


def _bundles() -> Result:
    lacking = [name for name in BUNDLES if importlib.util.find_spec(name) is None]
    remedy = "only `export --bundle` needs it (pip install 'nas_attn[export]', or give --no-onnx)"
    return "bundles", True, f"{' and '.join(lacking)} not installed: {remedy}" if lacking else "onnx, onnxruntime"


def _opencv() -> Result:
    from nas_attn.environment import prepare
    from nas_attn.errors import MissingPart

    try:
        prepare()
    except MissingPart as error:
        return "opencv", False, str(error)
    import cv2

    return "opencv", True, cv2.__version__


def _modules() -> Result:
    if importlib.util.find_spec("torch") is None:
        return "modules", False, "torch is missing"
    from nas_attn.attention import registry, user
    from nas_attn.errors import UserError

    try:
        entries = registry.entries()
    except UserError as error:  # from a file in NAS_ATTN_MODULES
        return "modules", False, str(error)
    own = [e for e in entries if not e.cls.__module__.startswith(registry.ZOO)]
    shown = [f"{len(entries) - len(own)} of the zoo", *(f"{e.name} of {e.origin}" for e in own)]
    shown += [f"{name} cannot be loaded: {error}" for name, error in user.BROKEN.items()]
    return "modules", not user.BROKEN, ", ".join(shown)


def _devices() -> Result:
    if importlib.util.find_spec("torch") is None:
        return "device", False, "torch is missing"
    import torch

    count = torch.cuda.device_count()
    if not count:
        return (
            "device",
            True,
            "no NVIDIA GPU: trials run on the CPU, which is slow (use a small model or a small --imgsz)",
        )
    names = ", ".join(f"{i}: {torch.cuda.get_device_name(i)}" for i in range(count))
    return "device", True, f"{names}; bf16 {'yes' if torch.cuda.is_bf16_supported() else 'no'}"


def _cpu() -> Result:
    from nas_attn.study.devices import cores, workers

    devices, threads = workers("cpu", None)
    return (
        "cpu",
        True,
        f"{many(cores(), 'core')}; by default {len(devices)} trials at a time with {many(threads, 'thread')} each",
    )


def _memory() -> Result:
    from nas_attn.study.devices import MEMORY_PER_WORKER, free_memory

    free = free_memory()
    if free is None:
        return "memory", True, "unknown on this system"
    ok = free >= MEMORY_PER_WORKER
    return "memory", ok, f"{free / 2**30:.1f} GiB free; a CPU worker needs about {MEMORY_PER_WORKER / 2**30:.0f} GiB"


def _disk() -> Result:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return "disk", free >= 1, f"{free:.1f} GiB free here"


def _cache() -> Result:
    from nas_attn.environment import cache_root

    return "cache", True, f"{cache_root()} (set NAS_ATTN_CACHE to move it)"


def _hook() -> Result:
    from nas_attn.cli.hook import describe

    return "hook", True, describe()
