"""Rules that a module must meet to be registered, as far as they can be checked without building it."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nas_attn.attention.choice import Choice, Setting, survives_parser, unwritable
from nas_attn.attention.entry import CHANNEL_ARGUMENTS, LIMITS, RESIDUAL, ModuleEntry, without_residual
from nas_attn.errors import ConfigError, UserError

OP = re.compile(r"[A-Za-z_]\w*::[\w.]+", re.ASCII)  # as torch's tracer names it
NAME = re.compile(r"[a-z][a-z0-9_]*")  # as the grammar reads it
CHANNELS = 64  # of the map for which hooks are tried
TRIED = 1024  # combinations of settings that are tried at most
HOOKS = {  # name of a classmethod -> its arguments before the settings
    "unsupported": (CHANNELS,),
    "from_settings": (CHANNELS,),
    "attention_logits": (CHANNELS, 20, 20),
    "extra_macs": (CHANNELS, 20, 20),
    "effective": (20, 20),
}


def read_settings(cls: Any, where: str) -> tuple[Setting, ...]:
    """The searchable settings that the constructor of a class declares.

    Args:
        cls: the class.
        where: `file:line` of the class.

    Raises:
        UserError: the class is no `nn.Module`, or its declarations cannot be read or searched; the error lists all
            problems.
    """
    from torch import nn

    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        remedy = "Decorate a class that inherits from `torch.nn.Module`."
        raise UserError("an attention module must be an nn.Module", got=repr(cls), where=where, remedy=remedy)
    where = f"{where}, class {cls.__name__}" if where else cls.__name__
    try:
        parameters = inspect.signature(cls, eval_str=True).parameters.values()
    except UserError as error:  # from a `Choice` in an annotation that is a string and is evaluated here
        error.where = error.where or where
        raise
    except (NameError, SyntaxError, TypeError, AttributeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        rule = "the constructor's annotations must be readable when the module is registered"
        raise UserError(rule, got=got, where=where, remedy="Import every name that the annotations use.") from None
    problems: list[UserError] = []
    settings = []
    for p in parameters:
        if isinstance(p.default, Choice) or isinstance(p.annotation, Choice):
            rule = f"`{p.name}` must declare its options inside an annotation"
            remedy = f"Write `{p.name}: Annotated[int, Choice(...)] = 3`."
            problems.append(UserError(rule, got="a bare `Choice`", where=where, remedy=remedy))
            continue
        choice = next((m for m in getattr(p.annotation, "__metadata__", ()) if isinstance(m, Choice)), None)
        if choice is not None:
            problems += _name_problems(p, where)
            try:
                settings.append(Setting(p.name, choice.options, choice.default(p.default)))
            except UserError as error:
                problems.append(UserError(f"`{p.name}`: {error.rule}", got=error.got, where=where, remedy=error.remedy))
    _raise(problems, where)
    return tuple(settings)


def check(entry: ModuleEntry, where: str) -> None:
    """Refuse an entry if its YAML rows could not be written, built or searched.

    Args:
        entry: the complete entry.
        where: `file:line` of its class.

    Raises:
        UserError: the entry breaks a rule; the error lists all problems.
    """
    where = f"{where}, class {entry.cls.__name__}" if where else entry.cls.__name__
    problems: list[UserError] = []

    def refuse(rule: str, got: object, remedy: str) -> None:
        problems.append(UserError(rule, got=got, where=where, remedy=remedy))

    if not isinstance(entry.name, str) or not NAME.fullmatch(entry.name):
        rule = "a module's name must be lower case letters, digits and underscores, a letter first"
        refuse(rule, repr(entry.name), 'Write for example `@attention("mine")`.')
    if not survives_parser(entry.cls.__name__) or entry.cls.__name__ == "Scaled":
        refuse("a class's name must not be taken by Ultralytics' parser or by this package", entry.cls.__name__,
               "Rename the class.")  # fmt: skip
    if unknown := [k for k in entry.cannot if k not in LIMITS]:
        refuse("`cannot` must name known limits", ", ".join(map(repr, unknown)), f"Known: {', '.join(LIMITS)}.")
    if silent := [k for k, why in entry.cannot.items() if not (isinstance(why, str) and why.strip())]:
        refuse("`cannot` must give a reason in words", ", ".join(map(repr, silent)), "Write the reason as a text.")
    problems += _costs(entry.costs, where)
    problems += _hooks(entry, where) or [*_constructor(entry, where)]
    _raise(problems, where)


def _name_problems(p: inspect.Parameter, where: str) -> Iterable[UserError]:
    """The problem, if any, of searching an argument with this name and of this kind."""
    rule, remedy = "", "Rename the argument."
    if p.name == RESIDUAL.name:
        rule = "`residual` must not be a setting of a module: every gene has one of that name"
    elif p.name in CHANNEL_ARGUMENTS:
        rule = f"`{p.name}` must not be searched: it receives the map's channels"
        remedy = "Rename the argument, or leave out its `Choice`."
    elif not NAME.fullmatch(p.name):
        rule = "a searchable argument's name must be lower case letters, digits and underscores, a letter first"
    elif p.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        rule = f"`{p.name}` must be an argument that can be given by position, because a model YAML row gives it so"
        remedy = "Move it before the `*`."
    if rule:
        yield UserError(rule, got=f"`{p.name}`", where=where, remedy=remedy)


def _costs(costs: Any, where: str) -> Iterable[UserError]:
    """Problems of the declared costs of ops; `cost` itself refuses costs of ops that have a rule."""
    remedy = 'Write for example `costs={"aten::lgamma": 0}`: multiply-accumulates per output element.'
    if not isinstance(costs, Mapping):
        yield UserError("`costs` must be a dict", got=repr(costs), where=where, remedy=remedy)
        return
    if nameless := [op for op in costs if not (isinstance(op, str) and OP.fullmatch(op))]:
        got = ", ".join(map(repr, nameless))
        yield UserError("`costs` must name ops with their namespace", got=got, where=where, remedy=remedy)
    if wrong := {op: n for op, n in costs.items() if not isinstance(n, int) or isinstance(n, bool) or n < 0}:
        got = ", ".join(f"{op}: {n!r}" for op, n in wrong.items())
        yield UserError("`costs` must be whole numbers from 0 up", got=got, where=where, remedy=remedy)


def _hooks(entry: ModuleEntry, where: str) -> list[UserError]:
    """Problems of hooks that cannot be called with the settings of the module."""
    own = without_residual(entry.defaults())
    problems = []
    for name, arguments in HOOKS.items():
        hook = getattr(entry.cls, name, None)
        if hook is None:
            continue
        first = {1: "channels", 2: "height, width", 3: "channels, height, width"}[len(arguments)]
        remedy = f"Write `@classmethod def {name}(cls, {', '.join([first, '*', *own] if own else [first])})`."
        try:
            inspect.signature(hook).bind(*arguments, **own)
        except TypeError as error:
            rule = f"the hook `{name}` must be a classmethod that takes the size of the map and the searchable settings"
            problems.append(UserError(rule, got=str(error), where=where, remedy=remedy))
    return problems


def _constructor(entry: ModuleEntry, where: str) -> Iterable[UserError]:
    """The first problem that prevents writing a combination of settings as a model YAML row."""
    parameters = inspect.signature(entry.cls, eval_str=True).parameters
    searched = {s.name for s in entry.settings}
    plain = (c for c in entry.combinations() if c.get(RESIDUAL.name, "none") == "none")
    for settings in itertools.islice(plain, TRIED):
        own = without_residual(settings)
        shown = ", ".join(f"{k}={v}" for k, v in own.items())
        derived, problem = _derived(entry, own, shown, where)
        if problem is not None:
            yield problem
            return
        if derived is None:
            continue
        if unknown := [k for k in derived if k not in parameters]:
            rule, got = "`from_settings` must name arguments of the constructor", ", ".join(map(repr, unknown))
            yield UserError(rule, got=got, where=where, remedy=f"It takes {', '.join(parameters) or 'none'}.")
            return
        if taken := [k for k in derived if k in searched or k in CHANNEL_ARGUMENTS]:
            rule, got = "`from_settings` must not return searched arguments or the channels", ", ".join(taken)
            remedy = "Remove the `Choice` of the argument, or leave the argument out of the returned dict."
            yield UserError(rule, got=got, where=where, remedy=remedy)
            return
        given = {*searched, *derived, *CHANNEL_ARGUMENTS}
        if missing := [p.name for p in parameters.values() if _required(p) and p.name not in given]:
            rule = "a required constructor argument must be the channels, be searched, or come from `from_settings`"
            remedy = (
                f"Name the channels one of {', '.join(CHANNEL_ARGUMENTS)}. Give every other argument a default, a "
                "`Choice`, or a value from a classmethod `from_settings(cls, channels, **settings)`."
            )
            yield UserError(rule, got=", ".join(map(repr, missing)), where=where, remedy=remedy)
            return
        for value in entry.arguments(CHANNELS, settings):
            if not _plain(value) or (isinstance(value, str) and not survives_parser(value)):
                rule = "constructor arguments must be numbers, words, lists, true or false, as a model YAML holds them"
                remedy = "Move the argument after the searched ones, or make it a word that the constructor looks up."
                yield UserError(rule, got=repr(value), where=where, remedy=remedy)
                return


def _derived(
    entry: ModuleEntry, own: Mapping[str, Any], shown: str, where: str
) -> tuple[dict[str, Any] | None, UserError | None]:
    """The arguments from `from_settings` (None if `unsupported` refuses the settings), and a problem of these hooks."""
    hook = getattr(entry.cls, "from_settings", None)
    refused = getattr(entry.cls, "unsupported", None)
    try:
        if refused is not None and refused(CHANNELS, **own) is not None:
            return None, None
        derived = hook(CHANNELS, **own) if hook is not None else {}
    except Exception as error:  # a user's own code, which may raise anything
        named = "`from_settings`" if hook is not None else "`unsupported`"
        rule = f"{named} must not raise an error for any combination of settings, here {shown or 'none'}"
        got = f"{type(error).__name__}: {error}"
        remedy = "Correct it. To refuse a combination, return a reason from `unsupported`."
        return None, UserError(rule, got=got, where=where, remedy=remedy)
    if not isinstance(derived, dict) or not all(isinstance(k, str) for k in derived):
        rule, remedy = "`from_settings` must return a dict", "Return {'argument': value, ...}."
        return None, UserError(rule, got=repr(derived), where=where, remedy=remedy)
    return derived, None


def _required(p: inspect.Parameter) -> bool:
    return p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | str) or unwritable(value) is None


def _raise(problems: list[UserError], where: str) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError(problems, where=where)
