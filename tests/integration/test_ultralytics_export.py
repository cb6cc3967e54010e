"""Ultralytics' own `model.export`, which replaces `forward` in some blocks, for blocks with attention inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import write_yaml
from nas_attn.detector.neck.slots import all_slots
from nas_attn.space import Architecture


@pytest.mark.needs("onnx", "onnxruntime")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of Ultralytics' own head
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolov5n"])
def test_the_onnx_file_computes_what_the_model_does(name, tmp_path, monkeypatch):
    import onnxruntime
    from ultralytics import YOLO

    monkeypatch.chdir(tmp_path)  # where Ultralytics writes the file of an untrained model
    base = load_base(name, nc=2, width=0.125)
    architecture = Architecture.parse("p3.head=lska(k_size=7) inner.p4.insert=se inner.p5.replace=lska(k_size=7)")
    write_yaml(tmp_path / "best.yaml", base, all_slots(base), architecture, final_nc=2)
    model = YOLO(tmp_path / "best.yaml")
    torch.manual_seed(1)
    for module in model.model.modules():  # without this, outputs of an untrained model shrink to zero
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1, 2)
            torch.nn.init.normal_(module.bias)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = model.model.eval()(x)[0].numpy()
    file = model.export(format="onnx", imgsz=64, simplify=False, verbose=False)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)
