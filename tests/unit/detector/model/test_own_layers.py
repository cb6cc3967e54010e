"""Own layers in a model: completed rows, slots around them, weights, and layers that are refused."""

from __future__ import annotations

import json
import re

import pytest
import torch
import yaml
from layer_files import HEAD, NAM, RESIZING, SPD, layer, write_model
from module_files import clean, write

from nas_attn.attention import user
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.held_attention import held_note
from nas_attn.detector.neck.export import yaml_text
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.detector.weights.checkpoint_rows import check_weights, checkpoint_state
from nas_attn.detector.weights.initial_weights import build
from nas_attn.detector.weights.start_model import save_start, start_model
from nas_attn.errors import UserError
from nas_attn.space import Architecture

__all__ = ["clean", "write", "write_model"]  # fixtures
SPD_ROWS = {3: [-1, 1, "SPDConv", [256]], 16: [-1, 1, "SPDConv", [256]]}


@pytest.fixture
def own(write, write_model):
    """A function: (text of a layer file, rows of yolov8n) -> the base model."""

    def make(text: str, rows: dict[int, list], **settings: object):
        user.load_layers([write(text, "own.py")])
        return load_base(str(write_model(rows, **settings)))

    return make


def places(base) -> list[tuple]:
    return [(s.name, s.also, s.channels, s.stride, s.inside and s.inside.mode) for s in all_slots(base)]


def test_a_layer_that_changes_the_channels_is_stated(own):
    base = own(SPD, SPD_ROWS)
    assert base.rows[3:5] == [[-1, 1, "nas_attn.SPDConv", [32, 64]], [-1, 1, "Index", [64, 0]]]
    assert base.rows[17] == [-1, 1, "nas_attn.SPDConv", [64, 64]]  # 64 channels stay
    assert base.rows[12][0] == [-1, 7] and base.rows[23][0] == [16, 19, 22]  # later numbers are shifted
    assert places(base) == places(load_base("yolov8n.yaml"))
    assert list(base.layers) == ["SPDConv"] and not held_note(base)


@pytest.mark.parametrize(
    "rows",
    [
        {10: [-1, 1, "Nearest", []], 13: [-1, 1, "Nearest", [2]]},  # both top-down steps, same channels
        {10: [-1, 1, "Doubling", [512]], 13: [-1, 1, "Doubling", [256]]},  # the same with other channels
        {10: [-1, 1, "Doubling", [1024]]},
        {7: [-1, 1, "Halving", []], 8: [-1, 3, "C2f", [1024, True]]},  # in the backbone
        {0: [-1, 1, "Doubling", [64]], 1: [-1, 1, "Conv", [128, 3, 8]]},  # reads the image
    ],
)  # fmt: skip
def test_resampling_layers_leave_the_slots_where_they_are(own, rows):
    def without_joins(base):  # a join has the channels of the layer before it
        return [(*p[:2], p[2] * (not p[0].startswith("fuse")), *p[3:]) for p in places(base)]

    assert without_joins(own(RESIZING, rows)) == without_joins(load_base("yolov8n.yaml"))


def test_the_built_model_is_the_one_with_the_layers_themselves(own):
    """The same network, built by hand: yolov8n with the user's module in the place of row 3."""
    base = own(SPD, {3: [-1, 1, "SPDConv", [256]]})
    model = base.build().eval()
    spd, index = model.model[3], model.model[4]
    x = torch.rand(1, 32, 16, 16)
    assert torch.equal(index(spd(x)), vars(type(spd))["of_the_user"].forward(spd, x))
    stock = load_base("yolov8n.yaml").build()
    others = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in spd.parameters())
    assert others == sum(p.numel() for p in stock.parameters()) - sum(p.numel() for p in stock.model[3].parameters())
    assert model.stride.tolist() == [8.0, 16.0, 32.0]


def test_each_scale_and_width_completes_the_rows_anew(own, write_model):
    own(SPD, SPD_ROWS)
    file = write_model(SPD_ROWS, "own-x.yaml")
    small, wide = load_base(str(file)), load_base(str(file), width=1.25)
    assert small.rows[3][3] == [32, 64] and wide.rows[3][3] == [160, 320]
    limited = {**yaml.safe_load(file.read_text()), "scales": {"l": [1.0, 1.0, 128]}}
    file.write_text(yaml.safe_dump(limited))
    assert load_base(str(file)).rows[3][3] == [128, 128]  # as `max_channels` says


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        ([-1, 3, "SPDConv", [256]], [["nas_attn.SPDConv", [32, 64]], ["Index", [64, 0]], ["nas_attn.SPDConv", [64, 64]],
                                     ["nas_attn.SPDConv", [64, 64]]]),
        ([-1, 3, "Stack", [256]], [["nas_attn.Stack", [32, 64, 3]], ["Index", [64, 0]]]),
        ([-1, 1, "Stack", [256]], [["nas_attn.Stack", [32, 64, 1]], ["Index", [64, 0]]]),
    ],
)  # fmt: skip
def test_repeats_are_several_rows_unless_the_class_takes_their_number(own, row, rows):
    init = "self.conv, self.pool = nn.Conv2d(c1, c2, 1), nn.MaxPool2d(2 ** n)"
    stack = layer("Stack", "self.pool(self.conv(x))", init, ", c1, c2, n=1")
    deep = {4: [-1, 1, "nn.Upsample", [None, 2 ** (row[1] - 1), "nearest"]]} if row[1] > 1 else {}
    base = own(SPD + "\n\n" + stack, {3: row, **deep}, scales={"n": [1.0, 0.25, 1024]})
    assert [r[2:] for r in base.rows[3 : 3 + len(rows)]] == rows and all(
        r[:2] == [-1, 1] for r in base.rows[4 : 3 + len(rows)]
    )
    base.build()


def test_a_complete_row_stays_as_it_is(own, write_model):
    base = own(SPD, SPD_ROWS)
    text = yaml_text(base, all_slots(base), Architecture.parse("p3=se"), final_nc=3)
    assert "Needs the layer `SPDConv` from own.py" in text and "--layers" in text
    written = write_model(name="best.yaml")
    written.write_text(text)
    again = load_base(str(written))
    wanted, _ = architecture_yaml(base, all_slots(base), Architecture.parse("p3=se"))
    assert again.rows == wanted["backbone"] + wanted["head"] and "SPDConv" in again.layers


def test_the_fingerprint_knows_the_source_of_layers_and_only_theirs(own, write):
    with_them, without = own(SPD, SPD_ROWS), load_base("yolov8n.yaml")
    before, plain = with_them.fingerprint, without.fingerprint
    user.load_layers([write(SPD.replace("relu", "tanh"), "own.py")])
    assert with_them.fingerprint != before and without.fingerprint == plain
    content = json.dumps(without.yaml, sort_keys=True, default=str).encode()  # as all releases have computed it
    import hashlib

    assert plain == hashlib.sha256(content).hexdigest()[:16]


# ---- weights


@pytest.mark.parametrize("other", ["p3=acmix p5=se", "inner.p4.insert=se lateral.p4=eca"])
def test_every_tensor_of_a_base_with_layers_moves_into_its_architectures_and_back(own, tmp_path, other):
    base = own(SPD + NAM.partition("\n\n\n")[2], {**SPD_ROWS, 9: [-1, 1, "NormGate", [1024]]})
    slots = all_slots(base)
    model, report = build(base, slots, Architecture.parse(other), 0)
    assert report.ratio == 1
    filled, _ = architecture_yaml(base, slots, Architecture.parse(other))
    model.yaml = {**model.yaml, **filled}
    save_start(model, "detect", tmp_path / "filled.pt")
    check_weights(tmp_path / "filled.pt", base)
    found = load_base(str(tmp_path / "filled.pt"))
    assert list(found.layers) == list(base.layers)
    state = checkpoint_state(found, base)
    assert state is not None and set(state) == set(base.build().state_dict())
    kept = [key for key in state if key.startswith(("model.3.", "model.10.", "model.17."))]
    assert len(kept) == 2 * 6 + 5, kept  # two SPDConv: a convolution and a batch norm; NormGate: a batch norm
    _, fit = start_model(base.changed(nc=3), tmp_path / "filled.pt", 1)  # another number of classes
    assert fit is not None and not fit.unplaced and fit.share == 1 and fit.reshaped


def test_a_checkpoint_brings_its_layers(own, tmp_path, write):
    base = own(SPD, SPD_ROWS)
    save_start(base.build(), "detect", tmp_path / "own.pt")
    edited = user.load_layers([write(SPD.replace("relu", "tanh"), "own.py")])[0]
    found = load_base(str(tmp_path / "own.pt"))
    assert found.rows == base.rows and found.layers["SPDConv"] is edited  # the named file counts, where there is one


# ---- layers that are refused


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        (layer("Bad", "x @ x.permute(0, 2, 3, 1)"), [], r"must run on a \(32, 64, 64\) map.*RuntimeError"),
        (layer("Bad", "undefined"), [], r"NameError.*undefined"),
        (layer("Bad", "(x, x)"), [], r"must return one tensor.*tuple for a \(32, 64, 64\) map"),
        (layer("Bad", "x.mean((2, 3))"), [], r"one tensor.*shape \(1, 32\)"),
        (layer("Bad", "x[:, :, ::2]"), [], r"same factor.*32×64 for 64×64"),
        (layer("Bad", "x * self.t", "self.t = torch.ones(1, 32, 64, 64)"), [], r"without data of the CPU.*Error"),
        (layer("Bad", "x * x.mean().item()"), [], r"without data of the CPU"),
        (layer("Bad", "x", "raise ValueError('seven only')", ", k=3"), [5], r"constructor, here Bad\(5\).*seven only"),
        (layer("Bad", "x", "raise SystemExit(3)"), [], r"constructor.*SystemExit"),
        (layer("Bad", "x", "", ", k"), [], r"arguments that its class takes.*missing"),
        (layer("Bad", "x").replace("(self, x)", "(self, x, y)"), [], r"one input.*forward\(self, x, y"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_stand_there_is_one_error(own, text, row, said):
    with pytest.raises(UserError) as caught:
        own(HEAD + text, {3: [2, 1, "Bad", row]})
    message = str(caught.value)
    assert re.search(said, message, re.DOTALL), message
    assert "row 3 (Bad)" in message and "class Bad of" in message and "own.py" in message
    assert "Traceback" not in message and message.count("\n") == 0


def test_several_inputs_and_heads_are_refused_by_name(own):
    two = HEAD + layer("Joining", "torch.cat(x, 1)") + layer("MyHead", "x")
    with pytest.raises(UserError, match=r"must read one row.*from \[-1, 6\].*\(Joining\).*several inputs"):
        own(two, {11: [[-1, 6], 1, "Joining", []]})
    with pytest.raises(UserError, match=r"must end in one of Detect.*'MyHead'"):
        own(two, {22: [[15, 18, 21], 1, "MyHead", ["nc"]]})


@pytest.mark.parametrize("name", ["ADown", "C2f", "CBAM", "ACmix"])
def test_a_name_that_ultralytics_or_the_zoo_has_is_refused_with_the_remedy(own, name):
    with pytest.raises(UserError, match=rf"one meaning.*'{name}'.*own.py and of .*Rename.*My{name}"):
        own(HEAD + layer(name, "x"), {3: [-1, 1, name, []]})


def test_a_helper_with_the_name_of_a_class_of_ultralytics_is_none_of_the_rows(own):
    base = own(SPD, SPD_ROWS)  # its file has its own `Conv`
    assert type(base.build().model[0]).__module__.startswith("ultralytics.")


def test_a_row_without_its_file_names_both_options(own, write_model):
    with pytest.raises(UserError, match=r"'Missing'.*--modules FILE.*--layers FILE or in NAS_ATTN_LAYERS"):
        load_base(str(write_model({3: [-1, 1, "nas_attn.Missing", [32, 64]]})))


def test_models_of_ultralytics_and_exports_have_no_incomplete_rows(write, write_model):
    """A file of layers may define a class of any name: a shipped model and an export mean that of Ultralytics."""
    user.load_layers([write(HEAD + layer("C2f", "x") + layer("Conv", "x.undefined"), "own.py")])
    base = load_base("yolov8n.yaml")
    text = yaml_text(base, all_slots(base), Architecture.parse("p3=se"), final_nc=3)
    (file := write_model(name="best.yaml")).write_text(text)
    assert load_base(str(file)).rows[0] == base.rows[0] == [-1, 1, "Conv", [64, 3, 2]]
    save_start(base.build(), "detect", file.with_suffix(".pt"))
    assert load_base(str(file.with_suffix(".pt"))).rows[0] == base.rows[0]
    with pytest.raises(UserError, match="one meaning"):
        load_base(str(write_model(name="theirs.yaml")))


def test_a_layer_may_declare_the_cost_of_an_op_without_a_rule(own):
    from nas_attn.cost import CostTable

    text = HEAD + layer("Gamma", "x * torch.lgamma(x.abs() + 1)")
    rows = {9: [-1, 1, "Gamma", []]}
    with pytest.raises(UserError, match=r"listed cost.*aten::lgamma.*--layers.*attribute `costs` of its class"):
        CostTable.build(own(text, rows).build(), {}, 64)
    counted = []
    for macs in (0, 3):
        base = own(text.replace("(nn.Module):", f"(nn.Module):\n    costs = {{'aten::lgamma': {macs}}}\n"), rows)
        counted.append(CostTable.build(base.build(), {}, 64).base.macs)
    assert counted[1] - counted[0] == 3 * 256 * 2 * 2  # the map of row 9 at 64 px
    for wrong in ("['aten::lgamma']", "{'aten::lgamma': -1}", "{'aten::_convolution': 1}"):
        base = own(text.replace("(nn.Module):", f"(nn.Module):\n    costs = {wrong}\n"), rows)
        with pytest.raises(UserError, match=r"`costs`.*class Gamma"):
            CostTable.build(base.build(), {}, 64)
