"""The base model of a study, made from the study's header. Reports, exports and bundles use it.

The search makes the same model with `BaseModel.for_data`. The fingerprint in the header proves that both are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.errors import StudyChanged, UserError
from nas_attn.space import Slot
from nas_attn.study.folder import RunFolder
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel

MOST_KEYPOINTS = 600  # per object; face meshes have 478


def base_of(view: StudyView) -> BaseModel:
    """The base model of a study. Modules from the user's files are registered first.

    Raises:
        StudyChanged: the model YAML has changed since the search.
        UserError: a module file of the study is not trusted.
    """
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.environment import prepare

    prepare()
    load_modules(view)
    config, digest = view.header["config"], view.header["fingerprints"]["base"]
    base = load_base(config["model"], width=config["width"])
    base = base.for_data(len(view.header["classes"]), view.header.get("kpt_shape"))
    if "kpt_shape" not in view.header and base.task == "pose":
        base = _with_recorded_keypoints(base, digest)
    if base.fingerprint != digest:
        raise StudyChanged(
            "the base model must be the same as in the search",
            got=f"another content of '{config['model']}'",
            where=f"study '{view.name}'",
            remedy="Restore the model YAML, or install the Ultralytics version, of the search.",
        )
    return base


def _with_recorded_keypoints(base: BaseModel, digest: str) -> BaseModel:
    """The base whose fingerprint is `digest`, found by trying all shapes of keypoints.

    Release 0.1.0 did not record the shape, and the data may no longer exist.
    """
    shapes = ((number, values) for number in range(1, MOST_KEYPOINTS + 1) for values in (2, 3))
    found = (base.for_data(base.nc, shape) for shape in shapes)
    return next((b for b in found if b.fingerprint == digest), base)


def load_modules(view: StudyView) -> None:
    """Register the modules and layers that the study took from files, from the copies in its run folder.

    Raises:
        UserError: the header of the study does not name a copy, or the user never named its file. `--trust` allows
            both.
    """
    from nas_attn.attention import trust, user
    from nas_attn.environment import all_trusted

    sources = [user.read(file) for file in RunFolder(view.folder).modules()]
    recorded = {d for kind in ("modules", "layers") for d in (view.header["fingerprints"].get(kind) or {}).values()}
    if (other := [s for s in sources if s.digest not in recorded]) and not all_trusted():
        raise UserError(
            "the module files in a run folder must be those that the study's header names",
            got=", ".join(f"{s.stem}.py with digest {s.digest}" for s in other),
            where=f"'{view.folder}'",
            remedy=f"Remove the other files. {trust.REMEDY}",
        )
    trust.check(sources, f"'{view.folder}'")
    user.ensure(sources)


def slots_of(view: StudyView) -> tuple[Slot, ...]:
    """The slots of a study, from its header."""
    return tuple(Slot.of(s) for s in view.header["space_slots"])
