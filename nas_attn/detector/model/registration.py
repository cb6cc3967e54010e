"""Registration of the zoo with Ultralytics' YAML parser, which looks up modules in the globals of `nn.tasks`.

This package writes dotted names (`nas_attn.ACmix`). Bare names (`ACmix`) are for the YAMLs of articles; a bare name is
registered only if it is free.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from nas_attn.attention import layers, registry, table, user
from nas_attn.detector.model.rows import PREFIX, is_block
from nas_attn.errors import UnknownName

_TARGETS: list[ModuleType] = []


def register(tasks: ModuleType) -> None:
    """Put every class of the registry, and `Scaled`, into the globals of `ultralytics.nn.tasks`.

    A second call is harmless. Classes that enter the registry later are added automatically.

    Args:
        tasks: the module `ultralytics.nn.tasks`.

    Warns:
        UserWarning: a bare name is taken by another class, which stays.
    """
    if not any(t is tasks for t in _TARGETS):
        _TARGETS.append(tasks)
        table.listen(_follow)
    names = vars(tasks)
    classes = _classes()
    own = _own()  # after `_classes`, which loads all files that variables name
    taken = []
    for bare, cls in classes.items():
        before = names.get(PREFIX + bare)
        names[PREFIX + bare] = cls
        if bare in own:
            continue
        if bare not in names or (before is not None and names[bare] is before):
            names[bare] = cls
        elif before is None:
            taken.append(bare)
    if taken:
        warnings.warn(
            f"The names {', '.join(taken)} are taken by other modules in Ultralytics, which stay; write "
            f"{', '.join(PREFIX + name for name in taken)} in a model YAML for those of nas_attn.",
            stacklevel=2,
        )


def check_rows(rows: Iterable[Sequence[Any]], where: str) -> None:
    """Refuse a row of a model YAML that names an unregistered module with the prefix of this package.

    Args:
        rows: the rows of the model YAML.
        where: the file, for the message.

    Raises:
        UnknownName: the message names the first such module.
    """
    for row in rows:
        if not str(row[2]).startswith(PREFIX):
            continue
        for inner in modules_of(row):
            if inner in (classes := _classes()):
                continue
            if layers.is_layer(inner):
                layers.get(inner)  # two files define it: this raises the error
            error = UnknownName("module of nas_attn in a model YAML", inner, classes, where=where)
            error.remedy += (
                f" If it is your own module, give its file with --modules FILE or in {user.ENVIRONMENT}, or install "
                f"its package; if it is your own layer, with --layers FILE or in {user.LAYERS_ENVIRONMENT}."
            )
            raise error


def unregister(tasks: ModuleType) -> None:
    """Remove the names that `register` added, and no others."""
    _TARGETS[:] = [t for t in _TARGETS if t is not tasks]
    names = vars(tasks)
    for bare, cls in _classes().items():
        for name in (PREFIX + bare, bare):
            if names.get(name) is cls:
                del names[name]


def _follow() -> None:
    for tasks in _TARGETS:
        register(tasks)


def modules_of(row: Sequence[Any]) -> list[str]:
    """Names of the classes in a row of this package: its module, and the modules inside it."""
    bare = str(row[2]).removeprefix(PREFIX)
    named = [bare, *([row[3][0]] if bare == "Scaled" and row[3] else ())]
    if is_block(row):
        for gene in row[3][1]:
            named += gene[1:3] if gene[1:2] == ["Scaled"] else gene[1:2]
    return [str(name).removeprefix(PREFIX) for name in named]


def _classes() -> dict[str, type]:
    """Bare name -> class, for every class that a row of this package may name."""
    return {**{e.cls.__name__: e.cls for e in registry.entries() if not e.is_none}, **_own()}


def _own() -> dict[str, type]:
    """Classes without a bare name: no article writes them, Ultralytics has a block of that name, or they are layers of
    the user, whose rows are first completed (`own_layers.py`).
    """
    from nas_attn.attention.residual import Scaled
    from nas_attn.detector.blocks import classes

    return {**dict(layers.built()), "Scaled": Scaled, **classes()}
