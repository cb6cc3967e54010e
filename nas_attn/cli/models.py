"""The base model and slots of a study, its architectures as model YAMLs, and what `export` ships."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nas_attn.errors import SlotRefused, StudyChanged, UserError
from nas_attn.space import Architecture, Gene, Slot
from nas_attn.study.folder import RunFolder
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from nas_attn.bundle.write import Winner
    from nas_attn.detector.model.base_model import BaseModel

MOST_KEYPOINTS = 600  # of an object; meshes of faces have 478


def yaml_maker(view: StudyView) -> Callable[[Candidate], str]:
    """A function that writes a candidate's model YAML; loads what it needs at its first call."""

    @lru_cache(maxsize=1)
    def base() -> BaseModel:
        return base_of(view)

    def make(candidate: Candidate) -> str:
        from nas_attn.detector.neck.export import yaml_text

        return yaml_text(
            base(),
            slots_of(view),
            candidate.architecture,
            final_nc=len(view.header["classes"]),
            comments=[*comments(view, candidate), *training(view, candidate)],
        )

    return make


def base_of(view: StudyView) -> BaseModel:
    """The base model of a study.

    Raises:
        StudyChanged: the model's YAML is another one than it was then.
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
    """The base whose digest this is: 0.1.0 recorded the keypoints in nothing else, and the data may be gone."""
    shapes = ((number, values) for number in range(1, MOST_KEYPOINTS + 1) for values in (2, 3))
    found = (base.for_data(base.nc, shape) for shape in shapes)
    return next((b for b in found if b.fingerprint == digest), base)


def load_modules(view: StudyView) -> None:
    """Register the modules that the study brought from files, as they were then.

    Raises:
        UserError: a file is none that the study's header names, or the user never named it; not with `--trust`.
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


def comments(view: StudyView, candidate: Candidate) -> list[str]:
    """What a model YAML says of its own origin."""
    from nas_attn.bundle.comments import cost_line

    config = view.header["config"]
    sd = f" (sd {candidate.sd:.4f})" if candidate.sd is not None else ""
    lines = [
        f"Found by nas_attn {view.header['version']}, study {view.name}, on base model {view.header['base']}.",
        f"Proxy: {config['epochs']} epochs at {config['imgsz']} px from {config['start']}.",
    ]
    if candidate.mean is not None:
        lines.append(f"Proxy mAP50-95 on val: {candidate.mean:.4f}{sd} over seeds {list(candidate.seeds)}.")
    if candidate.delta is not None:
        lines.append(f"Difference to the base at equal seeds: {candidate.delta:+.4f}.")
    lines.append(cost_line(candidate.cost, config["final_imgsz"]))
    if config["demo"]:
        lines.append("From the demo on generated data: its ranking does not carry over to real data.")
    return lines


def training(view: StudyView, candidate: Candidate) -> list[str]:
    """What a model YAML says of how it is trained; module files are those that the run folder keeps."""
    from nas_attn.bundle.comments import training_lines

    return training_lines(candidate.architecture, {f.parent.name: str(f) for f in RunFolder(view.folder).modules()})


def winner_of_study(study: str | None, runs: Path, pick: str, max_gmacs: float | None) -> tuple[Winner, list[str]]:
    """What a study's pick ships as, and how its YAML is trained.

    Raises:
        UserError: nothing fits.
        StudyChanged: the base model is another one than was searched.
    """
    from nas_attn.analysis.front import pick as choose
    from nas_attn.bundle.scores import scores
    from nas_attn.bundle.write import Winner
    from nas_attn.study import load_study
    from nas_attn.study.config_sources import study_name

    view = load_study(study_name(study), runs=runs)
    candidate = choose(view, pick, max_gmacs)
    winner = Winner(
        base_of(view),
        slots_of(view),
        candidate.architecture,
        tuple(view.header["classes"]),
        view.header["config"]["final_imgsz"],
        comments=tuple(comments(view, candidate)),
        study=scores(view, candidate),
    )
    return winner, training(view, candidate)


def winner_of_architecture(
    text: str, model: str, *, nc: int | None, width: float | None, imgsz: int
) -> tuple[Winner, list[str]]:
    """What an architecture without a study ships as, and how its YAML is trained.

    Raises:
        UserError: no such model, slot, module or setting, or values that do not fit.
    """
    from nas_attn._version import __version__
    from nas_attn.attention import user
    from nas_attn.bundle.card import count
    from nas_attn.bundle.comments import cost_line, training_lines
    from nas_attn.bundle.write import Winner
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import all_slots
    from nas_attn.environment import prepare

    prepare()
    if nc is not None and nc < 1:
        raise UserError("`--nc` must be at least 1", got=nc)
    base = load_base(model, nc=nc, width=width)
    slots = all_slots(base)
    say_what_it_holds(base)
    stride = max(s.stride for s in slots)
    if imgsz <= 0 or imgsz % stride:
        raise UserError(f"`--imgsz` must be a multiple of the model's stride {stride}", got=imgsz)
    architecture = named_architecture(text, slots, imgsz)
    cost, _ = count(base, slots, architecture, imgsz)
    said = [
        f"Written by nas_attn {__version__} on base model {base.name}; no study stands behind it.",
        cost_line(cost.as_dict(), imgsz),
    ]
    classes = tuple(map(str, range(base.nc)))
    files = {s.digest: str(f) for s in user.sources() if (f := _file_of(s.names))}
    return Winner(base, slots, architecture, classes, imgsz, comments=tuple(said)), training_lines(architecture, files)


def say_what_it_holds(base: BaseModel) -> None:
    """A line on stderr where a base model holds attention already."""
    from nas_attn.detector.model.held_attention import held_note

    if note := held_note(base):
        print(note, file=sys.stderr)


def named_architecture(text: str, slots: tuple[Slot, ...], imgsz: int) -> Architecture:
    """The architecture that a text writes, settings written out; `none` at the slots behind blocks that it leaves out.

    Raises:
        UserError: no such slot, module or setting, or one that cannot stand there at this image size.
    """
    from nas_attn.attention import registry
    from nas_attn.detector.neck.slots import canonical

    by_name = {s.name: s for s in slots}
    genes = {}
    for name, gene in canonical(Architecture.parse(text), slots, where=text):
        entry = registry.get(gene.module, where=text)
        settings = entry.complete(gene.as_dict(), where=text)
        size = by_name[name].map_size(imgsz)
        if reason := entry.refusal(by_name[name].channels, size, size, settings):
            raise SlotRefused(f"`{gene}` cannot stand at {name}: {reason}", where=text)
        genes[name] = Gene.of(gene.module, settings)
    return Architecture.of({**dict(Architecture.none(n for n in by_name if "." not in n)), **genes})


def _file_of(modules: tuple[str, ...]) -> str:
    from nas_attn.attention import registry

    return next((registry.get(name).origin for name in modules), "")
