"""A YAML with attention inside its blocks, trained by Ultralytics itself, and trained again from its checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import write_yaml
from nas_attn.detector.neck.slots import all_slots
from nas_attn.space import Architecture

TRAIN = "epochs=1, imgsz=64, batch=8, workers=0, device='cpu', plots=False, verbose=False, seed=1"
BOTH = f"""if True:
    import json, sys, torch
    from pathlib import Path
    from ultralytics import YOLO
    def kinds(model):
        return sorted({{type(m).__name__ for m in model.modules() if "nas_attn" in type(m).__module__}})
    def train(source, name):
        model = YOLO(source)
        model.train(data=sys.argv[1], project=str(Path.cwd()), name=name, {TRAIN})
        found = YOLO(f"{{name}}/weights/best.pt").model
        finite = all(torch.isfinite(t).all() for t in found.state_dict().values())
        return kinds(found), len(found.state_dict()), bool(finite)
"""


def stock(code: str, folder, data) -> object:
    """The last line that a new interpreter prints, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", BOTH + code, str(data)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_stock_training_from_the_yaml_and_from_the_checkpoint(tiny_data, tmp_path):
    base = load_base("yolo11n", nc=3, width=0.125)
    architecture = Architecture.parse(
        "lateral.p4=lska(k_size=7) inner.p3.insert=lska(k_size=7) inner.p4.replace=acmix(head=2) inner.p5.insert=eca"
    )
    write_yaml(tmp_path / "mine.yaml", base, all_slots(base), architecture, final_nc=3)
    first = stock("    import nas_attn; print(json.dumps(train('mine.yaml', 'first')))", tmp_path, tiny_data)
    second = stock("    print(json.dumps(train('first/weights/best.pt', 'second')))", tmp_path, tiny_data)
    assert first == second
    names, tensors, finite = first
    assert {"C3k2WithAttention", "AttentionBottleneck", "AttentionConv", "ACmix", "LSKA", "ECAAttention"} <= {*names}
    assert tensors > len(base.build().state_dict()) and finite
