"""A conformance check and its result, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas_attn.attention.registry import ModuleEntry

Function = Callable[[ModuleEntry, Mapping[str, Any]], str | None]

PASSED = "passed"
FAILED = "failed"
DECLARED = "declared"  # the module cannot do it, and declares so with a reason
STALE = "stale"  # the module declares that it cannot do it, but it can
MISSING = "missing part"  # a library that the check needs is not installed
UNFIT = "does not apply"
NOT_RUN = "not run"  # the gene failed a basic check, so all other checks would report the same fault
WRONG = (FAILED, STALE)


def always(_entry: ModuleEntry) -> str | None:
    """None for every module: the check applies to all."""
    return None


def any_but_none(entry: ModuleEntry) -> str | None:
    """The reason why a check does not apply to `none`, which inserts nothing; None for any other module."""
    return "inserts nothing" if entry.is_none else None


@dataclass(frozen=True)
class Check:
    """One rule that every module must keep with every setting.

    Attributes:
        name: the name in tables.
        meaning: the rule in one line.
        function: takes the entry of the module and complete settings without `residual`, and builds the module. It
            raises `CheckFailed` if the rule is broken, or `MissingPart` if a library is missing. It returns a remark
            for the table, or None.
        slow: the check takes seconds, not milliseconds.
        on_device: the check runs on the chosen device. All others run on the CPU, whose rounding is known.
        basic: if a gene fails this check, no other checks run on it.
        once: the check tries the settings itself, so one call with the defaults is enough.
        excuse: key of `registry.LIMITS`; a module that declares this limit is excused.
        provable: if the check passes with every setting, the declaration of the limit is out of date.
        leaves_out: returns the reason why the rule does not apply to a module, or None.
    """

    name: str
    meaning: str
    function: Function
    slow: bool = False
    on_device: bool = False
    basic: bool = False
    once: bool = False
    excuse: str | None = None
    provable: bool = True
    leaves_out: Callable[[ModuleEntry], str | None] = always


@dataclass(frozen=True)
class Result:
    """The outcome of one check on one gene.

    Attributes:
        module: name of the module.
        gene: module and settings in the grammar.
        check: name of the check.
        state: one of the constants of this file.
        reason: the reason for the state, or a remark.
    """

    module: str
    gene: str
    check: str
    state: str
    reason: str = ""

    @property
    def wrong(self) -> bool:
        """True if the module or its declaration must change."""
        return self.state in WRONG

    def as_dict(self) -> dict[str, str]:
        """The result as a JSON-ready dictionary."""
        return asdict(self)
