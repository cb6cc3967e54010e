"""Files that are whole or absent, and the one reader of YAML."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from nas_attn.errors import UserError

NODES = 100_000  # that anchors may add to a YAML
LEVELS = 60


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; False for what no file can be called."""
    return os.path.isfile(path)  # noqa: PTH113 (`Path.is_file` raises for a name that no file can have)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one, never a part.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UserError(
            "a folder that is written to must be writable",
            got=f"'{path.parent}' ({error.strerror})",
            remedy="Name another folder, or change its permissions.",
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp makes it private; results are for sharing
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode())


def parse_yaml(text: str) -> Any:
    """What a YAML text says.

    Its nodes are counted as they would be written out, before anything is made of them: a few lines of anchors within
    anchors can mean more than a machine holds as soon as somebody prints or copies them.

    Raises:
        yaml.YAMLError: it is no YAML, or means too much.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _written_out(node, {})[0] > NODES + len(text):  # without anchors each node takes a character of its own
            raise yaml.YAMLError(f"its anchors repeat one another to more than {NODES:,} values")
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
    ) as error:  # e.g. a date that is none
        raise yaml.YAMLError(f"a value of it is none: {str(error)[:200]}") from None
    finally:
        loader.dispose()


def _written_out(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many nodes a node is with all that it holds, and how many levels; anchors count wherever they are named."""
    if (key := id(node)) in known:
        if not known[key][0]:
            raise RecursionError  # it holds itself
        return known[key]
    known[key] = 0, 0
    parts = node.value if isinstance(node.value, list) else []
    flat = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
    sizes = [_written_out(part, known) for part in flat]
    known[key] = 1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)
    if known[key][1] > LEVELS:
        raise RecursionError
    return known[key]
