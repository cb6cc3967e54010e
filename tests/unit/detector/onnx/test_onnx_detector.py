"""Detectors as ONNX files: equal to torch for every kind of head, and a comparison that finds mistakes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.onnx import detector as onnx_model
from nas_attn.detector.onnx import graph as onnx_graph
from nas_attn.detector.weights.initial_weights import build
from nas_attn.errors import MissingPart, UserError
from nas_attn.space import Architecture

pytestmark = pytest.mark.usefixtures("one_seeded_thread")
SIZE = 64
NAMES = ("a", "b", "c")
NEEDED = pytest.mark.needs("onnx", "onnxruntime")


def made(name: str, text: str = "p3=lska(k_size=7)", seed: int = 0) -> tuple[Any, Any]:
    base = load_base(name, nc=3, width=None if "rtdetr" in name else 0.125)
    return base, build(base, all_slots(base), Architecture.parse(text), seed)[0]


@NEEDED
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("yolo11n", "p3=acmix(head=2,kernel_att=3) inner.p4.insert=lska(k_size=7)"),
        ("yolo26n", "p5=lska(k_size=7)"),
        ("yolov8n-seg", "inner.p4.replace=conv p3.head=lska(k_size=7)"),
        ("yolo26n-pose", "p3=lska(k_size=7)"),
        ("yolo11n-obb", "p3=lska(k_size=7)"),
        ("yolo26n-sem", "p3=lska(k_size=7)"),
    ],
)
def test_every_head_computes_the_same_with_signals_and_at_other_sizes(name, text):
    base, model = made(name, text)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    awake = onnx_model.awakened(model, SIZE)
    content = onnx_model.to_onnx(awake, base, SIZE, NAMES, dynamic=True)
    for shape in ((1, SIZE, SIZE), (2, SIZE, SIZE + 32)):
        assert onnx_model.difference(awake, content, shape, 0.0) < onnx_model.STRUCTURE
    fixed = onnx_model.to_onnx(model, base, SIZE, NAMES, dynamic=False)
    assert onnx_model.difference(model, fixed, (1, SIZE, SIZE)) < onnx_model.TOLERANCE
    with pytest.raises(onnx_graph.GraphFailed):
        onnx_model.difference(model, fixed, (2, SIZE, SIZE))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items()) and model.training


def test_initial_weights_hide_the_image_and_awakened_statistics_show_it():
    _, model = made("yolo11n")
    images = [torch.from_numpy(onnx_model.image(1, SIZE, SIZE, seed)) for seed in (0, 1)]
    awake = onnx_model.awakened(model, SIZE)
    asleep, awoken = (
        float((graph(images[0]) - graph(images[1])).abs().max())
        for graph in (onnx_model.in_export_mode(m, fuse=False) for m in (model, awake))
    )
    assert asleep < 1e-3 and awoken > 1


@NEEDED
@pytest.mark.parametrize("name", ["yolo11n", "yolo26n"])
def test_another_attention_module_is_another_graph(name):
    base, model = made(name, "p3=conv")
    awake = onnx_model.awakened(model, SIZE)
    other = copy.deepcopy(awake)
    with torch.no_grad():
        other.model[17].conv.weight.mul_(1.5)
    content = onnx_model.to_onnx(other, base, SIZE, NAMES, dynamic=False)
    assert onnx_model.difference(other, content, (1, SIZE, SIZE), 0.0) < onnx_model.STRUCTURE
    assert onnx_model.difference(awake, content, (1, SIZE, SIZE), 0.0) > onnx_model.STRUCTURE


def test_rows_of_a_table_may_change_places_and_their_values_may_not():
    table = np.zeros((1, 4, 6), np.float32)
    table[0, :, 4], table[0, :, 0], table[0, :, 5] = [0.9, 0.5, 0.5, 0.1], [10, 20, 30, 40], [0, 1, 2, 1]
    assert onnx_model._rows_apart(table[:, [0, 2, 1, 3]], table, 1.0) == 0
    for row, column, value in ((1, 0, 21), (0, 4, 0.8), (2, 5, 0)):
        wrong = table.copy()
        wrong[0, row, column] = value
        assert onnx_model._rows_apart(wrong, table, 1.0) > 0.01
    last = table.copy()
    last[0, 3, 0] = 77  # the cut-off score: which rows with this score are in the table is undefined
    assert onnx_model._rows_apart(last, table, 1.0) == 0


def test_scores_are_compared_as_they_are_and_pixels_by_their_size():
    expected = np.zeros((1, 2, 3), np.float32)
    expected[0, 0], expected[0, 1] = 600, 0.01
    pixels, score = expected.copy(), expected.copy()
    pixels[0, 0, 1] += 0.03
    score[0, 1, 1] += 0.0003
    assert onnx_model._channels_apart(pixels, expected, 1.0) == pytest.approx(5e-5, rel=0.01)
    assert onnx_model._channels_apart(score, expected, 1.0) == pytest.approx(3e-4, rel=0.01)
    assert onnx_model._channels_apart(score, expected, 0.0) == pytest.approx(0.03, rel=0.01)
    classes = np.array([[[0, 1], [2, 3]]], np.uint8)
    assert onnx_model._channels_apart(classes[:, ::-1], classes, 1.0) == 1
    assert onnx_model._channels_apart(classes, classes, 1.0) == 0


@NEEDED
def test_ultralytics_reads_it(tmp_path):
    from ultralytics import YOLO

    base, model = made("yolo11n")
    (tmp_path / "best.onnx").write_bytes(onnx_model.to_onnx(model, base, SIZE, NAMES, dynamic=False))
    read = YOLO(str(tmp_path / "best.onnx"))
    found = read.predict(np.zeros((SIZE, SIZE, 3), np.uint8), imgsz=SIZE, verbose=False, device="cpu")
    assert found[0].names == {0: "a", 1: "b", 2: "c"} and read.predictor.model.task == "detect"


@NEEDED
def test_text_features_and_missing_parts_are_refused(monkeypatch):
    base, model = made("yolo11n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPart, match=r"onnx and onnxruntime not installed.*nas_attn\[export\]"):
        onnx_model.to_onnx(model, base, SIZE, NAMES, dynamic=False)
    monkeypatch.undo()
    world = base.changed()
    world.yaml["head"][-1][2] = "WorldDetect"
    with pytest.raises(UserError, match=r"text features.*--no-onnx"):
        onnx_model.to_onnx(model, world, SIZE, NAMES, dynamic=False)
