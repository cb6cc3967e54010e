"""Checks of a model YAML before it is built: it runs no foreign code, and a mistake is reported with its place."""

from __future__ import annotations

import copy

import pytest
import yaml

from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import UserError

PLAIN = {
    "nc": 2,
    "scales": {"n": [1.0, 1.0, 1024]},
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]],
    "head": [[-1, 1, "C2f", [8]], [-1, 1, "Conv", [8, 3, 2]], [[3, 4], 1, "Detect", ["nc"]]],
}
CODE = "__import__('pathlib').Path('pwned').touch()"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes a model YAML with other keys and rows, in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(rows=None, name="mine.yaml", **keys):
        content = {**copy.deepcopy(PLAIN), **keys}
        for number, row in (rows or {}).items():
            part, at = ("backbone", number) if number < 3 else ("head", number - 3)
            content[part][at] = row
        path = tmp_path / name
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}, sort_keys=False))
        return path

    return write


@pytest.mark.parametrize(
    "activation",
    [
        CODE,
        f"nn.SiLU({CODE})",
        f"nn.LeakyReLU(negative_slope={CODE})",
        f"[{CODE}, nn.SiLU()][1]",
        f"nn.SiLU() if {CODE} else nn.ReLU()",
        "nn.SiLU().__class__()",
        "nn.init.constant_(1, 2)",
        "torch.nn.functional.relu()",
        "torch.hub.load('a', 'b')",
        "nn.functional",
        "nn.SiLU",
        "nn.Silu()",
        "nn.Parameter()",
        "SiLU()",
        "nn.SiLU(*[1])",
        "nn.LeakyReLU(**{'inplace': True})",
        "nn.SiLU(",
        "(" * 500,
        ["nn.SiLU()"],
        1,
    ],
)
@pytest.mark.parametrize("command", [["slots", "--model"], ["adopt"]])
def test_an_activation_is_a_layer_with_literals(activation, command, file, capsys):
    from nas_attn.cli.app import run

    path = file(activation=activation)
    assert run([*command, str(path)]) == 2
    said = capsys.readouterr().err
    assert "`activation` must be a layer of torch.nn" in said and "nn.SiLU()" in said and str(path) in said
    assert not (path.parent / "pwned").exists()


@pytest.mark.parametrize(
    ("activation", "layer"),
    [("nn.ReLU6()", "ReLU6"), ("torch.nn.LeakyReLU(0.1, inplace=True)", "LeakyReLU"), (" nn.SiLU( )", "SiLU")],
)
def test_activations_of_ultralytics_own_form(activation, layer, file):
    assert type(load_base(str(file(activation=activation))).build().model[0].act).__name__ == layer


@pytest.mark.parametrize(
    "module",
    ["nn.init", "nn.functional", "nn.Parameter", "nn.__loader__", "torchvision.ops.nms", "torch", "LOGGER",
     "load_checkpoint", "torch_safe_load", "parse_model", "DetectionModel", "Ensemble", "__builtins__", "Path"],
)  # fmt: skip
def test_a_row_names_a_layer(module, file, monkeypatch):
    """`load_checkpoint` unpickles, and the constructor of a whole model reads another YAML without a check."""
    from ultralytics.nn import tasks

    calls = []
    for name in ("load_checkpoint", "torch_safe_load"):
        monkeypatch.setattr(tasks, name, calls.append)
    path = file({1: [-1, 1, module, ["evil.pt"]]})
    with pytest.raises(UserError, match="row 1 ") as caught:
        load_base(str(path)).build()
    assert module in str(caught.value) and str(path) in str(caught.value) and not calls


def test_a_build_that_failed_changes_no_later_one(file):
    from ultralytics.nn.modules import Conv

    before = Conv.default_act
    broken = load_base(str(file({1: [-1, 1, "Conv", [8, 3, 2, None, "x"]]}, activation="nn.ReLU6()")))
    with pytest.raises(UserError):
        broken.build()
    assert Conv.default_act is before


@pytest.mark.parametrize(
    ("rows", "keys", "says"),
    [
        ({}, {"nc": 0}, "`nc` must be a whole number of at least 1, but got 0"),
        ({}, {"nc": None}, "must have `nc`, `backbone` and `head`"),
        ({}, {"backbone": []}, "must have `nc`, `backbone` and `head`"),
        ({1: [-1, 1, "Conv"]}, {}, "row 1 "),
        ({4: "Conv"}, {}, "row 4 "),
    ],
)
def test_what_is_wrong_and_where(rows, keys, says, file):
    with pytest.raises(UserError) as caught:
        load_base(str(file(rows, **keys)))
    assert says in str(caught.value)


@pytest.mark.parametrize("module", ["ACmix", "CoordAttention", "C2f_ACmix", "eca_layer"])
@pytest.mark.parametrize("arguments", [[], [8]])
def test_a_row_of_an_article_points_to_adopt(module, arguments, file):
    path = file({4: [-1, 1, module, arguments]})
    with pytest.raises(UserError) as caught:
        load_base(str(path)).build()
    assert str(path) in str(caught.value) and f"`python -m nas_attn adopt {path}`" in caught.value.remedy


def test_other_rows_do_not_point_there(file):
    path = file({4: [-1, 1, "Unheard", []]})
    with pytest.raises(UserError) as caught:
        load_base(str(path)).build()
    assert str(path) in str(caught.value) and "adopt" not in str(caught.value)
