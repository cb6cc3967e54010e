"""The base model and slots of a study, and its architectures as model YAMLs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from nas_attn.errors import StudyChanged
from nas_attn.space import Slot
from nas_attn.study.folder import RunFolder
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from nas_attn.detector.base_model import BaseModel


def yaml_maker(view: StudyView) -> Callable[[Candidate], str]:
    """A function that writes a candidate's model YAML; loads what it needs at its first call."""

    @lru_cache(maxsize=1)
    def base() -> BaseModel:
        return base_of(view)

    def make(candidate: Candidate) -> str:
        from nas_attn.detector.export import yaml_text

        return yaml_text(
            base(),
            slots_of(view),
            candidate.architecture,
            final_nc=len(view.header["classes"]),
            comments=comments(view, candidate),
        )

    return make


def base_of(view: StudyView) -> BaseModel:
    """The base model of a study.

    Raises:
        StudyChanged: the model's YAML is another one than it was then.
    """
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.environment import prepare

    prepare()
    load_modules(view)
    config = view.header["config"]
    base = load_base(config["model"], nc=len(view.header["classes"]), width=config["width"])
    if base.fingerprint != view.header["fingerprints"]["base"]:
        raise StudyChanged(
            "the base model must be the one that was searched",
            got=f"another content of '{config['model']}'",
            where=f"study '{view.name}'",
            remedy="Bring back the model YAML (or the Ultralytics version) of the search.",
        )
    return base


def load_modules(view: StudyView) -> None:
    """Register the modules that the study brought from files, as they were then."""
    from nas_attn.attention import user

    user.ensure(user.read(file) for file in RunFolder(view.folder).modules())


def slots_of(view: StudyView) -> tuple[Slot, ...]:
    """The slots of a study, as its header keeps them."""
    return tuple(Slot.of(s) for s in view.header["space_slots"])


def comments(view: StudyView, candidate: Candidate) -> list[str]:
    """What a model YAML says of its own origin."""
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
    cost = candidate.cost
    lines.append(
        f"Cost at {config['final_imgsz']} px: {cost['gmacs']:.4f} GMACs, {cost['params_m']:.4f} M parameters "
        f"({cost['gmacs_fvcore_default']:.4f} GMACs by fvcore's default, {cost['gflops_ultralytics']:.4f} GFLOPs as "
        "Ultralytics counts)."
    )
    if config["demo"]:
        lines.append("From the demo on generated data: its ranking does not carry over to real data.")
    own = view.header["fingerprints"].get("modules") or {}
    files = {f.parent.name: f for f in RunFolder(view.folder).modules()}
    needed = sorted({own[g.module] for _, g in candidate.architecture if g.module in own})
    options = "".join(f" --modules {files[digest]}" for digest in needed if digest in files)
    for digest in needed:
        name = next(n for n, d in own.items() if d == digest)
        where = files.get(digest, "an installed package, or a file of its own")
        lines.append(f"Needs the module `{name}` (digest {digest}) of {where}; NAS_ATTN_MODULES may name files, too.")
    lines.append(f"Train: python -m nas_attn train THIS_FILE --data D.yaml --epochs 300{options}")
    return lines
