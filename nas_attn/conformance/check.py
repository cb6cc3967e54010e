"""A conformance check and its result, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas_attn.attention.registry import ModuleEntry

Function = Callable[[ModuleEntry, Mapping[str, Any]], str | None]

PASSED = "passed"
FAILED = "failed"
DECLARED = "declared"  # the module cannot do it, and declares it with a reason
STALE = "stale"  # the module declares that it cannot, and it can
MISSING = "missing part"  # a library that the check needs is not installed
UNFIT = "does not apply"
NOT_RUN = "not run"  # a module that fails a basic check would fail all others in the same way
WRONG = (FAILED, STALE)


def always(_entry: ModuleEntry) -> str | None:
    """No module is left out."""
    return None


def any_but_none(entry: ModuleEntry) -> str | None:
    """The reason why a check leaves out `none`, which inserts nothing; None for any other module."""
    return "inserts nothing" if entry.is_none else None


@dataclass(frozen=True)
class Check:
    """One rule that every module keeps with every setting.

    Attributes:
        name: as tables show it.
        meaning: the rule in one line.
        function: takes the module's entry and complete settings without `residual`, builds the module, and raises
            `CheckFailed` if the rule is broken, or `MissingPart`. It returns a remark for the table, or None.
        slow: it takes seconds, not milliseconds.
        on_device: it runs on the device that is checked; all others run on the CPU, whose rounding is known.
        basic: a gene that fails it is not checked any further.
        once: it reads the module's settings itself, so one call with the default ones is enough.
        excuse: key of `registry.LIMITS`; a module that declares it is excused.
        provable: if the check passes with every setting, the declaration is out of date.
        leaves_out: gives the reason why the rule does not apply to a module, else None.
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
        module: the module's name.
        gene: module and settings, in the grammar.
        check: the check's name.
        state: one of the constants of this file.
        reason: why, or a remark.
    """

    module: str
    gene: str
    check: str
    state: str
    reason: str = ""

    @property
    def wrong(self) -> bool:
        """True if the module, or its declaration, has to change."""
        return self.state in WRONG

    def as_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return asdict(self)
