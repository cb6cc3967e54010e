"""Checks of recorded graphs: ONNX, and `torch.compile` without a graph break, each for one size and for any size."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.support import agree, fitting, moved
from nas_attn.detector.onnx import graph as onnx_graph
from nas_attn.errors import CheckFailed

if TYPE_CHECKING:
    from torch import Tensor, nn

EXPORTED = 1e-4  # largest relative difference to another runtime
RECORDED = (2, 7, 6)  # batch, height, width of the example
NOUGHT = 1e-6  # a float32 gradient below this share of the largest is zero except for rounding
COMPILED = (RECORDED, (3, 10, 9), (4, 5, 13))  # no batch of 1, because Dynamo compiles it again
OTHERS = ((3, 10, 9), (1, 4, 13), (1, 40, 33))  # a module that branches on the size would differ at these sizes

SIZES = "Read sizes from `x.shape` at the place of use, and write -1 in reshapes; see `forms.recording`."

BREAKS = "Remove from `forward` Python branches on tensor values, prints and item()."


def onnx(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The module can be exported for one size, as Ultralytics does it, and gives the same output in onnxruntime."""
    onnx_graph.require()
    module, x = _example(entry, settings)
    _compare(_exported(module, x, None), module, x, f"the recorded size, {tuple(x.shape)}")


def onnx_dynamic(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """One exported file gives the same outputs for other batch sizes, heights and widths."""
    onnx_graph.require()
    module, x = _example(entry, settings)
    session = _exported(module, x, {"x": {0: "n", 2: "h", 3: "w"}, "y": {0: "n", 2: "h", 3: "w"}})
    for batch, height, width in OTHERS:
        if entry.refusal(x.shape[1], height, width, settings) is None:
            other = torch.randn(batch, x.shape[1], height, width)
            _compare(session, module, other, f"{tuple(other.shape)}, recorded for {tuple(x.shape)}")


def _example(entry: ModuleEntry, settings: Mapping[str, Any]) -> tuple[nn.Module, Tensor]:
    batch, height, width = RECORDED
    channels = fitting(entry, settings, height, width)
    return moved(entry, settings, channels).eval(), torch.randn(batch, channels, height, width)


def _exported(module: nn.Module, x: Tensor, axes: onnx_graph.Axes | None) -> Any:
    return onnx_graph.open_session(onnx_graph.record(module, x, axes=axes))


def _compare(session: Any, module: nn.Module, x: Tensor, where: str) -> None:
    try:
        (y,) = onnx_graph.run(session, x.numpy())
    except onnx_graph.GraphFailed as error:
        raise CheckFailed("the exported graph must run", got=str(error)[:200], where=where, remedy=SIZES) from None
    with torch.no_grad():
        agree(torch.from_numpy(y), module(x), EXPORTED, "the exported graph must give the same output", SIZES, where)


def compile_(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`torch.compile(backend="aot_eager", fullgraph=True)` gives the same output and the same gradients."""
    channels = fitting(entry, settings, 7, 6)
    module, x = moved(entry, settings, channels), torch.randn(2, channels, 7, 6)
    expected = _with_gradients(module, x)
    with _compiled(module, "aot_eager", dynamic=False) as compiled:
        found = _with_gradients(compiled, x)
    largest = max(value.abs().max().item() for value in expected.values())
    for what, value in expected.items():
        if value.abs().max() > NOUGHT * largest or not (found[what] - value).abs().max() <= NOUGHT * largest:
            agree(found[what], value, EXPORTED, f"the compiled module must have the same {what}")


def compile_dynamic(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """`torch.compile(fullgraph=True, dynamic=True)` gives the same outputs at the first size and at two others."""
    module, x = _example(entry, settings)
    with _compiled(module, "eager", dynamic=True) as compiled, torch.no_grad():
        for batch, height, width in COMPILED:
            if entry.refusal(x.shape[1], height, width, settings) is None:
                x = torch.randn(batch, x.shape[1], height, width)
                rule = "the module compiled for any size must give the same output"
                agree(compiled(x), module(x), EXPORTED, rule, SIZES, f"{tuple(x.shape)}")


@contextlib.contextmanager
def _compiled(module: nn.Module, backend: str, *, dynamic: bool) -> Iterator[Any]:
    torch._dynamo.reset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield torch.compile(module, backend=backend, fullgraph=True, dynamic=dynamic)
    except torch._dynamo.exc.TorchDynamoException as error:
        raise CheckFailed(
            "a module must compile without a graph break",
            got=next(line for line in str(error).splitlines() if line.strip()),
            where="for any size" if dynamic else "",
            remedy=BREAKS + (" Compute sizes only with + - * // and max." if dynamic else ""),
        ) from None
    finally:
        torch._dynamo.reset()


def _with_gradients(module: Any, x: Tensor) -> dict[str, Tensor]:
    leaf = x.clone().requires_grad_()
    module.zero_grad()
    module.eval()
    y = module(leaf)
    (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    gradients = {f"gradient of {n.removeprefix('_orig_mod.')}": p.grad for n, p in module.named_parameters()}
    known = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    return {"output": y.detach(), "gradient of the input": leaf.grad, **known}
