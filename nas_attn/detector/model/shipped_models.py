"""The model YAMLs that the installed Ultralytics ships, and the checkpoints that it offers by name."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from nas_attn import environment
from nas_attn.atomic_files import is_file
from nas_attn.detector.model.model_yaml import read_yaml
from nas_attn.errors import MissingPart
from nas_attn.tasks import HEADS

SIZES = "tnsmbclxe"  # smallest first: yolov9 has t, s, m, c and e; yolov10 has b between m and l
_SCALE = re.compile(rf"(\d|-)([{SIZES}])(?![a-z0-9])")


@lru_cache(maxsize=1)
def packaged() -> dict[str, Path]:
    """File name without suffix -> file, for each model YAML that the installed Ultralytics ships.

    Raises:
        MissingPart: Ultralytics is not installed.
    """
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPart("Ultralytics is not installed: pip install ultralytics")
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "models"
    return {p.stem: p for p in sorted(folder.rglob("*.yaml"))}


def scale_of(model: str) -> str | None:
    """The scale in the name of a model, such as `n`; None if the name has none."""
    found = _SCALE.search(Path(model).name)
    return found[2] if found else None


def without_scale(stem: str) -> str:
    """The name of a model's family: `yolo11` for `yolo11n`."""
    return _SCALE.sub(r"\1", stem, count=1)


def at_scale(model: str, scale: str) -> str:
    """The name of the same model at another scale."""
    path = Path(model)
    return str(path.with_name(_SCALE.sub(rf"\g<1>{scale}", path.name, count=1)))


def larger_scales(model: str) -> tuple[str, ...]:
    """The larger scales of a model's family, the smallest first.

    A family is one YAML with `scales`, or one YAML for each scale. A user's own model may have any of n, s, m, l and x.
    """
    own = scale_of(model)
    if own is None:
        return ()
    stem, shipped = Path(model).name.rsplit(".", 1)[0], packaged()
    if (family := shipped.get(without_scale(stem))) is not None and len(Path(model).parts) == 1:
        known = set(read_yaml(family).get("scales") or ())
    elif stem in shipped:
        known = {s for s in SIZES if at_scale(stem, s) in shipped}
    else:
        known = set("nsmlx")
    return tuple(s for s in SIZES[SIZES.index(own) + 1 :] if s in known)


def near(stem: str) -> Iterator[str]:
    """Names of the shipped detectors, at the scale in a name that the user typed."""
    named = re.search(r"\d([nsmlx])", stem)
    yield from detectors(named[1] if named else "n")


def detectors(scale: str = "n") -> Iterator[str]:
    """The name of every base model that the installed Ultralytics ships, as `load_base` takes it.

    Args:
        scale: the scale in the names of models that have several scales.
    """
    for name, path in packaged().items():
        source = read_yaml(path)
        if source["head"][-1][2] in HEADS:
            many = len(source.get("scales") or ()) > 1
            yield re.sub(r"(\d+)", rf"\g<1>{scale}", name, count=1) if many else name


def is_named(checkpoint: str | Path) -> bool:
    """True for a bare file name that belongs to a shipped model, unless the working directory has such a file."""
    path = Path(checkpoint)
    if path.suffix != ".pt" or str(path) != path.name or is_file(path):
        return False
    model = yaml_of(path)
    return model in packaged() or without_scale(model) in packaged()


def yaml_of(checkpoint: str | Path) -> str:
    """The name of the shipped model of a named checkpoint; yolov5nu.pt is of the present yolov5n."""
    return Path(checkpoint).stem.removesuffix("u")


def located(checkpoint: str | Path) -> Path:
    """The file of a checkpoint: in Ultralytics' folder of weights, if it is named by its name only."""
    return environment.weights_folder() / checkpoint if is_named(checkpoint) else Path(checkpoint)


def absent(checkpoint: str | Path | None) -> bool:
    """True if Ultralytics knows the checkpoint by name and its folder of weights does not have it."""
    return checkpoint is not None and is_named(checkpoint) and not is_file(located(checkpoint))
