"""The rooms of the package in their order, and the imports of its files, read without importing the package."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "nas_attn"
ROOMS = (  # a room imports only from rooms above it; rooms in one line never import from each other
    ("errors", "_version"),
    ("stopping", "safe_yaml", "atomic_files", "folder_names", "pulse", "lines"),
    ("tasks", "environment"),
    ("hook",),
    ("statistics", "known_cost"),
    ("attention",),
    ("space",),
    ("data",),
    ("cost",),
    ("detector.blocks",),
    ("detector.model",),
    ("detector.neck",),
    ("detector.weights",),
    ("detector.proxy", "detector.final", "detector.onnx"),
    ("adoption",),
    ("conformance",),
    ("evaluate",),
    ("engine",),
    ("study",),
    ("analysis",),
    ("ablation",),
    ("bundle",),
    ("tracking",),
    ("dashboard",),
    ("api",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}
FILES = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in sorted(ROOT.rglob("*.py"))}


def room(name: str) -> str:
    """The room of a file, which is given by its dotted name in the package."""
    parts = name.removesuffix(".__init__").split(".")
    return ".".join(parts[:2]) if parts[0] == "detector" else parts[0]


def imports(path: Path) -> set[str]:
    """The absolute names of everything that a file imports, also inside functions."""
    found = set()
    package = ("nas_attn", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def inner(path: Path) -> set[str]:
    """The files of the package that a file imports, by their dotted names; "" is the package itself."""
    found = set()
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "nas_attn":
            continue
        while parts and ".".join(parts[1:]) not in FILES and ".".join([*parts[1:], "__init__"]) not in FILES:
            parts.pop()
        found.add(".".join(parts[1:]))
    return found
