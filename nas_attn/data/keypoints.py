"""The keypoints of a data.yaml, and their check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas_attn.errors import DataError, UserError
from nas_attn.tasks import others

NO_FLIP = "`fliplr` is off: images are mirrored only if `flip_idx` in data.yaml tells which keypoints change places."


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a data set.

    Attributes:
        shape: (keypoints per object, values per keypoint); 2 values are x, y and 3 values are x, y, visibility.
        flip: for each keypoint, the keypoint that it becomes in a mirrored image; None if data.yaml has none.
        sigmas: for each keypoint, its spread in the object keypoint similarity; None for Ultralytics' values.
    """

    shape: tuple[int, int]
    flip: tuple[int, ...] | None = None
    sigmas: tuple[float, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Ultralytics' keys of a data.yaml. The shape is a list, because Ultralytics compares it with a list."""
        found: dict[str, Any] = {"kpt_shape": list(self.shape)}
        if self.flip is not None:
            found["flip_idx"] = list(self.flip)
        if self.sigmas is not None:
            found["kpt_oks_sigmas"] = list(self.sigmas)
        return found


def kpt_shape(spec: dict[str, Any]) -> tuple[int, int] | None:
    """The `kpt_shape` of a data.yaml; None if it is missing or invalid."""
    found = spec.get("kpt_shape")
    if not isinstance(found, list) or len(found) != 2 or not all(type(v) is int for v in found):
        return None
    return (found[0], found[1]) if found[0] > 0 and found[1] in (2, 3) else None


def check_keypoints(spec: dict[str, Any], where: str, problems: list[UserError]) -> Keypoints | None:
    """The keypoints of a data.yaml; None if its `kpt_shape` is missing or wrong.

    Args:
        spec: content of the data.yaml.
        where: path of the data.yaml.
        problems: receives one `DataError` for each mistake.
    """
    shape = kpt_shape(spec)
    if shape is None:
        given = spec.get("kpt_shape")
        rule = "a pose data set must have `kpt_shape`: number of keypoints, and 2 (x, y) or 3 (x, y, visible)"
        remedy = f"Add e.g. `kpt_shape: [17, 3]`, or use a base model for the task of the data: {others('pose')}."
        problems.append(DataError(rule, got="none" if given is None else repr(given), where=where, remedy=remedy))
        return None
    count = shape[0]
    flip, sigmas = spec.get("flip_idx"), spec.get("kpt_oks_sigmas")
    if flip and not _mirrors(flip, count):
        rule = f"`flip_idx` must give, for each of the {count} keypoints, the one that it becomes in a mirrored image"
        remedy = "Keypoints change places in pairs: for 1 and 2 of three, write `flip_idx: [0, 2, 1]`."
        problems.append(DataError(rule, got=repr(flip), where=where, remedy=remedy))
        flip = None
    if sigmas and not _positive(sigmas, count):
        rule = f"`kpt_oks_sigmas` must be {count} numbers above 0, one for each keypoint"
        remedy = "Leave it out to use Ultralytics' values."
        problems.append(DataError(rule, got=repr(sigmas), where=where, remedy=remedy))
        sigmas = None
    return Keypoints(shape, tuple(flip) if flip else None, tuple(map(float, sigmas)) if sigmas else None)


def _mirrors(flip: Any, count: int) -> bool:
    """True if mirroring twice returns every keypoint to itself."""
    if not isinstance(flip, list) or len(flip) != count or not all(type(i) is int for i in flip):
        return False
    return all(0 <= i < count for i in flip) and all(flip[j] == i for i, j in enumerate(flip))


def _positive(sigmas: Any, count: int) -> bool:
    if not isinstance(sigmas, list) or len(sigmas) != count:
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in sigmas)
