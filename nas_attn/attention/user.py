"""Attention modules and layers of users, from Python files and installed packages.

The classes of a file belong to a Python module whose name holds the file's stem and a digest of its source. So two
versions of a file are two Python modules. Pickled instances contain the source: a checkpoint loads without the file,
and loading it runs the source, as loading any pickle runs code.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import linecache
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from nas_attn.attention import layers, table
from nas_attn.attention.entry import ModuleEntry
from nas_attn.attention.source import Source as Source
from nas_attn.attention.source import read as read
from nas_attn.errors import ConfigError, UserError

ENVIRONMENT = "NAS_ATTN_MODULES"  # files of modules that every process loads, separated as in PATH
LAYERS_ENVIRONMENT = "NAS_ATTN_LAYERS"  # the same for files of layers
GROUP = "nas_attn.modules"  # entry points of installed packages: a module to import, or a class in it
BROKEN: dict[str, UserError] = {}  # entry point -> the error of loading its package

Check = Callable[[Sequence[ModuleEntry], ModuleType, str], None]
_KNOWN: dict[Source, tuple[ModuleType, tuple[ModuleEntry, ...]]] = {}
_LOCK = threading.RLock()


def load(file: str | Path) -> Source:
    """Register the modules of a Python file; if exactly this content is registered, nothing changes.

    The modules of an edited file replace those of its earlier content, and those that came from a checkpoint.

    Args:
        file: path of the Python file.

    Returns:
        The content of the file.

    Raises:
        UserError: the file cannot be read or executed, registers no module, or breaks a rule of `attention`.
    """
    path = Path(file).expanduser().resolve()
    source = read(path)
    filled()  # the zoo and installed packages come first
    with _LOCK:
        _install(source, str(path), lambda held: "replace" if held.origin == str(path) or revived(held) else "refuse",
                 _check_modules)  # fmt: skip
    return source


def load_layers(paths: Iterable[str | Path]) -> list[Source]:
    """Let rows of model YAMLs name the layers in Python files; see `layers.py`.

    Args:
        paths: paths of the files. Their layers replace others of the same names.

    Returns:
        The contents of the files.

    Raises:
        ConfigError: a file cannot be read or executed, has no layer, or registers attention modules; the error lists
            all mistakes.
    """
    found: list[Source] = []
    problems: list[UserError] = []
    held = []
    filled()  # so that the names of all modules are known
    for path in (Path(p).expanduser().resolve() for p in paths):
        try:
            found.append(read(path))
            with _LOCK:
                module = _install(found[-1], str(path), lambda held: "refuse", _check_layers)
            held.append(layers.read(found[-1], module, str(path)))
        except UserError as error:
            problems.append(error)
    if problems:
        raise ConfigError(problems, where="the files of layers")
    layers.use(filter(None, held))
    return found


def ensure(sources: Iterable[Source]) -> None:
    """Register exactly these contents, modules and layers; they replace other versions of the same names.

    Workers of a study call this.

    Raises:
        UserError: the same errors as `load`.
    """
    filled()
    held = []
    for source in sources:
        with _LOCK:
            module = _install(source, "", lambda held: "replace" if of_a_file(held) else "refuse", _check_any)
            if not _KNOWN[source][1]:
                held.append(layers.read(source, module, module.__dict__["__nas_attn_file__"]))
    if held:
        layers.use(filter(None, held))


def revive(stem: str, text: str, class_name: str, *arguments: Any) -> Any:
    """A new instance, without its state, of a class in the content of a file; unpickling and copying call this.

    If the names of the content's modules are free, the modules are registered too, so that the model of a checkpoint
    can be trained further. Pickles refer to this function by name, so neither its name nor its file may change.
    """
    cls = revived_class(stem, text, class_name)
    return cls.__new__(cls, *arguments)


def revived_class(stem: str, text: str, class_name: str) -> Any:
    """The class of that name in the content of a file; runs the content if this process has not run it yet."""
    source = Source(stem, text)
    if source not in _KNOWN:
        filled()
        with _LOCK:
            module = _install(source, "", lambda held: "keep", _check_any)
            if not _KNOWN[source][1] and (held := layers.read(source, module, "")):
                layers.offer(held)
    found: Any = _KNOWN[source][0]
    for part in class_name.split("."):
        found = getattr(found, part)
    return found


def sources() -> tuple[Source, ...]:
    """The contents of all files whose modules are in the registry."""
    modules = {e.cls.__module__ for e in filled().values()}
    return tuple(s for s in _KNOWN if s.module in modules)


def has_run(source: Source) -> bool:
    """True if this content was executed in this process."""
    return source in _KNOWN


def imported() -> tuple[str, ...]:
    """Names of the Python modules that registered entries when imported; a worker process must import them too."""
    brought = (e.cls.__module__ for e in table.present() if not of_a_file(e))
    return tuple(sorted({name for name in brought if not name.startswith(table.ZOO)}))


def of_a_file(entry: ModuleEntry) -> bool:
    """True if an entry came from a file, a checkpoint or a study."""
    return hasattr(sys.modules.get(entry.cls.__module__), "__nas_attn_source__")


def revived(entry: ModuleEntry) -> bool:
    """True if an entry came from a checkpoint or a study, so its file is not known."""
    return of_a_file(entry) and not sys.modules[entry.cls.__module__].__dict__["__nas_attn_file__"]


def filled() -> dict[str, ModuleEntry]:
    """The table with the modules of the zoo, of installed packages, and of files that `NAS_ATTN_MODULES` names.

    The layers of the files that `NAS_ATTN_LAYERS` names are loaded too.
    """
    table.load_zoo()
    if "own" not in table.BEGUN:
        table.BEGUN.add("own")  # before loading, because loaded code may read the table
        try:
            load_installed()
        except BaseException:
            table.BEGUN.discard("own")
            raise
    return table.TABLE


def load_installed() -> None:
    """Register the modules of installed packages, and those of the files that the two variables name.

    If a package cannot be loaded, its error is kept in `BROKEN` and the other packages are loaded.

    Raises:
        UserError: a file that a variable names cannot be loaded, see `load` and `load_layers`.
    """
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        if (problem := _load_point(point)) is not None:
            BROKEN[point.name] = problem
    for name in _named_in(ENVIRONMENT):
        load(name)
    load_layers(_named_in(LAYERS_ENVIRONMENT))


def _named_in(variable: str) -> list[str]:
    return list(filter(None, os.environ.get(variable, "").split(os.pathsep)))


def _load_point(point: importlib.metadata.EntryPoint) -> UserError | None:
    """Import the target of an entry point; returns the error if the import fails."""
    spec = getattr(sys.modules.get(point.module), "__spec__", None)
    if getattr(spec, "_initializing", False):
        return None  # the package is being imported now, and registers its modules itself
    where = f"entry point {point.name} = {point.value} of {point.dist.name if point.dist else 'a package'}"
    remedy = "Correct or uninstall the package."
    try:
        with table.adding(lambda held: "refuse") as newcomers, _printing_aside():
            point.load()
    except UserError as error:
        return UserError(error.rule, got=error.got, where=error.where or where, remedy=error.remedy or remedy)
    except (Exception, SystemExit) as error:  # a foreign package may raise anything
        rule, got = "an installed package of attention modules must be importable", f"{type(error).__name__}: {error}"
        return UserError(rule, got=got, where=where, remedy=remedy)
    known = (e.cls.__module__ for e in (*newcomers, *filled().values()))  # the package may be imported already
    package = point.module.partition(".")[0]
    return None if any(m.partition(".")[0] == package for m in known) else _nothing(where)


def _install(source: Source, file: str, taken: table.Taken, check: Check) -> ModuleType:
    """The Python module of a content. It is executed once per process; its attention modules are registered.

    Args:
        source: the content.
        file: path of the file, or empty.
        taken: as for `table.adding`.
        check: refuses a content with these attention modules, shown as the file of this name.
    """
    if source in _KNOWN:
        module, entries = _KNOWN[source]
        check(entries, module, file or module.__dict__["__file__"])
        module.__dict__["__nas_attn_file__"] = file or module.__dict__["__nas_attn_file__"]
        if missing := [e for e in entries if e not in filled().values()]:
            with table.adding(taken):
                for entry in missing:
                    table.add(entry, file)
        return module
    shown = file or f"<{source.stem}.py {source.digest}>"
    module = ModuleType(source.module)
    module.__dict__.update(__file__=shown, __nas_attn_file__=file, __nas_attn_source__=source.text)
    linecache.cache[shown] = (len(source.text), None, source.text.splitlines(keepends=True), shown)
    sys.modules[source.module] = module  # dataclasses and annotations look their module up there
    try:
        with table.adding(taken) as newcomers:
            _execute(source.text, module, shown)
            check(newcomers, module, shown)
    except BaseException:
        del sys.modules[source.module]
        raise
    _KNOWN[source] = module, tuple(newcomers)
    _carry(source, module)
    return module


def _execute(text: str, module: ModuleType, file: str) -> None:
    """Run a module's source.

    Raises:
        UserError: the source is not valid Python, or raises an error.
    """
    remedy = "Correct the file. It can import only installed packages, not other files in its folder."
    try:
        with _printing_aside():
            exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    except UserError as error:
        error.where = error.where or file
        raise
    except (Exception, SystemExit) as error:  # a user's own code, which may raise anything
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            rule, lines, got = "a file of modules or layers must be Python", [error.lineno], error.msg
        else:
            rule, got = "a file of modules or layers must be importable", f"{type(error).__name__}: {error}"
        where = f"{file}:{lines[-1]}" if lines else file
        raise UserError(rule, got=got, where=where, remedy=remedy) from error


def _printing_aside() -> contextlib.AbstractContextManager[Any]:
    """A context that sends prints to stderr: modules may print, but stdout is for the result of the command."""
    return contextlib.redirect_stdout(sys.stderr)


def _nothing(where: str, more: str = "") -> UserError:
    rule = "a module file or a package must register at least one attention module"
    return UserError(rule, got="none", where=where, remedy='Decorate a class with `@attention("name")`.' + more)


def _check_modules(entries: Sequence[ModuleEntry], module: ModuleType, where: str) -> None:
    """Refuse a file that registers no attention module."""
    if not entries:
        more = (
            " If its classes are layers in rows of your model YAML, give it with --layers."
            if layers.defined(module)
            else ""
        )
        raise _nothing(where, more)


def _check_layers(entries: Sequence[ModuleEntry], module: ModuleType, where: str) -> None:
    """Refuse a file that registers attention modules, and one without layers."""
    if entries:
        rule = "a file of layers must not register attention modules"
        remedy = "Give a file of attention modules with --modules, and move layers to a file of their own."
        raise UserError(rule, got=", ".join(e.name for e in entries), where=where, remedy=remedy)
    _check_any(entries, module, where)


def _check_any(entries: Sequence[ModuleEntry], module: ModuleType, where: str) -> None:
    """Refuse a file that has neither attention modules nor layers."""
    if not entries and not layers.defined(module):
        rule = "a file of layers must define at least one subclass of torch's nn.Module"
        raise UserError(rule, got="none", where=where)


def _carry(source: Source, module: ModuleType) -> None:
    """Make the pickles of all layers of a content contain the content."""
    from torch import nn

    def reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
        made = cast("tuple[Any, ...]", object.__reduce_ex__(self, max(int(protocol), 2)))
        function, (cls, *new), *state = made
        if function.__name__ != "__newobj__" or cls.__module__ != source.module:
            return made
        return revive, (source.stem, source.text, cls.__qualname__, *new), *state

    for cls in list(vars(module).values()):
        own = isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == source.module
        if own and cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__:
            cls.__reduce_ex__ = reduce
