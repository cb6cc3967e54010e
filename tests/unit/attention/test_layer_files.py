"""Files of layers: their classes in rows, the replacement of earlier versions, and bad input."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from layer_files import HEAD, NAM, RESIZING, SPD, layer
from module_files import GOOD, clean, write

import nas_attn
from nas_attn.attention import layers, names, trust, user
from nas_attn.detector.model.registration import check_rows
from nas_attn.errors import ConfigError, UserError

__all__ = ["clean", "write"]  # fixtures
ROW = [-1, 1, "nas_attn.SPDConv", [8, 16]]


def built(name: str) -> type:
    return dict(layers.built())[name]


def test_its_classes_are_layers_and_no_attention_modules(write):
    before = names()
    (source,) = user.load_layers([write(SPD, "spd.py")])
    assert layers.names() == ["Conv", "SPDConv"] and names() == before and source.names == ()
    assert layers.get("SPDConv").source is source and layers.get("SPDConv").path.endswith("spd.py")
    assert layers.get("SPDConv").helpers == {"Conv"}  # the lines below __main__ only try the layer
    assert source not in user.sources()  # only models whose rows name it carry it


@pytest.mark.parametrize(
    ("name", "arguments", "channels", "changes"),
    [("Doubling", (8, 4), 4, True), ("Doubling", (8, 8), 8, False), ("Halving", (), 8, False),
     ("Nothing", (), 8, False), ("Wider", (8,), 16, True)],
)  # fmt: skip
def test_a_row_gets_a_list_if_and_only_if_the_channels_change(write, name, arguments, channels, changes):
    user.load_layers([write(RESIZING, "resizing.py")])
    made = built(name)(*arguments)
    x = torch.rand(2, 8, 6, 6)
    out = made(x)
    assert isinstance(out, list) is changes
    (found,) = out if changes else (out,)
    assert found.shape[1] == channels
    plain = vars(built(name))["of_the_user"].forward(made, x)
    assert torch.equal(found, plain) and type(made).__name__ == name


def test_a_forward_that_ultralytics_puts_in_place_of_another_has_the_same_form(write):
    """Fused layers of Ultralytics' own kind get `forward_fuse` as their `forward`."""
    text = "from ultralytics.nn.modules import Conv\n\n\nclass Widening(Conv):\n    pass\n"
    user.load_layers([write(text, "widening.py")])
    made = built("Widening")(4, 8).eval()
    (out,) = made(torch.rand(1, 4, 5, 5))
    assert out.shape == (1, 8, 5, 5) and isinstance(made.forward_fuse(torch.rand(1, 4, 5, 5)), list)


def test_copies_and_pickles_carry_the_source(write, tmp_path):
    user.load_layers([write(SPD, "spd.py")])
    made = built("SPDConv")(4, 8)
    made(torch.rand(1, 4, 8, 8))
    twin = copy.deepcopy(made)
    assert type(twin) is type(made) and twin.conv.conv.weight is not made.conv.conv.weight
    (tmp_path / "made.pkl").write_bytes(pickle.dumps(made))
    code = (
        "import pickle, sys; made = pickle.load(open('made.pkl', 'rb')); assert 'ultralytics' not in sys.modules; "
        "from nas_attn.attention import layers; print(type(made).__name__, made.changes_channels, layers.names())"
    )
    root = str(Path(nas_attn.__file__).parent.parent)
    (tmp_path / "spd.py").unlink()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "SPDConv True ['Conv', 'SPDConv']\n"


def test_an_edited_file_replaces_itself_and_drops_its_former_names(write):
    path = write(SPD, "spd.py")
    (old,) = user.load_layers([path])
    path.write_text(
        SPD.replace("relu", "tanh").replace("class SPDConv", "class Renamed").replace("SPDConv(3", "Renamed(3")
    )
    (new,) = user.load_layers([path])
    assert old.digest != new.digest and layers.names() == ["Conv", "Renamed"]
    user.ensure([old])  # a worker takes the very content of the study
    assert layers.get("SPDConv").source is old and layers.get("Conv").source is old


def test_two_files_may_share_helpers_but_not_a_layer_that_a_row_names(write):
    first, second = write(SPD, "a/spd.py"), write(SPD.replace("relu", "tanh"), "b/spd.py")
    user.load_layers([first, write(NAM, "nam.py"), second])
    with pytest.raises(UserError, match=r"'SPDConv' in .*a/spd.py and .*b/spd.py.*Rename"):
        check_rows([ROW], "model.yaml")
    user.load_layers([second])  # given alone, it replaces the other
    check_rows([ROW], "model.yaml")
    assert layers.get("SPDConv").path.endswith("b/spd.py")
    assert layers.names() == ["ChannelGate", "Conv", "NormGate", "SPDConv"]


def test_a_file_of_modules_is_no_file_of_layers_and_the_reverse(write):
    module, own = write(GOOD), write(SPD, "spd.py")
    with pytest.raises(ConfigError) as caught:
        user.load_layers([module])
    assert "must not register attention modules" in str(caught.value) and "--modules" in str(caught.value)
    assert "mine" not in names() and not layers.names()  # nothing of it stays
    with pytest.raises(UserError, match=r"at least one attention module.*give it with --layers"):
        user.load(own)
    user.load(module)
    user.load_layers([own])
    with pytest.raises(UserError, match="give it with --layers"):
        user.load(own)  # known already
    with pytest.raises(ConfigError, match="must not register attention modules"):
        user.load_layers([module])
    assert "mine" in names()


def test_all_mistakes_are_told_at_once_and_nothing_is_loaded(write, tmp_path):
    given = [write("x = (\n", "broken.py"), write("x = 1\n", "empty.py"), write("import nowhere\n", "needs.py"),
             tmp_path / "gone.py", write(SPD, "spd.py")]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        user.load_layers(given)
    said = [str(p) for p in caught.value.problems]
    assert len(said) == 4 and "broken.py:1" in said[0] and "subclass of torch's nn.Module" in said[1]
    assert "nowhere" in said[2] and "gone.py" in said[3]
    assert not layers.names()


def test_the_name_of_an_attention_module_never_means_a_layer(write):
    text = HEAD + layer("CBAM", "x") + layer("Other", "x")
    user.load_layers([write(text, "many.py")])
    assert layers.names() == ["Other"] and not layers.is_layer("CBAM")
    assert layers.definitions("CBAM")[0].path.endswith("many.py")


def test_only_a_named_content_runs(write, tmp_path, monkeypatch):
    monkeypatch.setenv("NAS_ATTN_CACHE", str(tmp_path / "cache"))
    source = user.read(write(SPD, "spd.py"))
    with pytest.raises(UserError, match="only if you have named them"):
        trust.check([source], "somewhere")
    trust.remember([source])
    trust.check([source], "somewhere")


def test_a_variable_names_files_for_every_process(write, tmp_path):
    files = os.pathsep.join((str(write(SPD, "spd.py")), str(write(NAM, "nam.py"))))
    code = (
        "import nas_attn; from ultralytics.nn import tasks; from nas_attn.attention import layers; "
        "assert vars(tasks)['nas_attn.SPDConv'] is dict(layers.built())['SPDConv']; "
        "assert 'SPDConv' not in vars(tasks); print(layers.names())"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(nas_attn.__file__).parent.parent), "NAS_ATTN_LAYERS": files}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "['ChannelGate', 'Conv', 'NormGate', 'SPDConv']\n"
