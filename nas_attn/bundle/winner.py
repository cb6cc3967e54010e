"""A winner: the base, the slots and the architecture that are exported as a YAML or a bundle.

It comes from a candidate of a study, or from an architecture that the user names. Commands and the Python API use only
this module for it. Nothing heavy is imported early, because the dashboard and the report work without torch.
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
    """An architecture to export, with everything that its YAML and its bundle need.

    Attributes:
        base: the base model, with the class count of the final training.
        slots: its slots.
        architecture: the gene at each slot.
        classes: names of the classes.
        imgsz: image size of the final training in pixels; costs are counted and ONNX files are made for it.
        seed: seed of the initial weights, used if `weights` is None.
        weights: checkpoint of a finished training of the exported YAML, or None.
        comments: comment lines for the top of the YAML, about its origin.
        training: comment lines about training, for a YAML without a bundle. A bundle writes its own.
        study: the `scores` of the candidate; None without a study.
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
        """The text of the model YAML, with the comment lines about its origin and its training at the top."""
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
            weights: checkpoint of the base or of this model, as a file or as a name that Ultralytics knows: each tensor
                that fits goes to its layer.
            seed: decides the initial weights of the tensors that `weights` does not fill.

        Raises:
            DownloadFailed: the checkpoint is not here and could not be downloaded.
            UserError: the weights are of another model.
        """
        from nas_attn.environment import prepare

        prepare()
        from nas_attn.detector.final.ready_model import ready_model
        from nas_attn.detector.model.named_checkpoints import fetched

        return ready_model(self.yaml(), fetched(weights, lambda text: None) if weights is not None else None, seed)


def winner_of_candidate(view: StudyView, candidate: Candidate) -> Winner:
    """The winner for a candidate of a study, with its scores.

    Raises:
        StudyChanged: the base model has changed since the search.
    """
    from nas_attn.bundle.scores import scores

    return replace(_winner(view, candidate, base_of(view)), study=scores(view, candidate))


def winner_of_architecture(text: str, model: NamedModel) -> Winner:
    """The winner for an architecture on a base model, without a study.

    Args:
        text: the architecture as text, e.g. `p3=acmix(head=4)`.
        model: the base model.

    Raises:
        UserError: there is no such slot, module or setting, or a gene does not fit its slot.
    """
    from nas_attn._version import __version__
    from nas_attn.attention import layers, registry, user
    from nas_attn.bundle.card import count
    from nas_attn.bundle.comments import cost_line, training_lines

    architecture = named_architecture(text, model.slots, model.imgsz)
    cost, _ = count(model.base, model.slots, architecture, model.imgsz)
    origins = {s.digest: next((registry.get(name).origin for name in s.names), "") for s in user.sources()}
    origins |= {file.source.digest: file.path for file in layers.files()}
    return Winner(
        model.base,
        model.slots,
        architecture,
        tuple(map(str, range(model.base.nc))),
        model.imgsz,
        comments=(
            f"Written by nas_attn {__version__} on base model {model.base.name}, without a study.",
            cost_line(cost.as_dict(), model.imgsz),
        ),
        training=training_lines(architecture, {k: str(v) for k, v in origins.items() if v}, model.base),
    )


def yaml_maker(view: StudyView) -> Callable[[Candidate], str]:
    """A function that returns the model YAML of a candidate as text. It loads the base at its first call."""
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
        training=training_lines(candidate.architecture, files, base),
    )
