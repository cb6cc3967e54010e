"""Checks on recorded graphs: ONNX, for one size and for any, and `torch.compile` without a break."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import agree, fitting, moved
from nas_attn.errors import CheckFailed, MissingPart

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
EXPORTED = 1e-4  # relative difference that another runtime may bring
RECORDED = (2, 7, 6)  # batch, height, width of the example
NOUGHT = 1e-6  # a float32 gradient below this share of the largest is zero but for rounding
OTHERS = ((3, 10, 9), (1, 4, 13))


def onnx(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Exports as Ultralytics does it, for one size, and computes the same in onnxruntime."""
    _require()
    batch, height, width = RECORDED
    module, x = (
        moved(entry, settings).eval(),
        torch.randn(batch, fitting(entry, settings, height, width), height, width),
    )
    _compare(_exported(module, x, None), module, x, f"recorded for {tuple(x.shape)}")


def onnx_dynamic(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """One exported file computes the same for other batch sizes, heights and widths."""
    _require()
    batch, height, width = RECORDED
    module, x = (
        moved(entry, settings).eval(),
        torch.randn(batch, fitting(entry, settings, height, width), height, width),
    )
    session = _exported(module, x, {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n", 2: "h", 3: "w"}})
    for batch, height, width in OTHERS:
        if entry.refusal(x.shape[1], height, width, settings) is None:
            other = torch.randn(batch, x.shape[1], height, width)
            _compare(session, module, other, f"{tuple(other.shape)}, recorded for {tuple(x.shape)}")


def _example(entry: ModuleEntry, settings: Mapping[str, Any]) -> tuple[nn.Module, Tensor]:
    batch, height, width = RECORDED
    channels = fitting(entry, settings, height, width)
    return moved(entry, settings, channels).eval(), torch.randn(batch, channels, height, width)


def _require() -> None:
    lacking = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        raise MissingPart(f"{' and '.join(lacking)} not installed: run `pip install 'nas_attn[export]'`")


def _exported(module: nn.Module, x: Tensor, axes: dict[str, dict[int, str]] | None) -> Any:
    import onnxruntime

    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer and of deprecations: what is exported is compared
        torch.onnx.export(
            module, (x,), file, dynamo=False, opset_version=OPSET,
            input_names=["x"], output_names=["y"], dynamic_axes=axes,
        )  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what fails is reported by the check
    return onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])


def _compare(session: Any, module: nn.Module, x: Tensor, where: str) -> None:
    remedy = "Take sizes from `x.shape` where they are used, with -1 in reshapes; see `forms.recording`."
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    quiet = runtime.RunOptions()
    quiet.log_severity_level = 4
    try:
        (y,) = session.run(None, {"x": x.numpy()}, quiet)
    except (runtime.Fail, runtime.RuntimeException, runtime.InvalidArgument) as error:
        raise CheckFailed("the exported graph must run", got=str(error)[:200], where=where, remedy=remedy) from None
    with torch.no_grad():
        agree(
            torch.from_numpy(y),
            module(x),
            EXPORTED,
            f"the exported graph must compute the same on {where}",
            remedy,
        )


def compile_(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`torch.compile(backend="aot_eager", fullgraph=True)` computes the same, forward and backward."""
    channels = fitting(entry, settings, 7, 6)
    module, x = moved(entry, settings, channels), torch.randn(2, channels, 7, 6)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    expected = _with_gradients(module, x)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _with_gradients(compiled, x)
    except torch._dynamo.exc.TorchDynamoException as error:
        raise CheckFailed(
            "a module must compile without a graph break",
            got=next(line for line in str(error).splitlines() if line.strip()),
            remedy="Take Python decisions on values, printing and item() out of `forward`.",
        ) from None
    finally:
        torch._dynamo.reset()
    largest = max(value.abs().max().item() for value in expected.values())
    for what, value in expected.items():
        if value.abs().max() > NOUGHT * largest or not (found[what] - value).abs().max() <= NOUGHT * largest:
            agree(found[what], value, EXPORTED, f"the compiled module must have the same {what}")


def _with_gradients(module: Any, x: Tensor) -> dict[str, Tensor]:
    leaf = x.clone().requires_grad_()
    module.zero_grad()
    module.eval()
    y = module(leaf)
    (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    gradients = {f"gradient of {n.removeprefix('_orig_mod.')}": p.grad for n, p in module.named_parameters()}
    known = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    return {"output": y.detach(), "gradient of the input": leaf.grad, **known}
