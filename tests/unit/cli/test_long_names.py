"""A name or path that is too long for a file gives a message in every command."""

from __future__ import annotations

import pytest

from nas_attn.attention import user
from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import ConfigError, UserError
from nas_attn.study.config_sources import load_config
from nas_attn.study.inputs import resolve

LONG = "m" * 5000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("suffix", ["", ".yaml", ".pt"])
def test_a_model(suffix):
    with pytest.raises(UserError):
        load_base(LONG + suffix)


@pytest.mark.parametrize("key", ["model", "data", "weights", "space", "storage", "name", "device"])
@pytest.mark.parametrize("value", [LONG, f"{LONG}.yaml", f"a/{LONG}/b.yaml", "a\0b"])
def test_a_setting_of_a_study(key, value, tmp_path):
    given = {"data": "d.yaml", key: value}
    (tmp_path / "s.yaml").write_text("".join(f'{k}: "{v}"\n' for k, v in given.items()).replace("\0", "\\0"))
    for study, options in (("s.yaml", {}), ("new", given)):
        with pytest.raises(ConfigError) as caught:
            resolve(load_config(study, options), lambda text: None)
        assert len(str(caught.value)) < 8000


def test_a_module_file():
    for file in (f"{LONG}.py", f"{LONG}/m.py"):
        with pytest.raises(UserError):
            user.load(file)


@pytest.mark.parametrize("command", [
    ["search", LONG, "--data", "d.yaml"], ["report", LONG], ["dashboard", LONG], ["export", LONG], ["ablate", LONG],
    ["search", f"{LONG}.yaml"], ["report", "x", "--runs", LONG], ["report", "x", "-o", LONG], ["slots", LONG],
    ["search", "x", "--model", LONG, "--data", "d.yaml"], ["slots", "--model", LONG], ["cost", "--model", LONG],
    ["cost", "p3=none", "--modules", f"{LONG}.py"], ["train", f"{LONG}.yaml", "--data", "d.yaml"], ["adopt", LONG],
    ["train", "m.yaml", "--data", "d.yaml", "--weights", f"{LONG}.pt"], ["export", "--verify", LONG],
    ["export", "--architecture", "p3=none", "-o", f"{LONG}.yaml"], ["ablate", "--base", "p3=none", "--data", LONG],
    ["export", "--architecture", "p3=none", "--bundle", LONG], ["search", "x", "--space", LONG, "--data", "d.yaml"],
    ["ablate", "--base", "p3=none", "--name", LONG, "--data", "d.yaml"], ["cost", f"p{'9' * 5000}=none"],
], ids=lambda c: "-".join(part[:12] for part in c))  # fmt: skip
def test_a_command(command, capsys):
    assert run(command) == 2
    said = capsys.readouterr().err
    assert len(said) < 8000 and "Traceback" not in said
