"""Runs the checks and judges the results: a module may raise any exception, and a declared limit excuses it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nas_attn.attention.registry import ModuleEntry
from nas_attn.conformance.check import DECLARED, FAILED, MISSING, NOT_RUN, PASSED, STALE, UNFIT, Check, Result
from nas_attn.conformance.process import fresh_process, judge, reload
from nas_attn.conformance.remedies import remedy, with_declaration
from nas_attn.conformance.surroundings import quiet
from nas_attn.conformance.table import BY_NAME, CHECKS
from nas_attn.environment import PACKAGE
from nas_attn.errors import CheckFailed, MissingPart
from nas_attn.space import Gene

ZOO = PACKAGE / "attention" / "zoo"


def plain_settings(entry: ModuleEntry) -> list[dict[str, Any]]:
    """All combinations of settings without residual, the default first; checks add the residual form themselves."""
    found = [s for s in entry.combinations() if s.get("residual", "none") == "none"]
    return sorted(found, key=lambda s: s != entry.defaults())


def chosen_settings(entry: ModuleEntry) -> list[dict[str, Any]]:
    """The default settings, and two extremes: the first option of every setting, and the last option of every one."""
    found = plain_settings(entry)
    own = [s for s in entry.settings if s.name != "residual"]
    ends = [{**entry.defaults(), **{s.name: s.options[i] for s in own}} for i in (0, -1)]
    return [found[0], *(s for s in found[1:] if s in ends)]


def run_check(check: Check, entry: ModuleEntry, settings: Mapping[str, Any], device: str = "cpu") -> Result:
    """The result of one check on one gene; an exception of the module becomes a result.

    The random state, number of threads and default device of the caller do not change. A declared limit gives
    `declared` without running the check; `declaration` judges it over all settings.

    Args:
        check: the check.
        entry: the module.
        settings: complete settings.
        device: device of checks that have `on_device`; the others run on the CPU.
    """
    result = Result(entry.name, str(Gene.of(entry.name, settings)), check.name, PASSED)
    if (reason := check.leaves_out(entry)) is not None:
        return replace(result, state=UNFIT, reason=reason)
    if excused(check, entry):
        return replace(result, state=DECLARED, reason=entry.cannot[check.excuse or ""])
    return _judged(result, check, entry, settings, device)


def excused(check: Check, entry: ModuleEntry) -> bool:
    """True if the module declares that it cannot pass this check."""
    return check.excuse in entry.cannot


def declaration(check: Check, entry: ModuleEntry, settings: Sequence[Mapping[str, Any]], device: str = "cpu") -> Result:
    """The verdict on a declared limit: `stale` if the check passes with all of the settings, otherwise `declared`."""
    reason = entry.cannot[check.excuse or ""]
    result = Result(entry.name, entry.name, check.name, DECLARED, reason)
    if not check.provable:
        return result
    states = {_judged(result, check, entry, s, device).state for s in settings}
    if states == {PASSED}:
        stale = CheckFailed(
            "a module must declare only limits that it has",
            got=f"cannot={{'{check.excuse}': {reason!r}}}, but the check passes",
            remedy="Remove the declaration.",
        )
        return replace(result, state=STALE, reason=str(stale))
    return result


def settings_for(check: Check, entry: ModuleEntry, all_settings: bool = False) -> list[dict[str, Any]]:
    """The settings for a check: all of them if it is quick, the default and the extremes if it is slow."""
    if check.once:
        return [entry.defaults()]
    return plain_settings(entry) if all_settings or not check.slow else chosen_settings(entry)


def check_modules(
    entries: Sequence[ModuleEntry],
    *,
    all_settings: bool = False,
    device: str = "cpu",
    checks: Sequence[Check] = CHECKS,
) -> Iterator[tuple[ModuleEntry, list[Result]]]:
    """The results of all checks on each module, one module at a time.

    Args:
        entries: the modules.
        all_settings: run slow checks on all settings too.
        device: device of checks that have `on_device`; the others run on the CPU.
        checks: the checks to run.

    Yields:
        Each module with its results.
    """
    loaded: dict[Check, dict[str, list[Result]]] = {}
    for check in checks:
        if check.function is fresh_process:  # one process for all modules, because its start takes most of the time
            pairs = [(e, s) for e in entries for s in settings_for(check, e, all_settings)]
            for result in check_processes(check, pairs):
                loaded.setdefault(check, {}).setdefault(result.module, []).append(result)
    for entry in entries:
        results: list[Result] = []
        for check in checks:
            failed = {r.gene: r.check for r in results if BY_NAME[r.check].basic and r.state == FAILED}
            settings = settings_for(check, entry, all_settings)
            sound = [s for s in settings if check.basic or str(Gene.of(entry.name, s)) not in failed]
            if check in loaded:
                found = [r for r in loaded[check][entry.name] if r.gene not in failed]
            elif sound and excused(check, entry) and check.leaves_out(entry) is None:
                found = [declaration(check, entry, sound, device)]
            else:
                found = [run_check(check, entry, s, device) for s in sound]
            genes = [str(Gene.of(entry.name, s)) for s in settings if s not in sound]
            results += found
            results += [Result(entry.name, gene, check.name, NOT_RUN, f"fails {failed[gene]}") for gene in genes]
        yield entry, results


def check_processes(check: Check, pairs: Sequence[tuple[ModuleEntry, Mapping[str, Any]]]) -> list[Result]:
    """The results of the fresh-process check for many genes, from one process."""
    results = [Result(e.name, str(Gene.of(e.name, s)), check.name, PASSED) for e, s in pairs]
    with quiet("cpu"):
        failures = [_failure(partial(judge, problem)) for problem in reload(pairs)]
    return [replace(r, state=FAILED, reason=str(f)) if f else r for r, f in zip(results, failures, strict=True)]


def _judged(result: Result, check: Check, entry: ModuleEntry, settings: Mapping[str, Any], device: str) -> Result:
    remark = ""

    def call() -> None:
        nonlocal remark
        remark = check.function(entry, settings) or ""

    with quiet(device if check.on_device else "cpu"):
        failure = _failure(call)
    if isinstance(failure, MissingPart):
        return replace(result, state=MISSING, reason=str(failure))
    if failure is not None:
        return replace(result, state=FAILED, reason=str(with_declaration(failure, check)))
    return replace(result, state=PASSED, reason=remark)


def _failure(call: Callable[[], object]) -> CheckFailed | MissingPart | None:
    try:
        call()
    except (CheckFailed, MissingPart) as error:
        return error
    except (Exception, SystemExit) as error:  # a user's module may raise anything; it is reported as a failure
        words = " ".join(str(error).split())[:300] or "no message"
        got = f"{type(error).__name__}: {words}"
        return CheckFailed("a module must not raise an error", got=got, where=_line(error), remedy=remedy(error))
    return None


def _line(error: BaseException) -> str:
    """File and line of the innermost frame in the code of the module; empty if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if "torch" not in file.parts and (PACKAGE not in file.parents or ZOO in file.parents):
            return f"{file.name}, line {frame.lineno}"
    return ""
