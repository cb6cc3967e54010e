"""How cheap a proxy run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fidelity:
    """Length and size of one training.

    Attributes:
        epochs: passes over the training data.
        imgsz: image size in pixels.
        fraction: share of the training images used, in (0, 1].
    """

    epochs: int
    imgsz: int
    fraction: float = 1.0
