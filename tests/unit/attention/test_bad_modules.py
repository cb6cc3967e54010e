"""Bad module files of every kind are refused with the rule, the value, the place and the remedy."""

from __future__ import annotations

import sys

import pytest
from module_files import GOOD, HEAD, clean, write

from nas_attn.attention import names, table, user
from nas_attn.cli.app import run
from nas_attn.errors import UserError

__all__ = ["clean", "write"]  # fixtures

MODULE = HEAD + '\n@attention("mine"{more})\nclass {cls}(nn.Module):\n    def __init__(self, {arguments}):\n'
MODULE += "        super().__init__()\n{hooks}"


def module(arguments: str = "dim", *, name: str = "mine", cls: str = "Mine", more: str = "", hooks: str = "") -> str:
    """The source of a file with one module whose constructor has these arguments."""
    text = MODULE.format(arguments=arguments, cls=cls, more=more, hooks=hooks)
    return text.replace('"mine"', repr(name))


def hook(signature: str, body: str) -> str:
    return f"\n    @classmethod\n    def {signature}:\n        {body}\n"


K = "k: Annotated[int, Choice(3, 5)] = 3"
ARGUMENTS = {  # of the constructor
    "an explicit default outside": (
        "dim, k: Annotated[int, Choice(3, 5, default=7)]",
        ["default must be one", "7", "mine.py:8"],
    ),
    "a constructor default outside": (
        "dim, k: Annotated[int, Choice(3, 5)] = 7",
        ["`k`", "default must be one", "default=3"],
    ),
    "no options": ("dim, k: Annotated[int, Choice()] = 7", ["distinct options"]),
    "options twice": ("dim, k: Annotated[int, Choice(3, 3)] = 3", ["distinct options"]),
    "a yes or no": ("dim, k: Annotated[bool, Choice(True, False)] = True", ["bool True", "`on` and `off`"]),
    "a list": ("dim, k: Annotated[list, Choice([3], [5])] = 3", ["list [3]", "a tuple"]),
    "nested tuples": ("dim, k: Annotated[tuple, Choice(((3,),))] = 3", ["nested tuple"]),
    "nothing": ("dim, k: Annotated[int, Choice(None, 3)] = 3", ["NoneType None"]),
    "not a number": ("dim, k: Annotated[float, Choice(float('nan'), 1.0)] = 1.0", ["nan"]),
    "a phrase": ("dim, k: Annotated[str, Choice('two words')] = 'two words'", ["'two words'"]),
    "a number as a word": ("dim, k: Annotated[str, Choice('3')] = '3'", ["'3'"]),
    "a word of the parser": ("dim, k: Annotated[str, Choice('scale', 'x')] = 'x'", ["'scale'"]),
    "a keyword": ("dim, k: Annotated[str, Choice('if')] = 'if'", ["'if'"]),
    "a bare choice": ("dim, k=Choice(3, 5)", ["`k`", "inside an annotation", "Annotated[int, Choice"]),
    "a capital setting": ("dim, K: Annotated[int, Choice(3, 5)] = 3", ["lower case", "`K`"]),
    "a searched channel": ("dim: Annotated[int, Choice(3, 5)]", ["`dim` must not be searched"]),
    "residual": ("dim, residual: Annotated[int, Choice(3, 5)] = 3", ["`residual` must not be a setting"]),
    "by keyword only": ("dim, *, k: Annotated[int, Choice(3, 5)] = 3", ["given by position", "before the `*`"]),
    "an unknown annotation": ("dim, k: 'Annotated[int, Chioce(3)]' = 3", ["NameError", "Chioce"]),
    "no channels": ("planes", ["'planes'", "in_planes, out_planes, dim, channels, c1, c2"]),
    "a required argument": (f"dim, heads, {K}", ["'heads'", "from_settings"]),
    "an object as default": (f"dim, act=nn.ReLU, {K}", ["as a model YAML holds them", "ReLU"]),
}
HOOKS = {  # signature and body of a classmethod
    "from_settings names unknown": (
        "from_settings(cls, channels, *, k)",
        "return {'heads': 2}",
        ["`from_settings`", "'heads'"],
    ),
    "from_settings raises": (
        "from_settings(cls, channels, *, k)",
        "raise KeyError(k)",
        ["`from_settings`", "KeyError", "k=3"],
    ),
    "from_settings gives none": ("from_settings(cls, channels, *, k)", "return None", ["must return a dict", "None"]),
    "from_settings gives a searched": (
        "from_settings(cls, channels, *, k)",
        "return {'k': 3}",
        ["must not return searched arguments"],
    ),
    "from_settings of other settings": (
        "from_settings(cls, channels, *, size)",
        "return {}",
        ["`from_settings`", "from_settings(cls, channels, *, k)"],
    ),
    "unsupported raises": ("unsupported(cls, channels, *, k)", "return 1 / 0", ["`unsupported`", "ZeroDivisionError"]),
}
FILES = {
    "a class of the parser's name": (module(cls="args"), ["taken by Ultralytics' parser", "args"]),
    "Scaled": (module(cls="Scaled"), ["Scaled"]),
    "a name twice": (module(name="acmix"), ["module names must be unique", "'acmix'", "zoo.acmix"]),
    "a class twice": (module(cls="ACmix"), ["class names must be unique", "'ACmix'"]),
    "none": (module(name="none"), ["'none'", "unique"]),
    "a capital name": (module(name="Mine"), ["lower case", "'Mine'"]),
    "a spaced name": (module(name="my own"), ["lower case", "'my own'"]),
    "an unknown limit": (module(more=", cannot={'fly': 'no wings'}"), ["`cannot`", "'fly'", "onnx"]),
    "a limit without reason": (module(more=", cannot={'onnx': ''}"), ["reason in words", "'onnx'"]),
    "no nn.Module": (HEAD + "\n@attention('mine')\nclass Mine:\n    pass\n", ["nn.Module", "mine.py:6"]),
    "a function": (HEAD + "\n@attention('mine')\ndef mine(x):\n    return x\n", ["nn.Module", "function mine"]),
    "no classmethod": (
        module(f"dim, {K}", hooks="\n    def effective(self, height, width, *, k):\n        return k\n"),
        ["`effective` must be a classmethod"],
    ),
    "no Python": ("def f(:\n    pass\n", ["must be Python", "mine.py:1"]),
    "raising": (HEAD + "\nraise RuntimeError('out of luck')\n", ["RuntimeError: out of luck", "mine.py:6"]),
    "leaving": ("raise SystemExit(3)\n", ["SystemExit", "mine.py:1"]),
    "a missing import": (
        "import numpy\nimport nowhere_at_all\n",
        ["ModuleNotFoundError", "nowhere_at_all", "mine.py:2"],
    ),
    "registering nothing": (HEAD, ["at least one attention module", "@attention"]),
}
BAD = {
    **{case: (module(arguments), words) for case, (arguments, words) in ARGUMENTS.items()},
    **{case: (module(f"dim, {K}", hooks=hook(*parts)), words) for case, (*parts, words) in HOOKS.items()},
    **FILES,
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(case, write, capfd):
    """Exit code 2; the message has rule, value, file and remedy, but no traceback; nothing is registered."""
    text, words = BAD[case]
    path = write(text)
    before = dict(table.TABLE)
    assert run(["cost", "--modules", str(path)]) == 2
    said = capfd.readouterr()
    assert not said.out and "Traceback" not in said.err
    assert "mine.py" in said.err and "but got" in said.err
    for word in words:
        assert word in said.err, said.err
    assert before == table.TABLE and not any(m.startswith("nas_attn_user_mine") for m in sys.modules)


def test_the_second_of_two_modules_takes_the_first_along(write):
    both = GOOD + module(name="other", cls="Other", arguments="planes").replace(HEAD, "")
    with pytest.raises(UserError, match="planes"):
        user.load(write(both))
    assert "mine" not in names()


def test_everything_wrong_comes_at_once(write, capfd):
    first = write(module("dim, K: Annotated[int, Choice(3, 5)] = 9", name="A"))
    second = write(module("planes"), "second.py")
    assert run(["cost", "--modules", str(first), "--modules", str(second), "--modules", "gone.py"]) == 2
    said = capfd.readouterr().err
    assert "lower case" in said and "default must be" in said and "'planes'" in said and "gone.py" in said


@pytest.mark.parametrize("name", ["gone.py", "", "mine.txt", "folder.py"])
def test_files_that_are_none(name, tmp_path, clean):
    (tmp_path / "mine.txt").write_text(GOOD)
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UserError, match="existing Python file"):
        user.load(tmp_path / name)


def test_bytes_that_are_no_text(tmp_path, clean):
    (tmp_path / "b.py").write_bytes(b"\xff\xfe\x00x = 1")
    with pytest.raises(UserError, match="must be Python"):
        user.load(tmp_path / "b.py")
