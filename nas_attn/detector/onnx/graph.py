"""ONNX graphs, exported by torch and run by onnxruntime, without any output of the two libraries."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.errors import MissingPart

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

OPSET = 17  # the newest opset whose operators all run in onnxruntime 1.18, the oldest allowed, on CPU and CUDA
Axes = Mapping[str, Mapping[int, str]]


class GraphFailed(Exception):
    """onnxruntime refuses a graph or fails to run it; the message is the reason."""


def require() -> None:
    """Check that ONNX files can be written and run on this machine.

    Raises:
        MissingPart: `onnx` or `onnxruntime` is not installed.
    """
    lacking = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if lacking:
        raise MissingPart(f"{' and '.join(lacking)} not installed: run `pip install 'nas_attn[export]'`")


def record(
    module: nn.Module,
    x: Tensor,
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    axes: Axes | None = None,
) -> bytes:
    """The content of an ONNX file for a module in evaluation mode.

    Args:
        module: a module that takes one tensor.
        x: the example input for the trace.
        inputs: names of the inputs.
        outputs: names of the outputs, in order.
        axes: input or output -> axis -> name of the axis, for axes of free size.
    """
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad(), no_output():  # torch prints the graph if an operator is unknown
        warnings.simplefilter("ignore")  # tracer and deprecations: the file is compared with torch anyway
        torch.onnx.export(
            module, (x,), file, dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=list(outputs), dynamic_axes=axes,
        )  # fmt: skip
    return file.getvalue()


def open_session(content: bytes) -> Any:
    """An `onnxruntime.InferenceSession` on one CPU thread that logs nothing.

    Raises:
        GraphFailed: onnxruntime refuses the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # the caller reports failures
    with _failures():
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(session: Any, x: np.ndarray) -> list[np.ndarray]:
    """The outputs of a graph for one input array.

    Raises:
        GraphFailed: onnxruntime fails to run the graph.
    """
    import onnxruntime

    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4
    with _failures():
        outputs: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: x}, quiet)
    return outputs


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    known = (
        runtime.Fail, runtime.RuntimeException, runtime.InvalidArgument, runtime.InvalidGraph, runtime.InvalidProtobuf,
        runtime.NotImplemented,
    )  # fmt: skip
    try:
        yield
    except known as error:
        raise GraphFailed(str(error)) from None


@contextlib.contextmanager
def no_output() -> Iterator[None]:
    """A context that drops the standard output of compiled code, which `redirect_stdout` does not catch."""
    sys.stdout.flush()
    held = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(held, 1)
        os.close(held)
