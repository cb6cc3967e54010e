"""A detector as an ONNX file, exported as Ultralytics exports its own, so that `YOLO("best.onnx")` reads it.

The file is recorded from the fused model with its head in export mode. It is compared with the unfused model in
evaluation mode.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.onnx import graph as onnx_graph
from nas_attn.errors import UserError
from nas_attn.tasks import HEADS

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4  # largest difference to torch: absolute for scores, relative to the channel's maximum for others
STRUCTURE = 1e-2  # the same for awakened copies, always relative: their signals and rounding errors stay large
SCORE = 4  # column of the score in a table of detections
IR_VERSION = 10  # the newest version that onnxruntime 1.18 reads


def to_onnx(model: nn.Module, base: BaseModel, imgsz: int, names: Sequence[str], *, dynamic: bool) -> bytes:
    """The content of an ONNX file: (N, 3, H, W) in [0, 1] -> the outputs of Ultralytics' own export for this task.

    Args:
        model: the built model; it is not changed.
        base: the base model, for its task and head.
        imgsz: image size in pixels. Without `dynamic`, the file takes only this size, with batch 1.
        names: names of the classes.
        dynamic: True if batch, height and width are free.

    Raises:
        MissingPart: `onnx` or `onnxruntime` is not installed.
        UserError: the model needs text features.
    """
    import torch

    onnx_graph.require()
    if HEADS[base.head].open_vocabulary:
        raise UserError(
            "a model that needs text features cannot be one ONNX file",
            got=f"{base.name}, which ends in {base.head}",
            remedy="Give --no-onnx; the YAML is complete without the ONNX file.",
        )
    graph = in_export_mode(model, fuse=True, dynamic=dynamic)
    outputs = ["output0", "output1"] if base.task == "segment" else ["output0"]
    axes = None
    if dynamic:
        dense = {0: "batch", 2: "height", 3: "width"}
        rows = {0: "batch", 1: "detections"} if is_table(model) else {0: "batch", 2: "anchors"}
        first = dense if base.task in ("semantic", "depth") else rows
        axes = {"images": dense, "output0": first}
        if base.task == "segment":
            axes["output1"] = {0: "batch", 2: "mask_height", 3: "mask_width"}
    example = torch.zeros(2 if dynamic else 1, 3, imgsz, imgsz)
    content = onnx_graph.record(graph, example, ["images"], outputs, axes)
    return _with_metadata(content, _metadata(model, base, imgsz, names, dynamic))


def in_export_mode(model: nn.Module, *, fuse: bool, dynamic: bool = False) -> Any:
    """A copy in evaluation mode whose head returns only predictions, set up as by Ultralytics' exporter.

    Args:
        model: the model; it is not changed.
        fuse: True to fuse convolutions with batch norms.
        dynamic: True if batch, height and width are free.
    """
    from ultralytics.nn.modules import C2f
    from ultralytics.nn.modules import head as heads

    own: Any = copy.deepcopy(model).float().eval()
    own.requires_grad_(False)
    if fuse:
        own = own.fuse(verbose=False)
    for layer in own.modules():
        if isinstance(layer, C2f) and fuse:
            layer.forward = layer.forward_split  # a simpler graph with the same results
        if type(layer).__module__ == heads.__name__ and hasattr(layer, "export"):
            layer.export, layer.format = True, "onnx"
            layer.dynamic, layer.shape, layer.shapes = dynamic, None, []
    return own


def awakened(model: nn.Module, imgsz: int) -> nn.Module:
    """A copy whose batch norms have the statistics of random images, so that its outputs depend on the image.

    With initial weights and statistics, the outputs hardly depend on the image: the signal shrinks from layer to layer,
    and little more than the biases of the head remains. An exported graph that loses the signal would then look right.

    Args:
        model: the model; it is not changed.
        imgsz: size of the random images in pixels.
    """
    import torch
    from torch import nn

    own: Any = copy.deepcopy(model).eval()
    for layer in own.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.train()
    with torch.no_grad():
        own(torch.from_numpy(image(2, imgsz, imgsz, seed=1)))
    return own.eval()


def is_table(model: Any) -> bool:
    """True if a model returns a table with one row per detection, instead of one column per anchor."""
    head = model.model[-1]
    return type(head).__name__ == "RTDETRDecoder" or bool(getattr(head, "end2end", False))


def image(batch: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Random images (batch, 3, height, width) in [0, 1], float32, the same on every machine.

    numpy guarantees that the stream of this generator never changes.
    """
    return np.random.RandomState(seed).random_sample((batch, 3, height, width)).astype(np.float32)


def difference(model: nn.Module, content: bytes, shape: tuple[int, int, int], floor: float = 1.0) -> float:
    """The largest difference between the outputs of an ONNX file and of its torch model.

    Differences are divided by the largest value of the same channel, or by `floor` if that is larger. The reason: boxes
    in pixels are as large as the image, and float32 numbers of this size lie 6e-5 apart, while scores are at most 1.
    In a table of detections the order of equal scores is undefined, so each row is compared with the nearest row. For
    class maps the difference is the share of pixels that differ.

    Args:
        model: the torch model; it is not changed.
        content: the content of the file.
        shape: batch, height and width of the random images that both models get.
        floor: least value to divide by.

    Returns:
        The difference; infinity if shapes differ or a value is not finite.

    Raises:
        GraphFailed: onnxruntime cannot run the file.
    """
    import torch

    x = image(*shape)
    with torch.no_grad():
        found: Any = in_export_mode(model, fuse=False)(torch.from_numpy(x))
    expected = [t.numpy() for t in (found if isinstance(found, tuple | list) else (found,))]
    got = onnx_graph.run(onnx_graph.open_session(content), x)
    if [a.shape for a in got] != [b.shape for b in expected] or not all(np.isfinite(a).all() for a in got):
        return float("inf")
    first = _rows_apart if is_table(model) else _channels_apart
    others = [_channels_apart(a, b, floor) for a, b in zip(got[1:], expected[1:], strict=True)]
    return max([first(got[0], expected[0], floor), *others])


def _channels_apart(got: np.ndarray, expected: np.ndarray, floor: float) -> float:
    if not np.issubdtype(expected.dtype, np.floating):
        return float((got != expected).mean())
    axes = tuple(i for i in range(expected.ndim) if i != 1)
    return float((np.abs(got - expected).max(axis=axes) / _scale(expected, axes, floor)).max())


def _rows_apart(got: np.ndarray, expected: np.ndarray, floor: float) -> float:
    """The difference between tables of detections: each row is compared with the nearest row of the other table.

    Rows with the lowest score are left out: if scores are equal at the cut-off, the tables may hold different rows.
    """
    scale = _scale(expected, (0, 1), floor)
    worst = 0.0
    for one, other in zip(got / scale, expected / scale, strict=True):
        apart = np.abs(one[:, None] - other[None]).max(axis=2)
        for nearest, scores in ((apart.min(axis=1), one[:, SCORE]), (apart.min(axis=0), other[:, SCORE])):
            certain = scores > scores.min() + TOLERANCE
            worst = max(worst, float(nearest[certain].max(initial=0.0)))
        worst = max(worst, float(np.abs(np.sort(one[:, SCORE]) - np.sort(other[:, SCORE])).max(initial=0.0)))
    return worst


def _scale(expected: np.ndarray, axes: tuple[int, ...], floor: float) -> np.ndarray:
    scale: np.ndarray = np.maximum(np.abs(expected).max(axis=axes), max(floor, float(np.finfo(np.float32).tiny)))
    return scale


def _metadata(model: Any, base: BaseModel, imgsz: int, names: Sequence[str], dynamic: bool) -> Mapping[str, Any]:
    """The metadata that Ultralytics' loader of ONNX files reads."""
    import ultralytics

    from nas_attn._version import __version__

    found = {
        "description": f"{base.name} with attention, by nas_attn {__version__}",
        "author": "nas_attn",
        "version": ultralytics.__version__,
        "license": "AGPL-3.0",
        "stride": int(max(model.stride)),
        "task": base.task,
        "head": base.head,
        "batch": 1,
        "imgsz": [imgsz, imgsz],
        "names": dict(enumerate(names)),
        "args": {"batch": 1, "dynamic": dynamic, "nms": False},
        "channels": 3,
        "end2end": bool(getattr(model.model[-1], "end2end", False)),
    }
    if base.task == "pose":
        found["kpt_shape"] = list(model.model[-1].kpt_shape)
    return found


def _with_metadata(content: bytes, found: Mapping[str, Any]) -> bytes:
    import onnx

    graph = onnx.load(io.BytesIO(content))
    for key, value in found.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, str(value)
    graph.ir_version = min(graph.ir_version, IR_VERSION)
    return bytes(graph.SerializeToString())
