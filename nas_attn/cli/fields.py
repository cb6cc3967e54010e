"""Options made from the fields of a configuration: type, default and help come from the field."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from nas_attn.study.config_sources import comma_separated, modules_given

FLAGS = {  # options that are not named like their field
    "arms": ["--arm"], "earlier": ["--from"], "first": ["--try"], "module_files": ["--modules"],
}  # fmt: skip
METAVARS = {
    "data": "D.yaml", "weights": "W.pt", "slots": "NAME,...", "modules": "NAME,...|FILE.py", "module_files": "FILE",
    "layers": "FILE", "storage": "URL", "earlier": "OLD", "base": '"p3=... p4=..."', "kinds": "NAME,...",
    "arms": '"p5=..."', "first": '"p5=..."', "scales": "s,m", "jobs": "N|auto",
}  # fmt: skip
COMMAS = ("slots", "kinds", "scales")  # several names in one text
TEXTS = ("jobs",)  # a number or a word
REPEATED = ("arms", "first", "modules", "module_files", "layers")
UNSHOWN = ("model", "start", "epochs", "imgsz")  # no default is printed: the help text names it, or the demo differs


def option(config: type[BaseModel], name: str, text: str | None = None) -> Any:
    """The Typer option of a field. Its help is `text`, or the description of the field with the default in brackets."""
    found = config.model_fields[name]
    text, default = text or found.description or "", found.default
    if name not in UNSHOWN and default not in (None, PydanticUndefined):
        text += f" [{'yes' if default is True else f'{default:g}' if isinstance(default, float) else default}]"
    return typer.Option(*FLAGS.get(name, ()), metavar=METAVARS.get(name), help=text.replace(" [", " [default: "))


def _type(config: type[BaseModel], name: str) -> Any:
    """The type of a field's option: text, unless the field is a number or a flag; None means that it was not given."""
    if name in REPEATED:
        return list[str] | None
    if name in TEXTS:
        return str | None
    annotation = config.model_fields[name].annotation
    return next((kind for kind in (bool, int, float) if kind in (annotation, *get_args(annotation))), str) | None


@dataclass(frozen=True)
class FieldOptions:
    """The annotation of a command's parameter that stands for several options, one for each field.

    Attributes:
        config: the configuration.
        names: its fields, in the order of the help.
        help: help texts in place of the fields' descriptions.
    """

    config: type[BaseModel]
    names: tuple[str, ...]
    help: Mapping[str, str] = field(default_factory=dict)

    def parameters(self, group: inspect.Parameter) -> list[inspect.Parameter]:
        """One parameter for each field, in the form that Typer reads; they replace `group`."""
        types = {n: Annotated[_type(self.config, n), option(self.config, n, self.help.get(n))] for n in self.names}
        return [group.replace(name=name, default=None, annotation=kind) for name, kind in types.items()]

    def given(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields whose options were given. All fields of this group are removed from the option values `values`."""
        found: dict[str, Any] = {}
        for name in self.names:
            if (value := values.pop(name)) is not None:
                said = comma_separated(value) if name in COMMAS else value
                found |= modules_given(said) if name in ("modules", "module_files") else {name: said}
        return found


def with_fields(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """A decorator that turns a parameter annotated with `FieldOptions` into one Typer option for each field.

    The command receives that parameter as a dictionary of the fields whose options were given.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, FieldOptions] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        parameters.append(parameter)
        for fields in get_args(parameter.annotation):
            if isinstance(fields, FieldOptions):
                groups[name] = fields
                parameters[-1:] = fields.parameters(parameter)

    @functools.wraps(command)
    def called(**values: Any) -> int | None:
        given = {name: fields.given(values) for name, fields in groups.items()}
        return command(**values, **given)

    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called
