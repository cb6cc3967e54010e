"""Lines at the top of a model YAML: what it costs, and what to type."""

from __future__ import annotations

from collections.abc import Mapping

from nas_attn.attention import registry
from nas_attn.bundle.card import entries
from nas_attn.space import Architecture


def cost_line(cost: Mapping[str, float], imgsz: int) -> str:
    """The cost in all conventions.

    Args:
        cost: as `Cost.as_dict`.
        imgsz: image size in pixels at which it was counted.
    """
    return (
        f"Cost at {imgsz} px: {cost['gmacs']:.4f} GMACs, {cost['params_m']:.4f} M parameters "
        f"({cost['gmacs_fvcore_default']:.4f} GMACs by fvcore's default, {cost['gflops_torch']:.4f} GFLOPs by "
        "torch's counter, fused)."
    )


def training_lines(architecture: Architecture, files: Mapping[str, str]) -> list[str]:
    """Which modules of the user's own it needs, and the command that trains it.

    Args:
        architecture: what is inserted; its modules are registered.
        files: digest of a module file's source -> where that file lies.
    """
    lines, options = [], ""
    for entry in entries(architecture):
        if entry.cls.__module__.startswith(registry.ZOO):
            continue
        where = files.get(entry.digest, "an installed package, or a file of its own")
        lines.append(
            f"Needs the module `{entry.name}` (digest {entry.digest}) of {where}; NAS_ATTN_MODULES may name files, too."
        )
        if entry.digest in files and f" --modules {where}" not in options:
            options += f" --modules {where}"
    return [*lines, f"Train: python -m nas_attn train THIS_FILE --data D.yaml --epochs 300{options}"]
