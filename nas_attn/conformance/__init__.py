"""Checks of the rules that every attention module must keep, for modules of the zoo and for those of users.

The contract tests and `nas_attn modules check` run the same checks, one for each rule.
"""

from nas_attn.conformance.check import DECLARED, FAILED, MISSING, NOT_RUN, PASSED, STALE, UNFIT, Check, Result
from nas_attn.conformance.run import (
    check_modules,
    check_processes,
    chosen_settings,
    declaration,
    excused,
    plain_settings,
    run_check,
    settings_for,
)
from nas_attn.conformance.table import BY_NAME, CHECKS

__all__ = [
    "BY_NAME",
    "CHECKS",
    "DECLARED",
    "FAILED",
    "MISSING",
    "NOT_RUN",
    "PASSED",
    "STALE",
    "UNFIT",
    "Check",
    "Result",
    "check_modules",
    "check_processes",
    "chosen_settings",
    "declaration",
    "excused",
    "plain_settings",
    "run_check",
    "settings_for",
]
