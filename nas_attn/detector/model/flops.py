"""GFLOPs of a model as Ultralytics counts them: the number that it prints and that people copy into tables.

The number exists only for a whole model; the numbers of modules do not add up to it. Ultralytics' counter runs strips
of 32 pixels and extrapolates. It also counts normalisation, softmax and pooling layers of modules that Ultralytics does
not fuse.
"""

from __future__ import annotations

import copy
from typing import Any


def ultralytics_gflops(model: Any, imgsz: int) -> float | None:
    """GFLOPs (10⁹ floating point operations) of the fused model, by Ultralytics' `get_flops`; None if that fails.

    Args:
        model: a detector of Ultralytics; it is not changed.
        imgsz: image size in pixels.
    """
    from ultralytics.utils.torch_utils import get_flops

    fused = copy.deepcopy(model).eval().fuse(verbose=False)
    return float(get_flops(fused, imgsz)) or None
