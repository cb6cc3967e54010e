"""The one reader of YAML: it refuses a text whose value is larger than a machine can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NODES = 100_000  # anchors may add this many to a YAML
LEVELS = 120


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Its nodes are counted as if all anchors were written out, before any value is made: a few lines of anchors within
    anchors can fill the memory of a machine when they are printed or copied.

    Raises:
        yaml.YAMLError: it is not YAML, or its value is too large.
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
        raise yaml.YAMLError(f"a value of it is none: {str(error)[:200]}") from None
    finally:
        loader.dispose()


def too_much(value: Any, more: int = 0) -> str:
    """The reason not to print or copy a value of lists and mappings; empty if there is none.

    Args:
        value: a value of YAML or of a pickle, or a node of YAML. A part that is used several times counts each
            time.
        more: number of nodes that it may have besides `NODES`.
    """
    try:
        size, _ = _written_out(value, {})
    except RecursionError:
        return "it is nested too deeply"
    return f"its parts repeat one another to more than {NODES:,} values" if size > NODES + more else ""


def _written_out(value: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """(number of nodes of a value with all its parts, its depth)."""
    if (key := id(value)) in known:
        if not known[key][0]:
            raise RecursionError  # it holds itself
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
