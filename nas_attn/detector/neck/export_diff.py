"""The differences between an edited model YAML and the exported network, each with its former value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.export_key import changed, digest_of, digests_of
from nas_attn.detector.model.rows import rows_of
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.errors import ConfigError, ExportChanged, NasAttnError, UserError
from nas_attn.space.architecture import Architecture


def explained(error: UserError) -> UserError:
    """The same error. If it is about an edited export and its base is known here, each change has its former value.

    Args:
        error: any error; the problems of a `ConfigError` are treated one by one.
    """
    if isinstance(error, ConfigError):
        error.problems = tuple(explained(problem) for problem in error.problems)
    if not isinstance(error, ExportChanged):
        return error
    was = _exported(error.said, digests_of(error.said))
    return error if was is None else changed(error.model_yaml, error.said, error.where, was)


def _exported(said: Mapping[str, str], digests: Sequence[str]) -> Mapping[str, Any] | None:
    """The exported dictionary, built again; None if its base or a module is unknown or different here."""
    sized = re.fullmatch(r"(.+)-w([\d.e+-]+)", said["base"])  # as `load_base` names a changed width
    name, width = (sized[1], float(sized[2])) if sized else (said["base"], None)
    try:
        base = load_base(name, width=width)
        made, _ = architecture_yaml(base, all_slots(base), Architecture.parse(said["architecture"]))
        made = {"reg_max": base.reg_max, **made}
    except (NasAttnError, OSError):  # the base is a file of the user, or a module is not registered
        return None
    return made if [digest_of(row) for row in rows_of(made)] == list(digests) else None
