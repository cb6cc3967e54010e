"""The fidelity of a proxy run: how cheap it is."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from nas_attn.errors import UserError


@dataclass(frozen=True)
class Fidelity:
    """The length and the size of one training.

    Attributes:
        epochs: passes over the training data.
        imgsz: image size in pixels.
        fraction: share of the training images that are used, in (0, 1].

    Raises:
        UserError: a value is not a number.
    """

    epochs: int
    imgsz: int
    fraction: float = 1.0

    def __post_init__(self) -> None:
        whole = all(isinstance(n, Integral) for n in (self.epochs, self.imgsz))
        if not whole or not isinstance(self.fraction, Real):
            rule = "a fidelity must consist of numbers: epochs, image size in pixels, share of the images"
            remedy = "Write for example: Fidelity(epochs=15, imgsz=320, fraction=0.5)."
            raise UserError(rule, got=f"{self.epochs!r}, {self.imgsz!r}, {self.fraction!r}", remedy=remedy)
