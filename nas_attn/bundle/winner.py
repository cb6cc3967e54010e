"""A winner: the base, the slots and the architecture that leave as a YAML or a bundle, of a study or without one.

This is the one truth about them, for the commands and for Python. Nothing heavy is imported before it is needed: the
dashboard and the report work without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.bundle.named_model import NamedModel, named_architecture
from nas_attn.bundle.study_base import base_of, slots_of
from nas_attn.errors import UserError
from nas_attn.space import Architecture, Slot
from nas_attn.study.folder import RunFolder
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from ultralytics import YOLO

    from nas_attn.detector.model.base_model import BaseModel


@dataclass(frozen=True)
class Winner:
    """An architecture with everything that its YAML and its bundle are made from.

    Attributes:
        base: the base model with the final training's class count.
        slots: its slots.
        architecture: the modules in them.
        classes: names of the classes.
        imgsz: image size of the final training in pixels: cost is counted at it, ONNX files are made for it.
        seed: of the initial weights, if no trained ones are given.
        weights: checkpoint of a finished training of the exported YAML.
        comments: lines for the top of the YAML, about its origin.
        training: further lines for a YAML that stands alone, about its training. A bundle writes its own.
        study: the study's `scores`; None without a study.
    """

    base: BaseModel
    slots: tuple[Slot, ...]
    architecture: Architecture
    classes: tuple[str, ...]
    imgsz: int = 640
    seed: int = 0
    weights: Path | None = None
    comments: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    study: Mapping[str, Any] | None = field(default=None, hash=False)

    def yaml(self) -> str:
        """The model YAML, with the lines about its origin and its training at the top."""
        from nas_attn.detector.neck.export import yaml_text

        lines = (*self.comments, *self.training)
        return yaml_text(self.base, self.slots, self.architecture, final_nc=len(self.classes), comments=lines)

    def write(self, path: Path, *, force: bool = False) -> Path:
        """Write the model YAML, whole or not at all; returns the path.

        Raises:
            UserError: the file exists and `force` is not set, or its name would make Ultralytics build another scale.
        """
        from nas_attn.atomic_files import check_free, write_text_atomic
        from nas_attn.detector.neck.export import check_name

        if path.suffix not in (".yaml", ".yml"):
            raise UserError("a model YAML must be named .yaml or .yml, or Ultralytics refuses it", got=f"'{path}'")
        check_free([path], force)
        check_name(path, self.base)
        write_text_atomic(path, self.yaml())
        return path

    def model(self, weights: Path | None = None, seed: int = 0) -> YOLO:
        """The model as Ultralytics' own class, ready to train.

        Args:
            weights: checkpoint of the base or of this model: each tensor that fits goes to its layer.
            seed: of the initial weights that `weights` does not fill.

        Raises:
            UserError: the weights are of another model.
        """
        from nas_attn.environment import prepare

        prepare()
        from nas_attn.detector.final.ready_model import ready_model

        return ready_model(self.yaml(), weights, seed)


def winner_of_candidate(view: StudyView, candidate: Candidate) -> Winner:
    """A candidate of a study, with its scores.

    Raises:
        StudyChanged: the base model is not the one that was searched.
    """
    from nas_attn.bundle.scores import scores

    return replace(_winner(view, candidate, base_of(view)), study=scores(view, candidate))


def winner_of_architecture(text: str, model: NamedModel) -> Winner:
    """An architecture on a base model, without a study.

    Raises:
        UserError: there is no such slot, module or setting, or one cannot stand there.
    """
    from nas_attn._version import __version__
    from nas_attn.attention import registry, user
    from nas_attn.bundle.card import count
    from nas_attn.bundle.comments import cost_line, training_lines

    architecture = named_architecture(text, model.slots, model.imgsz)
    cost, _ = count(model.base, model.slots, architecture, model.imgsz)
    origins = {s.digest: next((registry.get(name).origin for name in s.names), "") for s in user.sources()}
    return Winner(
        model.base,
        model.slots,
        architecture,
        tuple(map(str, range(model.base.nc))),
        model.imgsz,
        comments=(
            f"Written by nas_attn {__version__} on base model {model.base.name}; no study stands behind it.",
            cost_line(cost.as_dict(), model.imgsz),
        ),
        training=training_lines(architecture, {k: str(v) for k, v in origins.items() if v}),
    )


def yaml_maker(view: StudyView) -> Callable[[Candidate], str]:
    """A function that writes a candidate's model YAML; it loads the base at its first call."""
    base = lru_cache(maxsize=1)(lambda: base_of(view))
    return lambda candidate: _winner(view, candidate, base()).yaml()


def _winner(view: StudyView, candidate: Candidate, base: BaseModel) -> Winner:
    from nas_attn.bundle.comments import study_lines, training_lines

    files = {f.parent.name: str(f) for f in RunFolder(view.folder).modules()}
    return Winner(
        base,
        slots_of(view),
        candidate.architecture,
        tuple(view.header["classes"]),
        view.header["config"]["final_imgsz"],
        comments=study_lines(view, candidate),
        training=training_lines(candidate.architecture, files),
    )
