"""The rule that a wrong value breaks, in plain words: pydantic's own messages speak of its types and patterns."""

from __future__ import annotations

from typing import Any

OF_FIELDS = {  # (field, type of a pydantic error) -> the rule, if the field has one that says more
    ("modules", "dict_type"): "must be a list of modules, or map them to their settings",
}
_TEXT = "must be text"
_WHOLE = "must be a whole number"
_MAPPING = "must map names to values"
RULES = {  # type of a pydantic error -> the rule, with the numbers of its context
    "missing": "is missing",
    "string_type": _TEXT,
    "invalid_key": _TEXT,
    "string_too_long": "must have at most {max_length} characters",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} values",
    "dict_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}


def broken_rule(error: Any) -> str:
    """The field and the rule that its value breaks, e.g. "`epochs` must be at least 1".

    Args:
        error: one of the errors that a `ValidationError` of pydantic lists.
    """
    name = ".".join(str(part) for part in error["loc"] if part != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    numbers = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    if kind == "value_error":  # raised by a validator of this package: its message is a rule already
        return f"`{name}`: {context['error']}" if name else str(context["error"])
    rule = OF_FIELDS.get((name, kind)) or RULES.get(kind)
    return f"`{name}` {rule.format(**numbers)}" if rule else f"`{name}`: {error['msg']}"
