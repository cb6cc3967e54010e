"""Rows of the user's own layers, completed: arguments, output channels, and the row that states these channels.

A row such as `[-1, 1, SPDConv, [256]]` becomes `[-1, 1, nas_attn.SPDConv, [32, 64]]`, and, because this layer changes
the channels, `[-1, 1, Index, [64, 0]]`. The output is found by one forward pass on the meta device, which needs no
memory and computes nothing. A row with the prefix is complete already, and stays as it is.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_attn.attention import layers
from nas_attn.detector.model.build_errors import build_refusal
from nas_attn.detector.model.community_names import BLOCKS, parser_names
from nas_attn.detector.model.layer_arguments import following, layer_arguments
from nas_attn.detector.model.model_yaml import built_repeats
from nas_attn.detector.model.rows import PREFIX, Rewritten, RowContent, absolute, rewrite, rows_of, stated
from nas_attn.errors import UserError

PROBE = 256  # pixels, divisible by every stride up to 128; Ultralytics also runs a new model on an image of this size
WAYS = {2.0: "doubles the map", 0.5: "halves the map", 1.0: ""}


@dataclass(frozen=True)
class OwnLayer:
    """A user's layer at its place in a model.

    Attributes:
        name: name of the class.
        rows: (module, arguments) of the rows that stand for it in the completed YAML.
        channels: (channels that it reads, channels of its output).
        factor: size of its output map over that of its input map.
        times: number of layers in sequence.
    """

    name: str
    rows: tuple[RowContent, ...]
    channels: tuple[int, int]
    factor: float
    times: int = 1

    @property
    def keeps_shape(self) -> bool:
        """True if channels and size of its map stay."""
        return self.channels[0] == self.channels[1] and self.factor == 1

    def __str__(self) -> str:
        name, arguments = self.rows[0]
        does = [f"{self.channels[0]} to {self.channels[1]} channels"] if self.channels[0] != self.channels[1] else []
        if self.factor != 1:
            does.append(WAYS.get(self.factor, f"map {self.factor:g} times as large"))
        shown = f"{name.removeprefix(PREFIX)}[{', '.join(map(str, arguments))}]" + f" × {self.times}" * (self.times > 1)
        return shown + (f": {', '.join(does)}" if does else "")


def own_rows(rows: Sequence[Sequence[Any]], where: str) -> dict[int, str]:
    """Number -> place, for messages, of each row whose module is a layer of the user and which is not complete.

    Args:
        rows: the rows of a model YAML.
        where: the file, for messages.

    Raises:
        UserError: a name has another meaning too, two files define it, or the row reads several rows.
    """
    found = {n: f"{where}, row {n} ({row[2]})" for n, row in enumerate(rows) if is_own(str(row[2]))}
    for number, here in found.items():
        check_own(rows[number], here)
    return found


def check_own(row: Sequence[Any], where: str) -> None:
    """Refuse an incomplete row of an own layer whose name has another meaning too, or which has several inputs.

    Args:
        row: [from, repeats, module, arguments]; its module is an own layer.
        where: the row, for messages.

    Raises:
        UserError: the row is refused.
    """
    name = str(row[2])
    if other := _other_meaning(name):
        files = " and ".join(map(str, layers.definitions(name)))
        raise UserError(
            "a row's module must have one meaning",
            got=f"'{name}', a class of {files} and of {other}",
            where=where,
            remedy=f"Rename the class in the file and in the row, e.g. My{name}.",
        )
    try:
        layers.get(name)
    except UserError as error:
        error.where = error.where or where
        raise
    if isinstance(row[0], list):
        rule, remedy = "a layer of --layers must read one row, as a number", "It cannot have several inputs."
        raise UserError(rule, got=f"from {row[0]}", where=where, remedy=remedy)


def is_own(name: str) -> bool:
    """True if the name in an incomplete row means a layer of the user, or may mean one.

    A name of Ultralytics means its own class if the files of layers only use their classes of this name as parts.
    """
    held = layers.definitions(name)
    if name.startswith(("nn.", PREFIX)) or not held:
        return False
    return any(name not in file.helpers for file in held) or not _other_meaning(name)


def _other_meaning(name: str) -> str:
    if name in parser_names() or name in BLOCKS:
        return "Ultralytics"
    return "" if layers.is_layer(name) and name != "Scaled" else "nas_attn"


def completed(model_yaml: Mapping[str, Any], own: Mapping[int, str]) -> tuple[Rewritten, dict[int, OwnLayer]]:
    """The model dictionary with complete rows of own layers, and these layers by their old row number.

    Args:
        model_yaml: a model dictionary with one entry under `scales`, and its key under `scale`; it is not changed.
        own: row of an own layer -> its place, for messages.

    Raises:
        UserError: a layer cannot be made or run, or its output is no map.
    """
    found: dict[int, OwnLayer] = {}
    for number, here in own.items():
        row = rows_of(model_yaml)[number]
        source = absolute(row[0], number)[0]
        if source >= number or source < -1:
            raise UserError("a row must read rows above it", got=f"row {source}", where=here)
        shape = _shape_of(model_yaml, source, found, here)
        found[number] = own_layer(row, shape, factors_of(model_yaml), here)
    return rewrite(model_yaml, {}, {number: layer.rows for number, layer in found.items()}), found


def factors_of(model_yaml: Mapping[str, Any]) -> tuple[float, float, float]:
    """Depth factor, width factor and largest channel count of a model dictionary with one entry under `scales`."""
    depth, width, channels = model_yaml["scales"][model_yaml["scale"]]
    return depth, width, channels


def own_layer(row: Sequence[Any], shape: tuple[int, int], factors: tuple[float, float, float], where: str) -> OwnLayer:
    """The layer of a row.

    Args:
        row: [from, repeats, module, arguments].
        shape: (channels, height) of the square map that it reads, for an image of `PROBE` pixels.
        factors: depth factor, width factor and largest channel count.
        where: the row, for messages.

    Raises:
        UserError: the layer cannot be made or run, or its output is no map.
    """
    from ultralytics.nn.tasks import make_divisible

    name, (depth, width, most) = str(row[2]), factors
    file = layers.get(name)
    where = f"{where}, class {name} of {file}"
    try:
        cls = dict(layers.built())[name]
        arguments, times = layer_arguments(
            cls, row[3], shape[0], lambda c: int(make_divisible(min(c, most) * width, 8)), built_repeats(row[1], depth)
        )
    except UserError as error:
        error.where = where
        raise
    rows: list[RowContent] = []
    before, (channels, height) = shape[0], shape
    for _ in range(times):
        out, high = _output(cls, arguments, (channels, height), where)
        one = (PREFIX + name, arguments)
        rows += [one] if out == channels else stated(one, out)
        channels, height = out, high
        arguments = following(cls, arguments, channels)
    return OwnLayer(name, tuple(rows), (before, channels), height / shape[1], times)


def _output(cls: type, arguments: Sequence[Any], shape: tuple[int, int], where: str) -> tuple[int, int]:
    """(channels, height) of a layer's output, for a square map of (channels, height)."""
    import torch

    channels, height = shape
    call = f"{cls.__name__}({', '.join(map(repr, arguments))})"
    with _quiet(), _explained(f"a layer must be made by its constructor, here {call}", where):
        layer: Any = cls(*copy.deepcopy(list(arguments)))
    raw: Any = vars(cls)["of_the_user"].forward  # its own output, before `layers.py` gives it the form that rows need
    needed = [p.name for p in inspect.signature(raw).parameters.values() if p.default is p.empty and p.kind < 2]
    if len(needed) > 2:  # with `self`; kinds below 2 are positional
        rule = "a layer of --layers must have one input"
        raise UserError(rule, got=f"forward({', '.join(needed)})", where=where)
    size = f"a ({channels}, {height}, {height}) map"
    rule = f"a layer must run on {size} on the meta device, without data of the CPU"
    with _quiet(), _explained(rule, where), torch.no_grad():
        out = raw(layer.to("meta").eval(), torch.zeros(1, channels, height, height, device="meta"))
    if not isinstance(out, torch.Tensor) or out.dim() != 4 or out.shape[0] != 1:
        got = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else type(out).__name__
        raise UserError("a layer must return one tensor (N, C, H, W)", got=f"{got} for {size}", where=where)
    if out.shape[2] != out.shape[3] or not out.shape[2]:
        got = f"{out.shape[2]}×{out.shape[3]} for {height}×{height}"
        raise UserError("a layer must change height and width by the same factor", got=got, where=where)
    return int(out.shape[1]), int(out.shape[2])


@contextlib.contextmanager
def _explained(rule: str, where: str) -> Iterator[None]:
    """A context that turns any error of a user's code into one `UserError`."""
    try:
        yield
    except (Exception, SystemExit) as error:
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(rule, got=got.rstrip("."), where=where) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A context that keeps the random state of the caller, and sends prints to stderr."""
    import torch

    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr):
        yield


def _shape_of(model_yaml: Mapping[str, Any], source: int, done: Mapping[int, OwnLayer], where: str) -> tuple[int, int]:
    """(channels, height) of a row's output, for an image of `PROBE` pixels.

    Args:
        model_yaml: the model dictionary.
        source: number of the row; -1 is the image.
        done: the own layers at or above this row.
        where: the row of the layer that reads the output, for messages.

    Raises:
        UserError: Ultralytics cannot build the rows up to this one, or the output is no square map.
    """
    if source < 0:
        return 3, PROBE
    above = rows_of(model_yaml)[: source + 1]
    end = [[-1, 1, "nn.Identity", []]]  # `rewrite` takes the last row for the head
    part = rewrite({**model_yaml, "backbone": above, "head": end}, {}, {n: done[n].rows for n in done if n <= source})
    shape = _run(part.yaml, where)
    if len(shape) != 4 or shape[2] != shape[3]:
        got = f"row {source}, whose output is no map"
        raise UserError("a layer of --layers must read a map", got=got, where=where)
    return shape[1], shape[2]


def _run(model_yaml: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """The shape of the last row's output on the meta device; empty if it is no tensor."""
    import torch
    from ultralytics.nn import tasks

    activation = tasks.Conv.default_act
    try:
        try:
            with _quiet(), torch.device("meta"):
                model, _ = tasks.parse_model(copy.deepcopy(dict(model_yaml)), 3, verbose=False)
        except (NotImplementedError, RuntimeError):  # a constructor that needs values
            with _quiet():
                model, _ = tasks.parse_model(copy.deepcopy(dict(model_yaml)), 3, verbose=False)
        outputs: list[Any] = []
        with torch.no_grad():
            x: Any = torch.zeros(1, 3, PROBE, PROBE, device="meta")
            for layer in model.to("meta").eval():
                read = layer.f if isinstance(layer.f, list) else [layer.f]
                given = [x if j == -1 else outputs[j] for j in read]
                x = layer(given if isinstance(layer.f, list) else given[0])
                outputs.append(x)
    except Exception as error:
        raise build_refusal(error, model_yaml, where) from error
    finally:
        tasks.Conv.default_act = activation
    return tuple(x.shape) if isinstance(x, torch.Tensor) else ()
