"""The only YAML reader of the package: it refuses a text whose value would fill the memory of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NODES = 100_000  # nodes that the anchors of a YAML may add
LEVELS = 120


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Before any value is built, the nodes are counted as if every alias were written out: a few lines of nested anchors
    make a value that fills the memory of a machine as soon as it is printed or copied.

    Raises:
        yaml.YAMLError: the text is not YAML, or its value is too large.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if reason := too_much(node, len(text)):  # without anchors each node takes at least one character
            raise yaml.YAMLError(reason)
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
    ) as error:  # e.g. a date that does not exist
        raise yaml.YAMLError(f"it has an invalid value: {str(error)[:200]}") from None
    finally:
        loader.dispose()


def too_much(value: Any, more: int = 0) -> str:
    """The reason why a value is too large to print or copy; empty if it is not.

    Args:
        value: lists and mappings from a YAML or a pickle, or a node of a YAML. A part that occurs several times counts
            each time.
        more: number of nodes that are allowed in addition to `NODES`.
    """
    try:
        size, _ = _written_out(value, {})
    except RecursionError:
        return "it is nested too deeply"
    return f"its repeated parts make more than {NODES:,} values" if size > NODES + more else ""


def _written_out(value: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """(number of nodes of a value and all its parts, depth of the value)."""
    if (key := id(value)) in known:
        if not known[key][0]:
            raise RecursionError  # the value contains itself
        return known[key]
    known[key] = 0, 0
    size, levels = 1, 0
    for part in _parts(value):
        inner, below = _written_out(part, known)
        size, levels = size + inner, max(levels, below)
    if levels >= LEVELS:
        raise RecursionError
    known[key] = size, levels + 1
    return known[key]


def _parts(value: Any) -> Iterable[Any]:
    if type(value).__name__ in ("SequenceNode", "MappingNode"):
        value = value.value  # pairs, if it is a mapping
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list | tuple | set) else ()
