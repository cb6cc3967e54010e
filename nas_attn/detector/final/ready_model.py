"""An exported model as Ultralytics' own class, for a script or a notebook that goes on with Ultralytics."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.atomic_files import write_text_atomic
from nas_attn.attention import user
from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.weights.start_model import save_start, start_model
from nas_attn.environment import cache_root, runs_folder
from nas_attn.errors import UserError

if TYPE_CHECKING:
    from ultralytics import YOLO


def ready_model(text: str, weights: Path | None, seed: int) -> YOLO:
    """The model of a YAML, with the tensors of a checkpoint that fit.

    The model's files lie in the cache, because a training on several GPUs reads them again in each process.

    Args:
        text: a model YAML that `yaml_text` wrote.
        weights: checkpoint of the same base, or of this model; None for initial weights.
        seed: decides the initial weights of the tensors that the checkpoint does not fill.

    Raises:
        UserError: the checkpoint is of another model, or the seed is no seed.
    """
    from nas_attn.detector.final.trainers import CarriedModules

    if not isinstance(seed, int) or seed < 0:
        raise UserError("`seed` must be a whole number, at least 0", got=repr(seed))
    content = weights.read_bytes() if weights is not None and weights.is_file() else b""
    digest = hashlib.sha256(f"{text}\n{seed}\n".encode() + content).hexdigest()[:16]
    # the name holds no scale, so that Ultralytics takes the scale in the file
    file = cache_root() / "models" / digest / "best.yaml"
    write_text_atomic(file, text)
    base, source = load_base(str(file)), file.with_suffix(".pt")
    model, _ = start_model(base, weights, seed)
    save_start(model, base.task, source)
    found = of_ultralytics(base, source)
    found.add_callback("on_train_start", CarriedModules((*user.sources(), *base.sources)))
    _hand_over()
    return found


def of_ultralytics(model: BaseModel, source: Path) -> Any:
    """The class of Ultralytics that trains a model, made from its YAML or a checkpoint."""
    from ultralytics import RTDETR, YOLO

    return RTDETR(str(source)) if model.head == "RTDETRDecoder" else YOLO(str(source), task=model.task)


def _hand_over() -> None:
    """Let Ultralytics print again, and write results into the folder that the user expects."""
    import ultralytics.utils as theirs

    theirs.VERBOSE = True
    theirs.LOGGER.setLevel(logging.INFO)
    if (folder := runs_folder()) is not None:
        # the method of this class would also write the settings file
        dict.__setitem__(theirs.SETTINGS, "runs_dir", str(folder))
