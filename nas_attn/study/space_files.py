"""Reads search space files and builds search spaces from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from nas_attn.attention import registry
from nas_attn.detector.neck.slots import is_pattern, named
from nas_attn.errors import ConfigError, SlotRefused, UnknownName, UserError
from nas_attn.evaluate.starts import refused_at_base
from nas_attn.space import Gene, SearchSpace, Slot
from nas_attn.study import shipped
from nas_attn.study.config import StudyConfig, by_name

ALL = "all"  # the value of `modules` that means every module of the zoo
SPACE_KEYS = ("slots", "modules")
Rank = Callable[[Slot, Gene], float]


def load_space(name: str) -> dict[str, Any]:
    """The checked content of a search space file: `slots` and `modules`.

    Args:
        name: the name of a shipped search space, or the path of a YAML file.

    Raises:
        UnknownName: there is no shipped search space of that name.
        ConfigError: the content breaks rules; the error lists all mistakes.
    """
    content = shipped.load("search_spaces", name)
    where = f"search space '{name}'"
    problems: list[UserError] = [
        UnknownName("search space key", k, SPACE_KEYS, where=where) for k in content if k not in SPACE_KEYS
    ]
    slots = content.get("slots")
    if slots is not None and not (isinstance(slots, list) and slots and all(isinstance(s, str) for s in slots)):
        problems.append(
            UserError("`slots` must be a list of slot names", got=slots, where=where, remedy="For example [p3, p4].")
        )
    if content.get("modules") == ALL:
        content = {**content, "modules": dict.fromkeys(_zoo())}
    content = {**content, "modules": by_name(content.get("modules"))}
    if not isinstance(content["modules"], dict) or not content["modules"]:
        problems.append(
            UserError(
                "`modules` must be a list of modules, or map them to their settings",
                got=content["modules"],
                where=where,
                remedy="For example `modules: [acmix, se]`, or `modules: {acmix: {head: [2, 4]}}`, "
                f"or `modules: {ALL}` for the whole zoo.",
            )
        )
    if problems:
        raise ConfigError(problems, where=where)
    return content


def _zoo() -> list[str]:
    """The names of all zoo modules. Modules of files or installed packages are searched only if the user names them."""
    return [e.name for e in registry.entries() if not e.is_none and e.cls.__module__.startswith(registry.ZOO)]


def build_space(
    config: StudyConfig,
    content: dict[str, Any],
    slots: tuple[Slot, ...],
    base: str,
    own: Sequence[Sequence[str]] = (),
    rank: Rank | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> SearchSpace:
    """The search space that a configuration and a search space file describe.

    Args:
        config: the configuration.
        content: the search space file.
        slots: the slots to search.
        base: name of the base model.
        own: names of the modules in each file of `module_files`. All modules of a file are searched, unless the
            configuration or the search space names some of them; then only these.
        rank: (slot, gene) -> number; of genes that do the same at a slot, the one with the lowest number is kept.
        options: module -> setting -> options, in place of the zoo's; the search space may override them.

    Raises:
        ConfigError: a module or a setting breaks a rule; the error lists all mistakes.
    """
    modules = asked(config, content, own)
    for name, before in (options or {}).items():
        if name in modules and isinstance(modules[name], Mapping | None):
            modules[name] = {**before, **(modules[name] or {})}
    space = SearchSpace.build(
        base,
        slots,
        modules,
        imgsz=config.imgsz,
        final_imgsz=config.final_imgsz,
        rank=rank,
        where=f"search space '{config.space}'" if config.modules is None else f"study '{config.name}'",
    )
    return space.with_residual("scaled") if config.start == "base" else space


def asked(config: StudyConfig, content: Mapping[str, Any], own: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The modules to search: module -> options of its settings, or None for all options.

    Args:
        config: the configuration.
        content: the search space file.
        own: as for `build_space`.
    """
    modules = dict(config.modules if config.modules is not None else content["modules"])
    for names in own:
        if not any(name in modules for name in names):
            modules |= dict.fromkeys(names)
    return modules


def chosen_slots(
    config: StudyConfig,
    content: dict[str, Any],
    slots: tuple[Slot, ...],
    refused: Mapping[str, SlotRefused] | None = None,
    began: Collection[str] | None = None,
) -> tuple[Slot, ...]:
    """The slots to search, in the order of the graph.

    They are the slots that the study names, or else the search space file. If neither names any, they are the slots
    after each block that feeds the head. A pattern skips slots that cannot hold a module. A pattern in a search space
    file may match no slot, because the file serves many bases; a pattern of the study must match one.

    Args:
        config: the configuration.
        content: the search space file.
        slots: all slots of the base.
        refused: slots that cannot hold a module, name -> reason. Slots that the start refuses are added.
        began: main names of the slots that a pattern may match, because a continued study began with them; None for
            all slots.

    Raises:
        ConfigError: the base has no such slot, a named slot cannot hold a module, or no slot is left.
    """
    wanted = config.slots or content.get("slots") or [s.name for s in slots if "." not in s.name]
    where = f"base model '{config.model}'"
    refused = {**(refused_at_base(slots) if config.start == "base" else {}), **(refused or {})}
    problems: list[UserError] = []
    found: list[Slot] = []
    for name in wanted:
        must = bool(config.slots) or not is_pattern(name)
        try:
            meant = named(slots, [name], where)
        except UnknownName as error:
            if must:
                problems.append(error)
            continue
        if began is not None and is_pattern(name):
            meant = tuple(s for s in meant if s.name in began)
        kept = [s for s in meant if s.name not in refused]
        if not is_pattern(name) or (must and not kept):
            problems += [refused[s.name] for s in meant if s.name in refused]
        found += kept
    if not found and not problems:
        rule = "a search space must name a slot of the base"
        remedy = f"The base has the slots {', '.join(s.name for s in slots)}."
        problems.append(UserError(rule, got=wanted, where=where, remedy=remedy))
    if problems:
        raise ConfigError(problems)
    return tuple(s for s in slots if s in found)
