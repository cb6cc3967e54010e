"""The limit on the size of a YAML holds wherever one is read, before any value is built."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import nas_attn
from nas_attn.adoption.article import read_article
from nas_attn.cli.app import run
from nas_attn.data.image_lists import load
from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import UserError
from nas_attn.safe_yaml import parse_yaml
from nas_attn.study.config_sources import load_config
from nas_attn.study.space_files import load_space

NESTED = "a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n" + "".join(
    f"{two}: &{two} [{','.join([f'*{one}'] * 10)}]\n" for one, two in zip("abcdefghi", "bcdefghij", strict=True)
)
MODEL = {
    "activation": "nc: 3\nactivation: *j\nscales: {n: [0.5, 0.25, 1024]}\nbackbone: [[-1, 1, Conv, [64, 3, 2]]]\n",
    "scales": "nc: 3\nscales: {n: *j}\nbackbone: [[-1, 1, Conv, [64, 3, 2]]]\n",
    "arguments": "nc: 3\nscales: {n: [0.5, 0.25, 1024]}\nbackbone: [[-1, 1, Conv, *j]]\n",
    "itself": "nc: 3\nscales: {n: [0.5, 0.25, 1024]}\nbackbone: &k [[-1, 1, Conv, *k]]\n",
    "depth": f"nc: 3\nscales: {{n: [0.5, 0.25, 1024]}}\nbackbone: [[-1, 1, Conv, {'[' * 3000}{']' * 3000}]]\n",
    "number": f"nc: 3\nscales: {{n: [{'9' * 5000}, 0.25, 1024]}}\nbackbone: [[-1, 1, Conv, [64, 3, 2]]]\n",
}
HEAD = "head: [[[0], 1, Detect, [nc]]]\n"


@pytest.mark.parametrize("kind", MODEL)
def test_a_model_of_few_bytes_that_means_gigabytes(kind, tmp_path, capsys):
    path = tmp_path / "bomb.yaml"
    path.write_text(NESTED + MODEL[kind] + HEAD)
    for read in (lambda: load_base(str(path)), lambda: read_article(path)):
        with pytest.raises(UserError, match="YAML") as caught:
            read()
        assert len(str(caught.value)) < 2000
    for command in (["slots", "--model"], ["cost", "--model"], ["adopt"], ["train", "--data", "d.yaml"]):
        assert run([*command, str(path)]) == 2
    assert len(capsys.readouterr().err) < 8000


@pytest.mark.parametrize("key", ["data", "modules", "epochs", "name"])
def test_data_studies_and_spaces(key, tmp_path):
    path = tmp_path / "bomb.yaml"
    path.write_text(f"{NESTED}{key}: *j\ntrain: *j\n")
    for read in (lambda: load_config(str(path), {}), lambda: load(path), lambda: load_space(str(path))):
        with pytest.raises(UserError, match=r"YAML.*repeated parts make more than"):
            read()


def test_nobody_reads_yaml_otherwise():
    package = Path(nas_attn.__file__).parent
    others = [p.name for p in package.rglob("*.py") if "safe_load(" in p.read_text() and p.name != "construction.py"]
    assert not others  # construction.py reads what it has just written


def test_anchors_of_ordinary_files_mean_what_they_say():
    text = "a: &a {x: [1, 2]}\nb: *a\nc: {<<: *a, y: 3}\nd: 2020-01-01\ne: [*a, *a]\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None and parse_yaml("# only this") is None
    paths = yaml.safe_dump({"train": [f"images/{i}.jpg" for i in range(20_000)]})
    assert len(parse_yaml(paths)["train"]) == 20_000


@given(st.text(alphabet=string.printable + "&*!<>[]{}:-", max_size=60))
def test_any_text_reads_as_yaml_does_or_is_refused_as_one(text):
    try:
        wanted = yaml.safe_load(text)
    except Exception:
        with pytest.raises(yaml.YAMLError):
            parse_yaml(text)
        return
    try:
        assert repr(parse_yaml(text)) == repr(wanted)
    except yaml.YAMLError as error:
        assert "nested" in str(error)  # the value contains itself


@pytest.mark.parametrize("text", ["!!int ''", "!!bool x", "!!timestamp x", "2020-99-99", "!!float ''", "9" * 5000])
def test_values_over_which_the_library_trips(text):
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)


def test_a_message_repeats_no_more_than_fits_on_a_screen():
    error = UserError("it must be short", got="x" * 10**6, where="y" * 10**6)
    assert len(str(error)) < 2000 and "1,000,000 characters" in str(error)


def test_a_checkpoint_of_few_bytes_that_means_gigabytes(tmp_path):
    import torch

    model = load_base("yolo11n", width=0.0625).build()
    bomb = ["lol"] * 10
    for _ in range(10):
        bomb = [bomb] * 10
    for key in ("scales", "activation", "nc"):
        model.yaml = {**model.yaml, key: bomb}
        torch.save({"model": model}, tmp_path / "bomb.pt")
        with pytest.raises(UserError, match=r"YAML of a model.*repeated parts make more than"):
            load_base(str(tmp_path / "bomb.pt"))
