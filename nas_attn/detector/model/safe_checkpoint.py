"""A safe reader of checkpoints, which runs no code that other people put into them.

torch's restricted unpickler gets the classes that Ultralytics and this package need. It may create a layer without the
constructor and set its state. It may never call the class, because the constructors of whole models evaluate parts of a
YAML as Python.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import inspect
import pathlib
import pickle
import secrets
import struct
import sys
import threading
import types
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch.serialization import add_safe_globals, get_unsafe_globals_in_checkpoint, safe_globals

from nas_attn.attention import layers, registry, trust, user
from nas_attn.detector.model.model_yaml import is_layer
from nas_attn.environment import all_trusted
from nas_attn.errors import UserError

LAYERS = ("ultralytics.nn.", "nas_attn.attention.", "nas_attn.detector.blocks", "torchvision.ops.")
TORCH = "torch.nn.modules."
LOSSES = ("ultralytics.utils.loss", "ultralytics.utils.tal")  # a model holds its loss during training
REVIVE = "nas_attn.attention.user.revive"
SHOWN = 8  # largest number of names in a message
_ALONE = threading.Lock()  # torch has one list of allowed classes for the whole process
UNREADABLE = (  # errors that torch and the unpickler raise for a file that is no checkpoint
    OSError, EOFError, ImportError, pickle.UnpicklingError, ArithmeticError, AssertionError, AttributeError,
    LookupError, NameError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error,
)  # fmt: skip


def load_checkpoint(path: Path) -> Any:
    """The content of a checkpoint, on the CPU.

    Raises:
        UserError: the file names a class or function that no model needs, or holds module files that the user has not
            named. With `--trust` nothing is refused, and the file is read like any pickle.
    """
    import ultralytics.nn.tasks  # noqa: F401  (for its classes; the import also registers ours)

    if all_trusted():
        content = torch.load(path, map_location="cpu", weights_only=False)
        trust.remember((*user.sources(), *(file.source for file in layers.files())))
        return content
    allowed: list[Any] = [(value, name) for name, value in _plain().items()]
    strange = []
    for name in _names(path):
        if (found := _allowed(name)) is None:
            strange.append(name)
        else:
            allowed += found
    if strange:
        more = f" and {len(strange) - SHOWN} more" if len(strange) > SHOWN else ""
        got = ", ".join(name[:100] for name in sorted(strange)[:SHOWN]) + more
        _refuse(got, path)
    brought: list[Any] = []
    try:
        with _ALONE, safe_globals([*allowed, (_reviver(path, brought), REVIVE)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        _refuse(str(error.__context__ or error).strip().partition("\n")[0][:200], path)  # torch wraps it in advice
    finally:
        with safe_globals(brought):  # the end of this context removes them from torch's list
            pass


def checkpoint_model(path: Path) -> Any:
    """The model in a checkpoint of Ultralytics, on the CPU: its moving average (EMA) if there is one.

    Raises:
        UserError: the file is no checkpoint, holds no model, or is refused by `load_checkpoint`.
    """
    try:
        content = load_checkpoint(path)
    except UNREADABLE as error:
        got = str(error).strip().partition("\n")[0][:200]
        raise UserError("a checkpoint must be one that Ultralytics wrote", got=got, where=str(path)) from error
    model = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if not hasattr(model, "yaml") or not hasattr(model, "state_dict"):
        raise UserError("a checkpoint must hold an Ultralytics model", where=str(path))
    return model


def _refuse(got: str, path: Path) -> NoReturn:
    raise UserError(
        "a checkpoint must be one that Ultralytics wrote: a model's layers, numbers and texts",
        got=got,
        where=str(path),
        remedy=f"Loading it could run foreign code. {trust.REMEDY}",
    )


def _names(path: Path) -> list[str]:
    """The names in a checkpoint that torch does not allow by itself."""
    if not zipfile.is_zipfile(path):  # the format before 2020; torch refuses unknown names in it too
        return []
    return [name for name in get_unsafe_globals_in_checkpoint(path) if name != REVIVE and name not in _plain()]


def _allowed(name: str) -> list[Any] | None:
    """The entries for a name in `safe_globals`; None if the name is refused."""
    module, _, attribute = name.rpartition(".")
    if module.startswith((TORCH, *LAYERS, *_packages())):
        found = _found(module, attribute)
        if is_layer(found):
            # constructors of torch's layers only allocate, and a class that is stored as an attribute must stay itself
            return [(found, name)] if module.startswith(TORCH) else _made_only(found, name)
    elif module in LOSSES and inspect.isclass(found := _found(module, attribute)):
        return _made_only(found, name)
    elif module in sys.modules and hasattr(
        sys.modules[module], "__nas_attn_source__"
    ):  # its source has already run here
        found = _found(module, attribute)
        return None if found is None else [(found, name)]
    return None


def _found(module: str, attribute: str) -> Any:
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return getattr(found, attribute, None)


def _packages() -> tuple[str, ...]:
    """Prefixes of the installed packages that registered attention modules."""
    own = {e.cls.__module__.partition(".")[0] for e in registry.entries() if not user.of_a_file(e)}
    return tuple(f"{package}." for package in own - {"nas_attn", "torch", "ultralytics", "__main__"})


def _made_only(cls: type, name: str) -> list[Any]:
    """Entries to create an instance without its constructor and to set its state, but not to call the class."""

    class Uncalled(type):
        def __call__(cls, *arguments: Any) -> Any:
            raise pickle.UnpicklingError(f"a call of {name}")

    def new(_: Any, *arguments: Any) -> Any:
        if arguments:
            raise pickle.UnpicklingError(f"{name} with arguments")
        return object.__new__(cls)

    return [(Uncalled(cls.__name__, (), {"__new__": new}), name), _unnamed(cls)]


def _unnamed(cls: type) -> tuple[type, str]:
    """An entry that allows setting the state of instances. Its name is random, so that no file can use it."""
    return cls, f"nas_attn.{secrets.token_hex(16)}"


def _reviver(path: Path, brought: list[Any]) -> Any:
    """A replacement for `user.revive` that first checks whether a source may run.

    Args:
        path: the checkpoint, for messages.
        brought: receives an entry for each class that a source defines.
    """

    def revive(stem: str, text: str, class_name: str, *arguments: Any) -> Any:
        trust.check([user.Source(stem, text)], str(path))
        cls = user.revived_class(stem, text, class_name)
        if not is_layer(cls):
            raise pickle.UnpicklingError(f"{class_name} of {stem}.py, which is no layer")
        brought.append(_unnamed(cls))
        add_safe_globals(brought[-1:])
        return cls.__new__(cls, *arguments)

    return revive


@functools.cache
def _plain() -> dict[str, Any]:
    """Name -> object for values that Ultralytics writes besides layers: paths, namespaces, numpy numbers, dates."""
    import numpy
    from ultralytics.utils import IterableSimpleNamespace

    paths = {n: getattr(pathlib, n) for n in ("PurePath", "PurePosixPath", "PureWindowsPath", "Path")}
    paths |= {"PosixPath": pathlib.PurePosixPath, "WindowsPath": pathlib.PureWindowsPath}
    plain: dict[str, Any] = {f"{m}.{n}": p for m in ("pathlib", "pathlib._local") for n, p in paths.items()}
    plain |= {"ultralytics.utils.IterableSimpleNamespace": IterableSimpleNamespace,
              "types.SimpleNamespace": types.SimpleNamespace, "builtins.complex": complex, "builtins.slice": slice,
              "builtins.range": range, "builtins.frozenset": frozenset,
              "datetime.datetime": datetime.datetime, "datetime.date": datetime.date}  # fmt: skip
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        plain[f"{module}.scalar"] = numpy.float64(0).__reduce__()[0]
        plain[f"{module}._reconstruct"] = numpy.zeros(1).__reduce__()[0]
    plain |= {"numpy.dtype": numpy.dtype, "numpy.ndarray": numpy.ndarray}
    for name in ("Float64DType", "Float32DType", "Float16DType", "Int64DType", "Int32DType", "BoolDType"):
        plain[f"numpy.dtypes.{name}"] = getattr(numpy.dtypes, name)
    return plain
