"""The source of a class, with everything in its namespace that it uses, as the text of one Python file.

A class that is typed into a notebook has no file that a worker process could import. This text replaces the file: it
is sent to workers and kept in run folders and checkpoints, like the content of a module file.
"""

from __future__ import annotations
import __future__

import ast
import cmath
import inspect
import linecache
import symtable
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

from nas_attn.errors import UserError

RULE = "a registered class must have a source that runs on its own"
REMEDY = "Write it into a Python file, and name that file in `module_files`."
PLAIN = (int, float, complex, bool, str, bytes, type(None))


def self_contained(cls: type, *, without: object, head: str) -> str:
    """The text of a Python file that defines a class and everything that it uses, in an order that can be executed.

    Args:
        cls: a class at the top level of a script, a module or a notebook.
        without: name of a decorator that is removed from the class.
        head: decorator that replaces it.

    Raises:
        UserError: the source of the class cannot be found, or the class uses a value that has no source.
    """
    parts = _Parts(cls.__name__, without, head)
    parts.add(cls)
    return parts.text()


class _Parts:
    """Collects imports, values and definitions, each of them once."""

    def __init__(self, name: str, without: object, head: str) -> None:
        self.name, self._without, self._head = name, without, head
        self._imports: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._definitions: dict[int, str] = {}
        self._future = False

    def add(self, thing: Any) -> None:
        """Add a class or function, after everything that it uses."""
        if id(thing) in self._definitions:
            return
        node, lines, namespace, future = _found(thing)
        self._future |= future
        self._definitions[id(thing)] = ""  # a class or function may use itself
        for used in sorted(_names(node)):
            if used in namespace and namespace[used] is not self._without and used != node.name:
                self._use(used, namespace[used])
        del self._definitions[id(thing)]  # so that it comes after everything that it uses
        body = textwrap.dedent("".join(lines[node.lineno - 1 : node.end_lineno]))
        own = [f"@{ast.unparse(d)}\n" for d in node.decorator_list if not self._is_ours(d, namespace)]
        if node.name == self.name:
            own.insert(0, f"{self._head}\n")
        self._definitions[id(thing)] = "".join(own) + body

    def text(self) -> str:
        """The whole file."""
        future = ["from __future__ import annotations\n"] if self._future else []
        imports = [
            f"{line}\n" for line in sorted({*self._imports.values(), "from nas_attn.attention import attention"})
        ]
        values = [f"{name} = {value}\n" for name, value in self._values.items()]
        return (
            "\n".join("".join(part) for part in (future, imports, values) if part)
            + "\n\n"
            + "\n\n".join(self._definitions.values())
        )

    def _use(self, name: str, value: Any) -> None:
        module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if isinstance(value, types.ModuleType):
            self._imports[name] = f"import {value.__name__} as {name}" if "." in value.__name__ or (
                value.__name__ != name) else f"import {name}"  # fmt: skip
        elif getattr(typing, name, None) is value:
            self._imports[name] = f"from typing import {name}"
        elif module and own and "." not in own and _importable(module, own, value):
            self._imports[name] = f"from {module} import {own}" + (f" as {name}" if own != name else "")
        elif isinstance(value, type | types.FunctionType) and own == name:
            self.add(value)
        elif (written := _written(value)) is not None:
            self._values[name] = written
        else:
            got = f"`{name}`, a {type(value).__name__}, in {self.name}"
            raise UserError(RULE, got=got, remedy=f"Make it inside the class. {REMEDY}")

    def _is_ours(self, decorator: ast.expr, namespace: dict[str, Any]) -> bool:
        """True for the decorator that is left out, whatever it is called here: `@register`, `@na.register("name")`."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            return getattr(namespace.get(called.value.id), called.attr, None) is self._without
        return isinstance(called, ast.Name) and namespace.get(called.id) is self._without


def _found(thing: Any) -> tuple[ast.ClassDef | ast.FunctionDef, list[str], dict[str, Any], bool]:
    """The definition of a class or function: node, lines of the file, namespace, and true if it defers annotations.

    A class of a notebook cell does not know its file, but its methods do.
    """
    functions = [inspect.unwrap(f) for f in ([thing] if isinstance(thing, types.FunctionType) else _methods(thing))]
    if "<locals>" in thing.__qualname__ or "." in thing.__qualname__:
        raise UserError(RULE, got=f"{thing.__qualname__}, which is defined inside another", remedy=REMEDY)
    for function in functions:
        code = function.__code__
        lines = linecache.getlines(code.co_filename, function.__globals__)
        for node in ast.parse("".join(lines)).body if lines else ():
            inside = isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == thing.__name__
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            if inside and first <= code.co_firstlineno <= (node.end_lineno or 0):
                assert isinstance(node, ast.ClassDef | ast.FunctionDef)
                future = bool(code.co_flags & __future__.annotations.compiler_flag)
                return node, lines, function.__globals__, future
    raise UserError(RULE, got=f"{thing.__qualname__}, whose source cannot be found", remedy=REMEDY)


def _methods(cls: type) -> Iterator[types.FunctionType]:
    for value in vars(cls).values():
        function = getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType):
            yield function


def _names(node: ast.AST) -> set[str]:
    """The names that a definition reads from its namespace, without its own variables and arguments."""
    tables = [symtable.symtable(ast.unparse(node), "", "exec")]
    found = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols() if table.get_type() != "module" else ():
            of_class = table.get_type() == "class" and not symbol.is_assigned()
            if symbol.is_referenced() and (symbol.is_global() or of_class):
                found.add(symbol.get_name())
    # annotations may be kept as text; decorators, bases and defaults belong to the namespace around the definition
    outside = [getattr(n, field, None) for n in ast.walk(node) for field in ("annotation", "returns")]
    outside += [*getattr(node, "decorator_list", ()), *getattr(node, "bases", ())]
    outside += [keyword.value for keyword in getattr(node, "keywords", ())]
    if (arguments := getattr(node, "args", None)) is not None:
        outside += [*arguments.defaults, *arguments.kw_defaults]
    return found | {n.id for part in outside if part is not None for n in ast.walk(part) if isinstance(n, ast.Name)}


def _importable(module: str, name: str, value: Any) -> bool:
    """True if another process gets the same object by importing it."""
    found = sys.modules.get(module)
    return module != "__main__" and getattr(found, "__spec__", None) is not None and getattr(found, name, None) is value


def _written(value: Any) -> str | None:
    """A plain value, or a container of plain values, as Python text; None for any other value."""
    parts: list[Any] = [value]
    while parts:
        part = parts.pop()
        if type(part) is dict:
            parts += [*part, *part.values()]
        elif type(part) in (list, tuple, set, frozenset):
            parts += part
        elif type(part) not in PLAIN or (isinstance(part, float | complex) and not cmath.isfinite(part)):
            return None  # its `repr` is no Python text
    return repr(value)
