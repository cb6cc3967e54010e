"""A checkpoint with our modules, in a process that imports only Ultralytics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import write_yaml
from nas_attn.detector.neck.slots import find_slots
from nas_attn.space import Architecture

ARCHITECTURE = Architecture.parse("p3=lska(k_size=7) p4=none p5=acmix(head=4,kernel_att=3,residual=scaled)")
TRAIN = (
    "epochs=1, imgsz=64, batch=4, device='cpu', workers=0, plots=False, verbose=False, amp=False, seed=0, "
    "optimizer='SGD', lr0=0.01, mosaic=0.0"
)

# without an import of nas_attn: unpickling the checkpoint imports it
FRESH = """
import json, sys
from ultralytics import YOLO
model = YOLO({best!r})
loaded = 'nas_attn' in sys.modules
metrics = model.val(data={data!r}, imgsz=64, batch=4, device='cpu', workers=0, plots=False, project={out!r}, name='v')
model.train(data={data!r}, project={out!r}, name='again', {train})
kinds = sorted({{type(m).__name__ for m in model.model.modules() if type(m).__module__.startswith('nas_attn')}})
saved = YOLO({out!r} + '/again/weights/last.pt').model
kinds_saved = sorted({{type(m).__name__ for m in saved.modules() if type(m).__module__.startswith('nas_attn')}})
print(json.dumps([loaded, float(metrics.box.map), kinds, kinds_saved]))
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images, each with one bright square."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for i in range(6):
        image = rng.integers(0, 90, (64, 64, 3), dtype=np.uint8)
        x, y = rng.integers(0, 40, 2)
        image[y : y + 24, x : x + 24] = 230
        Image.fromarray(image).save(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels" / f"{i}.txt").write_text(f"0 {(x + 12) / 64} {(y + 12) / 64} 0.375 0.375\n")
    path = tmp_path / "data.yaml"
    path.write_text(yaml.safe_dump({"path": str(tmp_path), "train": "images", "val": "images", "names": ["square"]}))
    return path


def test_a_checkpoint_loads_validates_and_trains_on(tmp_path, data):
    base = load_base("yolo11n", width=0.125)
    model_yaml = tmp_path / "best.yaml"
    write_yaml(model_yaml, base, find_slots(base), ARCHITECTURE, final_nc=1)
    run(
        f"import nas_attn; from ultralytics import YOLO; YOLO({str(model_yaml)!r}).train("
        f"data={str(data)!r}, project={str(tmp_path)!r}, name='first', {TRAIN})",
        tmp_path,
    )
    best = tmp_path / "first" / "weights" / "best.pt"
    out = run(FRESH.format(best=str(best), data=str(data), out=str(tmp_path), train=TRAIN), tmp_path)
    loaded, precision, kinds, kinds_saved = json.loads(out.splitlines()[-1])
    assert loaded and 0 <= precision <= 1
    assert kinds == kinds_saved == ["ACmix", "DepthwiseConv2d", "LSKA", "Scaled"]
