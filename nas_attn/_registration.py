"""Makes the zoo known to Ultralytics' YAML parser as soon as that is loaded, and not before.

The finder below stands first on `sys.meta_path`, waits for `ultralytics.nn.tasks`, and registers right after that
module has executed. Nothing heavy is imported here. What registering means is in `detector/registration.py`.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

TARGET = "ultralytics.nn.tasks"


class _Loader(importlib.abc.Loader):
    """Executes the target as its own loader would, then registers."""

    def __init__(self, inner: importlib.abc.Loader) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        _register(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Wraps the loader of the target module, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def install() -> None:
    """Register now where Ultralytics is loaded already, otherwise as soon as it is."""
    loaded = sys.modules.get(TARGET)
    if loaded is not None:
        _register(loaded)
    elif not any(isinstance(f, _Finder) for f in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register(tasks: ModuleType) -> None:
    from nas_attn.detector.registration import register

    register(tasks)
