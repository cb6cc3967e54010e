"""Checks of the constructor of a module, its YAML row, its settings and its names."""

from __future__ import annotations

import inspect
import itertools
import traceback
from collections.abc import Mapping
from typing import Any

import torch
import yaml
from torch import Tensor

from nas_attn.attention.decorated import refuse_unsupported
from nas_attn.attention.registry import ModuleEntry, by_class_name
from nas_attn.attention.residual import Scaled, build_module
from nas_attn.conformance.support import SAME, WIDTHS, agree, difference, fitting, move
from nas_attn.conformance.surroundings import flags, seed
from nas_attn.conformance.traces import built_aside
from nas_attn.errors import CheckFailed, SlotRefused

FORBIDDEN_CHILDREN = {"f", "i", "type", "np", "bn"}  # Ultralytics' parser and fusing step set or read these
SIDE = 24  # side of the map on which settings must differ
WIDE = 64  # channels of that map
WRITABLE = "Let `from_settings` return numbers, words and lists of these."


def construction(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """The settings reach the constructor. It refuses the same widths as `unsupported`, and has no side effects."""
    before = flags()
    for channels in WIDTHS:
        reason = entry.refusal(channels, 1, 1, settings)
        try:
            build_module(entry, channels, settings)
        except SlotRefused as error:
            if reason is None:
                raise CheckFailed(
                    f"`unsupported({channels}, ...)` must return a reason if the constructor refuses",
                    got=f"None, while the constructor says: {error}",
                ) from None
            continue
        except TypeError as error:
            callers = (inspect.getfile(build_module), inspect.getfile(refuse_unsupported))
            if traceback.extract_tb(error.__traceback__)[-1].filename not in callers:
                raise  # the constructor was called and failed inside
            raise CheckFailed(
                "settings must match the arguments of the constructor",
                got=str(error),
                remedy="Give each setting the name of its argument, or derive the arguments in `from_settings`.",
            ) from None
        if reason is not None:
            raise CheckFailed(
                "the constructor must raise SlotRefused if `unsupported` returns a reason",
                got=f"a module with {channels} channels, although {reason}",
            )
    built_aside(entry, settings, before)


def yaml_row(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """A YAML row builds the same module as the settings, also in the residual form."""
    channels = fitting(entry, settings)
    for residual in _residuals(entry):
        form = {**settings, **residual}
        name, arguments = entry.row(channels, form)
        try:
            read = yaml.safe_load(yaml.safe_dump(arguments))
        except yaml.YAMLError as error:
            raise CheckFailed("YAML must keep the arguments", got=str(error), remedy=WRITABLE) from None
        if read != arguments:
            raise CheckFailed("YAML must keep the arguments", got=f"{read} from {arguments}", remedy=WRITABLE)
        cls = Scaled if name == "Scaled" else by_class_name(name).cls
        seed(0)
        module = build_module(entry, channels, form)
        seed(0)
        twin = cls(*read)
        kept, needed = ({k: v.shape for k, v in m.state_dict().items()} for m in (module, twin))
        if kept != needed:
            raise CheckFailed("a YAML row must build the same module", got=f"weights {needed}, not {kept}")
        move(module)
        twin.load_state_dict(module.state_dict())
        x = torch.randn(2, channels, 6, 5)
        outputs = []
        for built in (twin, module):
            seed(0)
            with torch.no_grad():
                outputs.append(built.eval()(x.clone()))
        agree(outputs[0], outputs[1], SAME, "a YAML row must build the same module")


def settings_matter(entry: ModuleEntry, settings: Mapping[str, Any]) -> str | None:
    """Any two options of a setting give different weights or outputs, unless their `effective` keys are equal."""
    x = torch.randn(1, WIDE, SIDE, SIDE, dtype=torch.float64)
    _unlike_none(entry, x)
    remarks = []
    for setting in entry.settings:
        candidates = [{**settings, setting.name: option} for option in setting.options]
        fit = [s for s in candidates if entry.refusal(WIDE, SIDE, SIDE, s) is None]
        if len(fit) < 2:
            remarks.append(f"{setting.name}: fewer than 2 options fit {WIDE} channels")
        built = []
        for candidate in fit:
            torch.manual_seed(0)
            module = build_module(entry, WIDE, candidate).double().eval()
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
                changed = difference(other(x.clone()), one(x.clone()))
            if not changed > 1e-9:
                raise CheckFailed(
                    "every setting must change the network",
                    got=f"equal outputs for {setting.name} {a[setting.name]} and {b[setting.name]} on {SIDE}x{SIDE}",
                    remedy="Use the setting, remove it, or give the class an `effective(height, width, **settings)`.",
                )
    return "; ".join(remarks) or None


def _unlike_none(entry: ModuleEntry, x: Tensor) -> None:
    """The module changes a map with at least one combination of its settings."""
    unchanged = 0
    for settings in entry.combinations():
        if settings["residual"] != "none" or entry.refusal(WIDE, SIDE, SIDE, settings) is not None:
            continue
        torch.manual_seed(0)
        module = build_module(entry, WIDE, settings).double().eval()
        move(module)
        with torch.no_grad():
            if not torch.equal(module(x.clone()), x):
                return
        unchanged += 1
    if unchanged:
        raise CheckFailed(
            "a module must change its map",
            got=f"an unchanged map with {'every setting' if unchanged > 1 else 'the default settings'}",
            remedy="Every search already has a layer that changes nothing: `none`.",
        )


def names(entry: ModuleEntry, settings: Mapping[str, Any]) -> None:
    """Neither the class nor its children have a name that Ultralytics uses for something else."""
    from nas_attn.conformance.hosting import name_is_taken

    if name_is_taken(entry.cls):
        raise CheckFailed(
            "the name of a module's class must not be a name of Ultralytics",
            got=f"{entry.cls.__name__}, which is another class in Ultralytics' parser",
            remedy="Rename the class: a YAML that names it would build the other class.",
        )
    for residual in _residuals(entry):
        for path, part in build_module(entry, fitting(entry, settings), {**settings, **residual}).named_modules():
            if type(part).__module__.startswith("ultralytics."):
                continue  # Ultralytics can fuse its own layers
            if bad := FORBIDDEN_CHILDREN & {name for name, _ in part.named_children()}:
                raise CheckFailed(
                    f"children must not be called {', '.join(sorted(FORBIDDEN_CHILDREN))}",
                    got=f"{', '.join(sorted(bad))} in {path or entry.cls.__name__}",
                    remedy="Rename the attribute: Ultralytics' parser and fusing step set or read these names.",
                )


def _residuals(entry: ModuleEntry) -> tuple[dict[str, str], ...]:
    return ({},) if entry.is_none else ({"residual": "none"}, {"residual": "scaled"})
