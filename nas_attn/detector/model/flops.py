"""GFLOPs of a model by Ultralytics itself, the figure that it prints and that people copy into tables.

It is known only for a whole model: modules do not add up in it. Its counter runs strips of 32 pixels and extrapolates,
and it adds normalisation, softmax and pooling layers of modules that Ultralytics does not fuse.
"""

from __future__ import annotations

import copy
from typing import Any


def ultralytics_gflops(model: Any, imgsz: int) -> float | None:
    """Giga floating point operations of a model after fusing, by Ultralytics' `get_flops`; None if it cannot count.

    Args:
        model: a detector of Ultralytics; it stays as it is.
        imgsz: image size in pixels.
    """
    from ultralytics.utils.torch_utils import get_flops

    fused = copy.deepcopy(model).eval().fuse(verbose=False)
    return float(get_flops(fused, imgsz)) or None
