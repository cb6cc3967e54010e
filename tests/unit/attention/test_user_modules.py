"""Files of attention modules: their registration, replacement of earlier versions, and bad input."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from module_files import GOOD, clean, write

from nas_attn.attention import choice, get, user
from nas_attn.attention.residual import build_module
from nas_attn.detector.model.registration import register, unregister
from nas_attn.errors import ConfigError, UserError
from nas_attn.space import Slot
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import load_config, modules_given
from nas_attn.study.folder import RunFolder
from nas_attn.study.identity import check_unchanged
from nas_attn.study.inputs import load_own
from nas_attn.study.space_files import build_space

__all__ = ["clean", "write"]  # fixtures


def test_a_file_enters_the_registry(write):
    path = write(GOOD)
    source = user.load(path)
    entry = get("mine")
    assert source.names == ("mine",) and source.stem == "mine" and source.digest in entry.cls.__module__
    assert entry.origin == str(path) and entry.source().decode() == GOOD
    assert {s.name: s.default for s in entry.settings} == {"k_size": 5, "residual": "none"}
    assert entry.row(16, {"k_size": 3}) == ("Mine", [16, 3])
    assert "class Mine" in inspect.getsource(entry.cls)
    assert user.load(path) is not None and get("mine") is entry  # registered once per process


def test_an_edited_file_replaces_itself_and_nothing_else(write):
    first = user.load(write(GOOD))
    cls = get("mine").cls
    second = user.load(write(GOOD.replace("x +", "x *")))
    assert first.module != second.module and get("mine").cls is not cls and first.names == ()
    other = write(GOOD, "other.py")
    with pytest.raises(UserError, match="'mine' twice"):
        user.load(other)
    assert get("mine").cls.__module__ == second.module
    user.load(write(GOOD))
    assert get("mine").cls is cls  # this content is known, so it is not executed again


def test_a_worker_takes_the_very_content_of_the_study(write):
    old = user.load(write(GOOD))
    new = user.load(write(GOOD.replace("x +", "x *")))
    user.ensure([old])
    assert old.names == ("mine",) and new.names == ()
    assert user.sources() == (old,)
    assert pickle.loads(pickle.dumps(old)) == old


def test_ultralytics_names_follow(write):
    tasks = ModuleType("tasks")
    register(tasks)
    before = dict(vars(tasks))
    user.load(write(GOOD))
    assert vars(tasks)["nas_attn.Mine"] is vars(tasks)["Mine"] is get("mine").cls
    user.load(write(GOOD.replace("x +", "x *")))
    assert vars(tasks)["nas_attn.Mine"] is vars(tasks)["Mine"] is get("mine").cls
    unregister(tasks)
    assert "Mine" not in vars(tasks) and "ACmix" in before
    user.load(write(GOOD))
    assert "nas_attn.Mine" not in vars(tasks)


def test_instances_carry_the_source(write):
    user.load(write(GOOD))
    layer = build_module(get("mine"), 8, {"k_size": 3, "residual": "scaled"})
    for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), pickle.loads(pickle.dumps(layer, 0))):
        assert type(made.fn) is type(layer.fn) and type(made.fn.inner) is type(layer.fn.inner)
        assert list(made.state_dict()) == list(layer.state_dict()) == ["gamma", "fn.conv.weight", "fn.conv.bias"]
        assert all(torch.equal(a, b) for a, b in zip(made.parameters(), layer.parameters(), strict=True))
        assert made.fn.conv.weight is not layer.fn.conv.weight
    many = pickle.dumps([build_module(get("mine"), 8, {"k_size": 3}) for _ in range(8)])
    assert many.count(b"super().__init__()") == 1  # the pickle has the source once, for any number of instances


def test_a_subclass_elsewhere_is_pickled_as_usual(write):
    user.load(write(GOOD))
    parent = get("mine").cls
    child = type("Child", (parent,), {"__module__": __name__})
    function, arguments, *_ = child(4, 3).__reduce_ex__(2)
    assert function.__name__ == "__newobj__" and arguments == (child,)


def test_files_that_the_environment_names(write, monkeypatch):
    monkeypatch.setenv(user.ENVIRONMENT, str(write(GOOD)))
    user.load_installed()
    assert get("mine").origin.endswith("mine.py")
    monkeypatch.setenv(user.ENVIRONMENT, "nowhere.py")
    with pytest.raises(UserError, match="existing Python file"):
        user.load_installed()


def test_words_of_the_parser_are_known():
    """Ultralytics replaces arguments that have the name of one of its variables."""
    from ultralytics.nn.tasks import parse_model

    code = parse_model.__code__
    assert {*code.co_varnames, *code.co_cellvars} <= choice.PARSER_WORDS
    assert all(choice.survives_parser(w) for w in ("none", "scaled", "on", "off", "a.b", "ACmix"))


def space(modules=None, content=None, own=()):
    """The modules in the space of a configuration and a space file, with these module files."""
    config = StudyConfig(demo=True, modules=modules, imgsz=64, final_imgsz=320)
    content = {"modules": content or {"lka": {"k_size": [7]}}}
    built = build_space(config, content, (Slot("p3", 16, 16, 8),), "base", own)
    return {g.module for g in built["p3"].genes}


def test_a_file_joins_the_space_unless_its_modules_are_named(write):
    user.load(write(GOOD))
    user.load(write(GOOD.replace('"mine"', '"second"').replace("Mine", "Second"), "two.py"))
    assert space() == {"none", "lka"}
    assert space(own=[("mine",), ("second",)]) == {"none", "lka", "mine", "second"}
    assert space(modules={"lka": None}, own=[("mine",)]) == {"none", "lka", "mine"}
    assert space(modules={"mine": None}, own=[("mine", "second")]) == {"none", "mine"}
    assert space(content={"second": None}, own=[("mine",), ("second",)]) == {"none", "second", "mine"}


def test_names_and_files_of_the_search_command():
    assert modules_given([]) == {}
    assert modules_given(["acmix, lska"]) == {"modules": {"acmix": None, "lska": None}}
    assert modules_given(["mine.py", "a/other.py"]) == {"module_files": ["mine.py", "a/other.py"]}
    assert modules_given(["mine.py", "mine"]) == {"module_files": ["mine.py"], "modules": {"mine": None}}


def test_a_study_names_files_relative_to_itself(tmp_path, monkeypatch):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "own.yaml").write_text("demo: true\nmodule_files: [../mine.py]\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("s/own.yaml", {}).module_files == [str(tmp_path / "mine.py")]
    assert load_config("s/own.yaml", {"module_files": ["x.py"]}).module_files == [str(tmp_path / "x.py")]


def test_only_another_content_is_another_search():
    header = {"name": "s", "format": 1, "config": StudyConfig(demo=True, module_files=["a.py"]).model_dump(mode="json")}
    then = {**header, "fingerprints": {"space": "1", "modules": {"mine": "aa"}}}
    moved = {**header, "config": {**header["config"], "module_files": ["b.py"]}}
    check_unchanged(then, {**moved, "fingerprints": {"space": "1", "modules": {"mine": "aa"}}})
    check_unchanged(
        {**header, "fingerprints": {"space": "1"}}, {**header, "fingerprints": {"space": "1", "modules": {}}}
    )
    with pytest.raises(UserError, match=r"the source of module `mine` \(digest aa then, bb now\)"):
        check_unchanged(then, {**moved, "fingerprints": {"space": "1", "modules": {"mine": "bb"}}})


@pytest.mark.parametrize("file", [None, "<stdin>", "<ipython-input-3>"])
def test_a_module_that_stands_in_no_file(file, clean, monkeypatch):
    """The class comes from standard input or from a notebook cell."""
    cell = ModuleType("cell")
    if file is not None:
        cell.__file__ = file
    monkeypatch.setitem(sys.modules, "cell", cell)
    exec(GOOD.replace("mine", "typed").replace("Mine", "Typed"), cell.__dict__)
    with pytest.raises(UserError, match=r"defined in a file, but got 'typed'.*Write it to typed\.py.*--modules"):
        get("typed").source()


def test_a_file_that_is_gone_is_answered_with_the_kept_copies(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gone, other = write(GOOD), write(GOOD.replace('"mine"', '"second"').replace("Mine", "Second"), "two.py")
    folder = RunFolder(Path("runs/own"))
    folder.keep_modules([user.load(gone), user.load(other)])
    gone.unlink()
    copy = next(p for p in folder.modules() if p.name == "mine.py")
    with pytest.raises(UserError) as refused:
        load_own([str(gone), str(other)], folder)
    assert f"Continue with the kept copy: --modules {copy} --modules {other}." in str(refused.value)
    assert [s.names for s in load_own([str(copy), str(other)], folder)] == [("mine",), ("second",)]
    with pytest.raises(UserError, match=r"existing Python file.*Give its path"):
        load_own([str(tmp_path / "never.py")], folder)
    with pytest.raises(ConfigError) as refused:  # one error for all files, without a remedy that would not help
        load_own([str(gone), str(tmp_path / "never.py")], folder)
    assert len(refused.value.problems) == 2 and "kept copy" not in str(refused.value)
