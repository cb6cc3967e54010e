"""The studies and search spaces that come with the package, in an installed wheel or in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nas_attn.atomic_files import is_file
from nas_attn.environment import PACKAGE
from nas_attn.errors import UnknownName, UserError
from nas_attn.safe_yaml import parse_yaml

KINDS = ("studies", "search_spaces")


def folder(kind: str) -> Path:
    """The folder with the YAML files of one kind: inside an installed package, or beside it in a checkout.

    Args:
        kind: one of `KINDS`.
    """
    inside = PACKAGE / f"_{kind}"
    return inside if inside.is_dir() else PACKAGE.parent / kind


def names(kind: str) -> list[str]:
    """The names of the shipped files of one kind (one of `KINDS`), without `.yaml`."""
    return sorted(p.stem for p in folder(kind).glob("*.yaml"))


def load(kind: str, name: str) -> dict[str, Any]:
    """The content of a shipped file, or of any other YAML file.

    Args:
        kind: one of `KINDS`.
        name: the name of a shipped file, or the path of a YAML file.

    Raises:
        UnknownName: there is no shipped file of that name.
        UserError: the file cannot be read, or does not hold a YAML mapping.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = folder(kind) / f"{name}.yaml"
        if not is_file(path):
            raise UnknownName({"studies": "study", "search_spaces": "search space"}[kind], name, names(kind))
    return read_yaml(path)


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a YAML file that holds a mapping.

    Raises:
        UserError: the file is missing, cannot be read, or does not hold a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("a file must be readable", got=f"'{path}' ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"{path}, line {line + 1}" if line is not None else str(path)
        problem = getattr(error, "problem", None) or str(error)[:200] or "other data"
        raise UserError("a file must be valid YAML", got=problem, where=where) from error
    if not isinstance(content, dict):
        raise UserError("a YAML file must hold `key: value` lines", got=type(content).__name__, where=str(path))
    return content
