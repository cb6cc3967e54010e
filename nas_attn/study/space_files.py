"""Search space files, which say what may be chosen, are read and turned into a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nas_attn.attention import registry
from nas_attn.detector.neck.slots import is_pattern, named
from nas_attn.errors import ConfigError, SlotRefused, UnknownName, UserError
from nas_attn.evaluate.starts import refused_at_base
from nas_attn.space import Gene, SearchSpace, Slot
from nas_attn.study import shipped
from nas_attn.study.config import StudyConfig, by_name

ALL = "all"  # in a search space file: every module of the zoo
SPACE_KEYS = ("slots", "modules")
Rank = Callable[[Slot, Gene], float]


def load_space(name: str) -> dict[str, Any]:
    """The content of a search space file: `slots` and `modules`, nothing else.

    Raises:
        ConfigError: all that is wrong with it, together.
    """
    content = shipped.load("search_spaces", name)
    where = f"search space '{name}'"
    problems: list[UserError] = [
        UnknownName("search space key", k, SPACE_KEYS, where=where) for k in content if k not in SPACE_KEYS
    ]
    slots = content.get("slots")
    if slots is not None and not (isinstance(slots, list) and slots and all(isinstance(s, str) for s in slots)):
        problems.append(
            UserError("`slots` must be a list of slot names", got=slots, where=where, remedy="E.g. [p3, p4].")
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
                remedy=f"E.g. `modules: [acmix, se]`, `acmix: {{head: [2, 4]}}` in a line of its own below `modules:`, "
                f"or `modules: {ALL}` for the whole zoo.",
            )
        )
    if problems:
        raise ConfigError(problems, where=where)
    return content


def _zoo() -> list[str]:
    """All modules of the zoo; those of files and of installed packages are searched only if they are named."""
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
        own: the modules of each file in `module_files`. All of a file join the space, unless the configuration or the
            space names some of them, and so decides for that file.
        rank: order in which aliases are kept.
        options: module -> its settings' options if the space says nothing of them, in place of the zoo's.
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
    """The modules that a configuration, its search space and its module files ask for, with their options of settings.

    Args:
        config, content, own: as `build_space` takes them.
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
) -> tuple[Slot, ...]:
    """The slots that the study names, in the order of the graph; without any, those behind each block before the head.

    A pattern in a search space file may match nothing: such a file is for more than one base, and not every base has
    every kind of slot. A pattern of the study is for its own base. Slots that can hold nothing are left out of what a
    pattern stands for.

    Args:
        config: the configuration.
        content: the search space file.
        slots: every slot of the base.
        refused: those of them that can hold nothing, beside what the start refuses: name -> why.

    Raises:
        ConfigError: names that the base has no slot for or whose slot can hold nothing, or none left.
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
        kept = [s for s in meant if s.name not in refused]
        if not is_pattern(name) or (must and not kept):
            problems += [refused[s.name] for s in meant if s.name in refused]
        found += kept
    if not found and not problems:
        rule, remedy = "a search space must have a slot on the base", f"It has {', '.join(s.name for s in slots)}."
        problems.append(UserError(rule, got=wanted, where=where, remedy=remedy))
    if problems:
        raise ConfigError(problems)
    return tuple(s for s in slots if s in found)
