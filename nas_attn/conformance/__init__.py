"""The rules that every attention module keeps, one small check each, for the zoo and for the user's own modules.

The contract tests and `nas_attn modules check` run the same checks.
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
