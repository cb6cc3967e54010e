"""Checks on what a module declares: its constructor, its YAML row, its settings, its names."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
import yaml

from nas_attn.attention.registry import ModuleEntry, by_class_name
from nas_attn.attention.residual import Scaled
from nas_attn.conformance.support import SAME, WIDTHS, agree, difference, fitting, move, moved
from nas_attn.errors import CheckFailed, SlotRefused

FORBIDDEN_CHILDREN = {"f", "i", "type", "np", "bn"}  # set or read by Ultralytics' parser and fusing step
SIDE = 24  # of the map on which settings must differ
WIDE = 64  # channels there


def construction(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The settings reach the constructor, through a YAML row too, and a refused width is refused by both."""
    for channels in WIDTHS:
        reason = entry.refusal(channels, 1, 1, settings)
        try:
            entry.build(channels, settings)
        except SlotRefused as error:
            if reason is None:
                raise CheckFailed(
                    f"`unsupported({channels}, ...)` must give the reason where the constructor refuses",
                    got=f"None, while the constructor says: {error}",
                ) from None
            continue
        except TypeError as error:
            raise CheckFailed(
                "settings must resolve to arguments of the constructor",
                got=str(error),
                remedy="Name each setting as its argument, or derive the arguments in the class hook.",
            ) from None
        if reason is not None:
            raise CheckFailed(
                "the constructor must raise SlotRefused where `unsupported` gives a reason",
                got=f"a module of {channels} channels, refused because {reason}",
            )
    channels = fitting(entry, settings)
    for residual in _residuals(entry):
        name, arguments = entry.row(channels, {**settings, **residual})
        read = yaml.safe_load(yaml.safe_dump(arguments))
        if read != arguments:
            raise CheckFailed("arguments must survive YAML", got=f"{read} from {arguments}")
        cls = Scaled if name == "Scaled" else by_class_name(name).cls
        twin, module = cls(*read), moved(entry, {**settings, **residual}, channels)
        kept, needed = ({k: v.shape for k, v in m.state_dict().items()} for m in (module, twin))
        if kept != needed:
            raise CheckFailed("a YAML row must build the same module", got=f"weights {needed}, not {kept}")
        twin.load_state_dict(module.state_dict())
        x = torch.randn(2, channels, 6, 5)
        agree(twin.eval()(x), module.eval()(x), SAME, "a YAML row must build the same module")


def settings_matter(entry: ModuleEntry, settings: Mapping[str, Any]) -> str | None:
    """Each two options of each setting give other weights or outputs, unless `effective` calls them one network."""
    x = torch.randn(1, WIDE, SIDE, SIDE, dtype=torch.float64)
    remarks = []
    for setting in entry.settings:
        candidates = [{**settings, setting.name: option} for option in setting.options]
        fit = [s for s in candidates if entry.refusal(WIDE, SIDE, SIDE, s) is None]
        if len(fit) < 2:
            remarks.append(f"{setting.name}: fewer than 2 options fit {WIDE} channels")
        built = []
        for candidate in fit:
            torch.manual_seed(0)
            module = entry.build(WIDE, candidate).double().eval()
            move(module)
            built.append((candidate, module))
        for (a, one), (b, other) in itertools.combinations(built, 2):
            if entry.effective(a, SIDE, SIDE) == entry.effective(b, SIDE, SIDE):
                continue
            shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (one, other)]
            if shapes[0] != shapes[1]:
                continue
            other.load_state_dict(one.state_dict())
            with torch.no_grad():
                changed = difference(other(x), one(x))
            if not changed > 1e-9:
                raise CheckFailed(
                    "every setting must change the network",
                    got=f"equal outputs for {setting.name} {a[setting.name]} and {b[setting.name]} on {SIDE}x{SIDE}",
                    remedy="Use the setting, take it out, or give the class an `effective(height, width, **settings)`.",
                )
    return "; ".join(remarks) or None


def names(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Class and children bear no name that Ultralytics uses for something else."""
    from nas_attn.detector.hosting import name_is_taken

    if name_is_taken(entry.cls):
        raise CheckFailed(
            "a module's class must bear a name of its own",
            got=f"{entry.cls.__name__}, which Ultralytics' parser knows as something else",
            remedy="Rename the class: a YAML that names it would build the other one.",
        )
    for residual in _residuals(entry):
        for path, part in entry.build(fitting(entry, settings), {**settings, **residual}).named_modules():
            if type(part).__module__.startswith("ultralytics."):
                continue  # it knows how to fuse its own layers
            if bad := FORBIDDEN_CHILDREN & {name for name, _ in part.named_children()}:
                raise CheckFailed(
                    f"children must not be called {', '.join(sorted(FORBIDDEN_CHILDREN))}",
                    got=f"{', '.join(sorted(bad))} in {path or entry.cls.__name__}",
                    remedy="Rename the attribute: Ultralytics' parser and fusing step set or read these.",
                )


def _residuals(entry: ModuleEntry) -> tuple[dict[str, str], ...]:
    return ({},) if entry.is_none else ({"residual": "none"}, {"residual": "scaled"})
