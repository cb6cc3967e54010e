"""The help of every command: it ends with examples that the command line accepts, and it fits a terminal."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from nas_attn._version import __version__
from nas_attn.cli.app import app, run

ROOT = typer.main.get_command(app)
OPENING = re.compile(r"Examples?:")


def _commands(command=ROOT, path=()):
    """Every command and group of the app, also hidden ones, by the words that select it."""
    found = {path: command}
    for name, inner in getattr(command, "commands", {}).items():
        found |= _commands(inner, (*path, name))
    return found


COMMANDS = _commands()


def _parsed(words):
    """The words of the command that the app would run; nothing is run.

    Raises:
        a usage error, if an option is unknown, an argument is missing, or a value has the wrong type.
    """
    context = ROOT.make_context("nas-attn", list(words))
    path = []
    while getattr(context.command, "commands", None) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, rest)
        path.append(name)
        context = command.make_context(name, rest, parent=context)
    return tuple(path)


def _help(path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*path, "--help"]) == 0
    return capsys.readouterr().out


def _examples(text):
    *_, last = text.strip().split("\n\n")
    opening, *lines = (line.strip() for line in last.splitlines())
    assert OPENING.fullmatch(opening), f"the help ends with {last!r}"
    return lines


def test_all_commands_are_known():
    assert {" ".join(path) for path in COMMANDS} >= {
        *("", "search", "ablate", "dashboard", "report", "export", "train", "adopt", "slots", "cost", "doctor"),
        *("modules", "modules show", "modules check", "modules gallery"),
        *("hook", "hook install", "hook remove", "hook status"),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_ends_with_one_or_two_examples_of_the_command(path, monkeypatch, capsys):
    lines = _examples(_help(path, monkeypatch, capsys))
    assert 1 <= len(lines) <= 2
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "nas-attn"
        shown = _parsed(words)
        assert shown[: len(path)] == path, f"{line!r} is no example of {path}"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_fits_80_columns(path, monkeypatch, capsys):
    text = _help(path, monkeypatch, capsys)
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("group", [path for path, c in COMMANDS.items() if hasattr(c, "commands")], ids=" ".join)
def test_no_sentence_in_a_list_of_commands_is_cut(group, monkeypatch, capsys):
    _, commands = _help(group, monkeypatch, capsys).split("\nCommands:\n")
    assert [line for line in commands.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize(
    "line",
    [
        *("search --trails 5", "search --trials many", "train best.yaml", "serch", "modules gallery"),
        *("report a b", "hook instal", "modules check --imgsz 8"),
    ],
)
def test_a_wrong_example_would_be_noticed(line):
    with pytest.raises(typer.BadParameter.__mro__[2]):  # the root of all usage errors
        _parsed(shlex.split(line))


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"nas-attn {__version__}\n"
