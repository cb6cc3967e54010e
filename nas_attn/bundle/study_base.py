"""The base model of a study, from its header alone: reports, exports and bundles all read it here.

`BaseModel.for_data` makes the same model for the search itself. The fingerprint in the header proves that it is the
same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.errors import StudyChanged, UserError
from nas_attn.space import Slot
from nas_attn.study.folder import RunFolder
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel

MOST_KEYPOINTS = 600  # of an object; meshes of faces have 478


def base_of(view: StudyView) -> BaseModel:
    """The base model of a study.

    Raises:
        StudyChanged: the model's YAML is not the one that was searched.
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
            "the base model must be the one that was searched",
            got=f"another content of '{config['model']}'",
            where=f"study '{view.name}'",
            remedy="Bring back the model YAML (or the Ultralytics version) of the search.",
        )
    return base


def _with_recorded_keypoints(base: BaseModel, digest: str) -> BaseModel:
    """The base with this digest: 0.1.0 recorded the keypoints in nothing else, and the data may be gone."""
    shapes = ((number, values) for number in range(1, MOST_KEYPOINTS + 1) for values in (2, 3))
    found = (base.for_data(base.nc, shape) for shape in shapes)
    return next((b for b in found if b.fingerprint == digest), base)


def load_modules(view: StudyView) -> None:
    """Register the modules that the study brought from files, as they were then.

    Raises:
        UserError: the study's header does not name a file, or the user never named it; not with `--trust`.
    """
    from nas_attn.attention import trust, user
    from nas_attn.environment import all_trusted

    sources = [user.read(file) for file in RunFolder(view.folder).modules()]
    recorded = set((view.header["fingerprints"].get("modules") or {}).values())
    if (other := [s for s in sources if s.digest not in recorded]) and not all_trusted():
        raise UserError(
            "the module files of a study must be those that its header names",
            got=", ".join(f"{s.stem}.py with digest {s.digest}" for s in other),
            where=f"'{view.folder}'",
            remedy=f"Take them away. {trust.REMEDY}",
        )
    trust.check(sources, f"'{view.folder}'")
    user.ensure(sources)


def slots_of(view: StudyView) -> tuple[Slot, ...]:
    """The slots of a study, as its header keeps them."""
    return tuple(Slot.of(s) for s in view.header["space_slots"])
