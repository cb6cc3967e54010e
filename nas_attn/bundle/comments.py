"""The comment lines at the top of a model YAML: its origin, its cost, and the command that trains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nas_attn.analysis.front import difference_of
from nas_attn.analysis.posterior import posterior, verdict
from nas_attn.attention import registry
from nas_attn.bundle.card import entries
from nas_attn.environment import shell_word
from nas_attn.lines import many
from nas_attn.space import Architecture
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel


def study_lines(view: StudyView, candidate: Candidate) -> tuple[str, ...]:
    """The comment lines about a candidate: its study, its proxy runs, its scores and its cost."""
    config = view.header["config"]
    sd = f" (sd {candidate.sd:.4f})" if candidate.sd is not None else ""
    lines = [
        f"Found by nas_attn {view.header['version']}, study {view.name}, on base model {view.header['base']}.",
        f"Proxy: {many(config['epochs'], 'epoch')} at {config['imgsz']} px from {config['start']}.",
    ]
    if candidate.mean is not None:
        lines.append(f"Proxy mAP50-95 on val: {candidate.mean:.4f}{sd} over seeds {list(candidate.seeds)}.")
    if (difference := difference_of(view, candidate)) is not None and not candidate.architecture.is_base:
        said = verdict(candidate, posterior(view))
        lines.append(f"Difference to the base, estimated from all trials of the study: {difference.words()}, {said}.")
    lines.append(cost_line(candidate.cost, config["final_imgsz"]))
    if config["demo"]:
        lines.append("From the demo on generated data: its ranking does not carry over to real data.")
    return tuple(lines)


def cost_line(cost: Mapping[str, float], imgsz: int) -> str:
    """The comment line about cost, in all conventions.

    Args:
        cost: the cost, as from `Cost.as_dict`.
        imgsz: image size in pixels at which it was counted.
    """
    return (
        f"Cost at {imgsz} px: {cost['gmacs']:.4f} GMACs, {cost['params_m']:.4f} M parameters "
        f"({cost['gmacs_fvcore_default']:.4f} GMACs by fvcore's default, {cost['gflops_torch']:.4f} GFLOPs by "
        "torch's counter, fused)."
    )


def training_lines(architecture: Architecture, files: Mapping[str, str], base: BaseModel) -> tuple[str, ...]:
    """The comment lines about training: one per module of the user that is needed, then the training command.

    Args:
        architecture: the architecture; its modules are registered.
        files: digest of the source of a file of modules or layers -> path of that file.
        base: the base model, whose own layers are needed too; `yaml_text` names them.
    """
    paths = [files[source.digest] for source in base.sources if source.digest in files]
    lines, options = [], "".join(f" --layers {shell_word(path)}" for path in paths)
    for entry in entries(architecture):
        if entry.cls.__module__.startswith(registry.ZOO):
            continue
        where = files.get(entry.digest, "an installed package or another file")
        lines.append(
            f"Needs the module `{entry.name}` (digest {entry.digest}) from {where}; name files with --modules or in "
            "NAS_ATTN_MODULES."
        )
        if entry.digest in files and (option := f" --modules {shell_word(where)}") not in options:
            options += option
    return (*lines, f"Train: python -m nas_attn train THIS_FILE --data D.yaml --epochs 300{options}")
