"""An import hook that acts as soon as Ultralytics' YAML parser is loaded. It imports only built-in modules at the top.

`import nas_attn` calls `install`, which registers the zoo with `ultralytics.nn.tasks`: at once if that module is
loaded, otherwise right after it has executed. `detector/model/registration.py` does the registration itself.

`nas-attn hook install` writes a copy of this file that ends in a call of `hook`, and a `.pth` file that imports the
copy when an interpreter starts. Therefore this file must work alone: the copy needs the package only for
`import nas_attn`, which registers the zoo.
"""

from __future__ import annotations

import _thread
import sys

TYPE_CHECKING = False  # as type checkers read it; `typing` itself would cost every interpreter milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

TARGET = "ultralytics.nn.tasks"


class Loader:
    """A loader that wraps another one: it executes a module with the wrapped loader, then calls `after`.

    Args:
        own: the wrapped loader; it also answers for all other attributes.
        after: is called with the module that has executed.
    """

    def __init__(self, own: Any, after: Callable[[ModuleType], None]) -> None:
        self._own = own
        self._after = after

    def __getattr__(self, name: str) -> Any:
        if name in ("_own", "_after"):  # missing while an instance is unpickled or copied
            raise AttributeError(name)
        return getattr(self._own, name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, and leave no trace of this class on it."""
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._own
        spec: Any = module.__spec__
        if getattr(spec, "loader", None) is self:
            spec.loader = self._own
        self._own.exec_module(module)
        self._after(module)


class Finder:
    """A finder that stays on `sys.meta_path`, so that it also sees a reload, or the next import after a failed one.

    Args:
        after: is called with the target module each time it has executed.
    """

    nas_attn = True  # a mark: a finder recognises others of its kind by it, also those of another file or version

    def __init__(self, after: Callable[[ModuleType], None]) -> None:
        self._after = after
        self._asking: set[int] = set()  # threads in `find_spec`: it asks all finders, and must not ask itself

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give for the target module, its loader wrapped; None for other modules."""
        if name != TARGET or (thread := _thread.get_ident()) in self._asking:
            return None
        self._asking.add(thread)
        try:
            for other in list(sys.meta_path):
                if getattr(other, "nas_attn", False) or not hasattr(other, "find_spec"):
                    continue
                spec = other.find_spec(name, path, target)
                if spec is not None:
                    if hasattr(spec.loader, "exec_module"):
                        wrapped: Any = Loader(spec.loader, self._after)
                        spec.loader = wrapped
                    return spec
            return None
        finally:
            self._asking.discard(thread)


def install() -> None:
    """Register the zoo at once if Ultralytics is loaded already, and each time it is loaded later."""
    _wait_with(_register)
    loaded = sys.modules.get(TARGET)
    spec = getattr(loaded, "__spec__", None)
    if loaded is not None and getattr(spec, "_initializing", False):  # let an import end that runs in any thread
        import importlib

        loaded = importlib.import_module(TARGET)
    if loaded is not None:
        _register(loaded)


def hook() -> None:
    """Wait for Ultralytics' YAML parser, and import the package then; the `.pth` calls this."""
    if TARGET in sys.modules:
        _import_package(sys.modules[TARGET])
    elif not any(getattr(f, "nas_attn", False) for f in sys.meta_path):
        _wait_with(_import_package)


def _wait_with(after: Callable[[ModuleType], None]) -> None:
    """Put one finder before all others; the finder of the package replaces that of the hook."""
    others: list[Any] = [f for f in sys.meta_path if not getattr(f, "nas_attn", False)]
    sys.meta_path[:] = [Finder(after), *others]


def _register(tasks: ModuleType) -> None:
    from nas_attn.detector.model.registration import register

    register(tasks)


def _import_package(_tasks: ModuleType) -> None:
    try:
        import nas_attn  # noqa: F401
    except Exception as error:  # any error: the user only wanted to import Ultralytics
        where = "the files nas_attn_hook.pth and _nas_attn_hook.py in site-packages"
        print(
            f"nas_attn: its import hook is installed, but the package cannot be imported ({type(error).__name__}: "
            f"{error}); install it, or delete {where}.",
            file=sys.stderr,
        )
