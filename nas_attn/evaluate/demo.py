"""The embedded default: the drawn data set with the recipe and fidelity that were tuned for it."""

from __future__ import annotations

from pathlib import Path

from nas_attn.detector.demo_data import IMGSZ, NAMES, demo_data
from nas_attn.detector.environment import cache_root
from nas_attn.detector.recipe import Recipe
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator

MODEL = "yolo11n.yaml"
WIDTH = 0.125
FINAL_IMGSZ = 640  # 16 bins at this size are 3 at 128 pixels, so that all three levels are needed
RECIPE = Recipe(batch=8, lr0=4e-3, warmup_steps=30)
FIDELITY = Fidelity(epochs=12, imgsz=IMGSZ)


def demo_evaluator(root: Path | None = None) -> ProxyEvaluator:
    """The evaluator of the embedded default; draws the data set on the first call.

    Args:
        root: folder of the data set; by default in this user's cache.
    """
    data = demo_data(root or cache_root())
    return ProxyEvaluator(
        model=MODEL,
        width=WIDTH,
        data=str(data),
        nc=len(NAMES),
        final_imgsz=FINAL_IMGSZ,
        recipe=RECIPE,
    )
