"""The fast forms of modules against the operator sequences in which they were published, in one run.

python tests/benchmarks/modules.py [--quick] [--json] [--device cpu|cuda] [--threads N]

Single thread, the forms of a row interleaved, medians; CPU time, or CUDA events on a GPU. Batch 4 on maps of yolo11n's
necks unless stated. Ratios are published / ours: above 1, ours takes less. With --threads, the first three modules on 1
and on N threads too: the time of a step, and that of all CPUs together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from memory import LiveBytes
from published_forms import acmix, efficient_attention, lska
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from nas_attn.attention.forms import reference_form
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.attention.zoo.lska import LSKA
from nas_attn.cost.latency import kept_for_backward, stream_ms

SLOTS = ((64, 80), (128, 40), (256, 20))  # channels and side of P3, P4 and P5 at 640 pixels
# MB an image at P3: outside, the comparison is not with what was published
KEPT_BY_PUBLISHED = {
    "acmix head 4 kernel 7": (179.0, 189.0),
    "efficient_attention, 100 tokens": (22.57, 22.59),
    "efficient_attention, 400 tokens": (53.4, 53.5),
}

Form = Callable[[nn.Module, Tensor], Tensor]


def ours(module: nn.Module, x: Tensor) -> Tensor:
    return module(x)


def as_published(form: Form) -> Form:
    """The form, with the layers of our modules as torch has them."""

    def run(module: nn.Module, x: Tensor) -> Tensor:
        with reference_form():
            return form(module, x)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="P3 only, few repeats")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="compare steps on 1 and on N CPU threads too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    slots = SLOTS[:1] if options.quick else SLOTS
    cases: list[tuple[str, Form, Callable[[], nn.Module], int, int]] = []
    for channels, side in slots:
        cases.append(("acmix head 4 kernel 7", acmix, partial(ACmix, channels, channels), channels, side))
        window = side // 10
        cases.append(("efficient_attention, 100 tokens", efficient_attention,
                      partial(EfficientAttention, channels, 8, [4, 4], [5], window), channels, side))  # fmt: skip
    cases.insert(2, ("efficient_attention, 400 tokens", efficient_attention,
                     partial(EfficientAttention, 64, 8, [4, 4], [5], 4), 64, 80))  # fmt: skip
    for k_size in (11,) if options.quick else (7, 11, 23, 35, 41, 53):
        cases.append((f"lska {k_size}", lska, partial(LSKA, 64, k_size), 64, 80))
    rows = [compare(*case, options.device, 3 if options.quick else 9, options.json) for case in cases]
    spread = [
        on_threads(*case, options.threads, 3 if options.quick else 9) for case in cases[: 3 * (options.threads > 1)]
    ]
    result = {"device": options.device, "torch": torch.__version__, "rows": rows, "threads": spread,
              "acmix_peak_gb": peaks()}  # fmt: skip
    if not options.json:
        for row in spread:
            shown = ", ".join(f"{name} {times}" for name, times in row["ms"].items())
            print(f"{row['module']:32} forward+backward, ms of time (of CPUs): {shown}")
        peak = result["acmix_peak_gb"]
        print("\nACmix in three slots, batch 16, 640 pixels, float32: bytes alive at the worst moment, GB")
        print(f"  training  published {peak['published']:.2f}  ours {peak['ours']:.2f}")
        print(f"  inference published {peak['published_inference']:.2f}  ours {peak['ours_inference']:.2f}")
    print(json.dumps(result))


def compare(
    name: str, published: Form, make: Callable[[], nn.Module], channels: int, side: int, device: str, repeats: int,
    quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """One row: times, ratios, and bytes kept for the backward pass."""
    published = as_published(published)
    module, x = make().to(device), torch.randn(4, channels, side, side, device=device)
    with torch.no_grad():
        difference = (published(module, x) - module(x)).abs().max().item()
    kept = {}
    for label, form in (("published", published), ("ours", ours)):
        leaf = x.detach().requires_grad_()
        kept[label] = kept_for_backward(module, leaf, partial(form, module)) / len(x) / 1e6
    if side == SLOTS[0][1] and name in KEPT_BY_PUBLISHED:
        low, high = KEPT_BY_PUBLISHED[name]
        if not low <= kept["published"] <= high:
            raise SystemExit(f"the published form keeps {kept['published']:.2f} MB an image, not {low} to {high}")
    steps: dict[Any, Callable[[], None]] = {
        (label, kind): partial(step, form, module, x)
        for label, form in (("published", published), ("ours", ours))
        for kind, step in (("forward", forward), ("training", training))
    }
    ms = interleaved(steps, device, repeats)
    row = {
        "module": name, "shape": [4, channels, side, side], "largest_difference": difference,
        "ms": {f"{label}_{kind}": round(t, 2) for (label, kind), t in ms.items()},
        "forward_ratio": round(ms["published", "forward"] / ms["ours", "forward"], 2),
        "training_ratio": round(ms["published", "training"] / ms["ours", "training"], 2),
        "kept_mb": {k: round(v, 2) for k, v in kept.items()},
        "kept_ratio": round(kept["published"] / kept["ours"], 2),
    }  # fmt: skip
    if not quiet:
        print(
            f"{name:32} {channels:4}x{side}x{side}  forward {ms['published', 'forward']:7.1f} ms "
            f"-> {ms['ours', 'forward']:6.1f} ({row['forward_ratio']:5.2f}x)  forward+backward "
            f"{ms['published', 'training']:7.1f} ms -> {ms['ours', 'training']:6.1f} ({row['training_ratio']:5.2f}x)  "
            f"kept {kept['published']:6.2f} MB/image -> {kept['ours']:5.2f} ({row['kept_ratio']:5.2f}x)",
            flush=True,
        )
    return row


def on_threads(
    name: str, published: Form, make: Callable[[], nn.Module], channels: int, side: int, threads: int, repeats: int
) -> dict[str, Any]:
    """A training step on one thread and on several, in turn: medians of its time, and of all CPUs' time."""
    module, x = make(), torch.randn(4, channels, side, side)
    forms = {"published": as_published(published), "ours": ours}
    spent: dict[tuple[str, int], list[tuple[float, float]]] = {(f, n): [] for f in forms for n in (1, threads)}
    for _ in range(repeats + 1):
        for (label, count), times in spent.items():
            torch.set_num_threads(count)
            clocks = time.perf_counter(), time.process_time()
            training(forms[label], module, x)
            times.append((1e3 * (time.perf_counter() - clocks[0]), 1e3 * (time.process_time() - clocks[1])))
    torch.set_num_threads(1)
    medians = {key: [statistics.median(t) for t in zip(*times[1:], strict=True)] for key, times in spent.items()}
    ms = {f"{label} on {n}": f"{wall:.0f} ({cpus:.0f})" for (label, n), (wall, cpus) in medians.items()}
    return {"module": name, "shape": [4, channels, side, side], "ms": ms}


def forward(form: Form, module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        form(module, x)


def training(form: Form, module: nn.Module, x: Tensor) -> None:
    out = form(module, x.detach().requires_grad_())
    out.backward(torch.ones_like(out))


def interleaved(steps: dict[Any, Callable[[], None]], device: str, repeats: int) -> dict[Any, float]:
    """Median ms of each step, all steps in turn; the first round warms up."""
    times: dict[Any, list[float]] = {key: [] for key in steps}
    for _ in range(repeats + 1):
        for key, step in steps.items():
            times[key].append(measured(step, device))
    return {key: statistics.median(values[1:]) for key, values in times.items()}


def measured(step: Callable[[], None], device: str) -> float:
    """ms of one step."""
    if device == "cpu":
        start = time.process_time()
        step()
        return 1e3 * (time.process_time() - start)
    return stream_ms(step)


def peaks() -> dict[str, float]:
    """GB alive at the worst moment of a step through three slots: maps, weights, gradients and all that lies between.

    On fake tensors: the same operators and sizes, no arithmetic. Inputs are what a detector holds anyway, and are left
    out.
    """
    found = {}
    for label, form in (("published", as_published(acmix)), ("ours", ours)):
        for suffix, run in (("", _train_three), ("_inference", _infer_three)):
            with FakeTensorMode():
                modules = [ACmix(channels, channels) for channels, _ in SLOTS]
                maps = [torch.empty(16, channels, side, side) for channels, side in SLOTS]
                with LiveBytes() as live:
                    run(form, modules, maps)
            found[label + suffix] = round(live.peak / 1e9, 3)
    return found


def _train_three(form: Form, modules: list[nn.Module], maps: list[Tensor]) -> None:
    out = [form(m, x.requires_grad_()) for m, x in zip(modules, maps, strict=True)]
    for y in reversed(out):  # a detector's backward pass reaches them one after another
        y.backward(torch.ones_like(y))


def _infer_three(form: Form, modules: list[nn.Module], maps: list[Tensor]) -> None:
    with torch.no_grad():
        for m, x in zip(modules, maps, strict=True):
            form(m, x)


if __name__ == "__main__":
    main()
