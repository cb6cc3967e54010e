"""Layers of users: classes with one input that stand in rows of a model YAML. They are no attention modules.

A file of layers is a Python file like a file of modules, but none of its classes has the decorator `@attention`. Every
layer class in it can be named by a row. Ultralytics' YAML parser assumes that a class which it does not know keeps the
channels of its input. Therefore rows build a subclass of the user's class: if it changes the channels, it returns a
list that holds its one map, and the next row is Ultralytics' `Index`, which states the channels.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any

from nas_attn.attention import table
from nas_attn.attention.source import Source
from nas_attn.errors import UnknownName, UserError

ROWS = "nas_attn_rows"  # attribute of the Python module of a file: the classes that rows build, by name
INNER = ("forward_fuse", "forward_split")  # methods by which Ultralytics replaces `forward`
_TABLE: dict[str, tuple[LayerFile, ...]] = {}  # name of a class -> the files that define it


@dataclass(frozen=True, eq=False)
class LayerFile:
    """A file of layers whose source has run.

    Attributes:
        source: its content.
        path: its path; empty if the content came from a checkpoint, a study or a bundle.
        classes: name of a layer -> the class that rows build.
        helpers: names of those classes that other code of the file uses.
    """

    source: Source
    path: str
    classes: Mapping[str, type]
    helpers: frozenset[str]

    def __str__(self) -> str:
        return self.path or f"{self.source.stem}.py with digest {self.source.digest}"


def read(source: Source, module: ModuleType, path: str) -> LayerFile | None:
    """The layers in a content that has run; None if it defines no layer.

    Args:
        source: the content.
        module: the Python module that holds its classes; it receives the classes that rows build.
        path: path of the file, or empty.
    """
    if not hasattr(module, ROWS):
        setattr(module, ROWS, SimpleNamespace(**{name: _row_class(cls) for name, cls in defined(module).items()}))
    classes: dict[str, type] = vars(getattr(module, ROWS))
    return LayerFile(source, path, classes, frozenset(_used(source.text) & classes.keys())) if classes else None


def defined(module: ModuleType) -> dict[str, type]:
    """Name -> class for each layer that the Python module of a file defines."""
    from torch import nn

    own = {k: v for k, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__}
    return {k: v for k, v in own.items() if issubclass(v, nn.Module) and v.__name__ == k}


def use(files: Iterable[LayerFile]) -> None:
    """Let rows name the layers of these files. They replace layers of the same names, and earlier contents of a file.

    If two of these files define a name, a row cannot name it; see `get`.
    """
    files = list(files)
    for name, held in list(_TABLE.items()):
        kept = tuple(f for f in held if not any(f.path == new.path != "" and f.source != new.source for new in files))
        _TABLE[name] = kept
        if not kept:
            del _TABLE[name]
    for name in dict.fromkeys(name for file in files for name in file.classes):
        _TABLE[name] = tuple(file for file in files if name in file.classes)
    table.tell()


def offer(file: LayerFile) -> None:
    """Let rows name those layers of a file whose names are free; a checkpoint brings its layers so."""
    for name in file.classes:
        _TABLE.setdefault(name, (file,))
    table.tell()


def names() -> list[str]:
    """Names of all layers of users. A row that names an attention module never means a layer of the same name."""
    modules = {entry.cls.__name__ for entry in table.present()}
    return sorted(_TABLE.keys() - modules)


def is_layer(name: str) -> bool:
    """True if `nas_attn.NAME` in a row means a layer of the user."""
    return name in _TABLE and name in names()


def definitions(name: str) -> tuple[LayerFile, ...]:
    """The files that define a class of this name, even if the name belongs to an attention module."""
    return _TABLE.get(name, ())


def get(name: str) -> LayerFile:
    """The file that defines a layer.

    Args:
        name: name of the class.

    Raises:
        UnknownName: no file defines it.
        UserError: two files define it.
    """
    if not is_layer(name):
        raise UnknownName("layer", name, names())
    first, *others = _TABLE[name]
    if others:
        rule = "a layer that a row names must be in one file of --layers"
        raise UserError(rule, got=f"'{name}' in {' and '.join(map(str, (first, *others)))}", remedy="Rename one class.")
    return first


def built() -> Iterator[tuple[str, type]]:
    """(name, class that rows build) for each layer that a row can name."""
    return ((name, _TABLE[name][0].classes[name]) for name in names() if len(_TABLE[name]) == 1)


def files() -> list[LayerFile]:
    """All files of layers in use."""
    return list(dict.fromkeys(file for held in _TABLE.values() for file in held))


def declared_costs(cls: type) -> Mapping[str, int] | None:
    """The attribute `costs` of a layer's class: traced op -> multiply-accumulates per output element; None without one.

    Raises:
        UserError: the attribute is no such dictionary.
    """
    if "of_the_user" not in vars(cls) or (costs := getattr(cls, "costs", None)) is None:
        return None
    numbers = costs.values() if isinstance(costs, dict) else [None]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers):
        rule = "`costs` of a layer must map ops to whole numbers of at least 0"
        raise UserError(rule, got=repr(costs), where=f"class {cls.__name__}")
    return dict(costs)


def _row_class(cls: type) -> type:
    """The subclass that rows build: the same layer, whose output is a list of one map if its channels are changed."""

    def forward(self: Any, x: Any) -> Any:
        return _stated(self, x, cls.forward(self, x))  # type: ignore[attr-defined]

    def wrapped(name: str) -> Any:
        return lambda self, x: _stated(self, x, getattr(cls, name)(self, x))

    own: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": f"{ROWS}.{cls.__name__}", "of_the_user": cls}
    methods = {name: wrapped(name) for name in INNER if hasattr(cls, name)}
    return type(cls)(cls.__name__, (cls,), {**own, "__doc__": cls.__doc__, "forward": forward, **methods})


def _stated(layer: Any, x: Any, found: Any) -> Any:
    """A layer's output in the form that its row needs.

    The first call decides the form, because a trace must not depend on numbers of its example.
    """
    if (changes := layer.__dict__.get("changes_channels")) is None:
        changes = layer.__dict__["changes_channels"] = bool(found.shape[1] != x.shape[1])
    return [found] if changes else found


@lru_cache(maxsize=64)
def _used(text: str) -> frozenset[str]:
    """Names that the classes and functions of a file use, without the uses of a class in itself."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue  # below `if __name__ == "__main__"`, for example, a layer is only tried
        own = {node.name} if isinstance(node, ast.ClassDef) else set()
        named = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        found |= named - own
    return frozenset(found)
