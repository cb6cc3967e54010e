"""Base models, the rewrite, transfer and export."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from inserted_rows import insert

from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import check_name, write_yaml, yaml_text
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.detector.weights.checkpoint_rows import check_weights, checkpoint_state, row_map_of
from nas_attn.detector.weights.initial_weights import build, initial_state
from nas_attn.detector.weights.transfer import transfer
from nas_attn.errors import SlotRefused, UnknownName, UserError
from nas_attn.space import Architecture, Slot

TINY = {
    "nc": 2,
    "backbone": [[-1, 1, "Conv", [8]], [-1, 1, "Conv", [8]], [-2, 1, "Conv", [8]]],
    "head": [[[-1, 1], 1, "Concat", [1]], [0, 1, "Conv", [8]], [[3, 4, -1], 1, "Detect", ["nc"]]],
}


ROWS = "backbone: [[-1, 1, Conv, [8]]]\nhead: [[[0], 1, Detect, [nc]]]\n"


def rows(*modules: str) -> list[list]:
    return [[-1, 1, *module.split()[:1], module.split()[1:]] for module in modules]


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """A function that saves a built model as Ultralytics does, and returns the file."""

    def write(name: str, model: torch.nn.Module) -> Path:
        path = tmp_path_factory.mktemp("checkpoint") / f"{name}.pt"
        torch.save({"model": model, "ema": None}, path)
        return path

    return write


def test_rows_of_one_model_are_found_past_inserted_ones():
    plain, own = rows("Conv", "C2f", "Detect"), rows("Conv", "nas_attn.LSKA 8 7", "C2f", "nas_attn.ECA", "Detect")
    other = rows("Conv", "nas_attn.LSKA 8 23", "C2f", "Detect")
    assert row_map_of(plain, plain) == {0: 0, 1: 1, 2: 2}
    assert row_map_of(own, plain) == {0: 0, 2: 1, 4: 2}
    assert row_map_of(plain, own) == {0: 0, 1: 2, 2: 4}
    assert row_map_of(own, own) == {i: i for i in range(5)}
    assert row_map_of(own, other) == {0: 0, 2: 2, 4: 3}


@pytest.mark.parametrize(
    ("checkpoint", "got"),
    [(rows("Conv", "C3k2", "Detect"), "'C3k2' in row 1 (the model has 'C2f')"), (rows("Conv", "C2f"), "2 rows")],
)
def test_rows_of_another_model_are_refused(checkpoint, got):
    with pytest.raises(UserError, match="must be of the same model") as caught:
        row_map_of(checkpoint, rows("Conv", "C2f", "Detect"))
    assert got in str(caught.value)


def test_weights_must_be_of_the_same_model(save, tmp_path):
    base = load_base("yolo11n", nc=3, width=0.125)
    check_weights(save("same", base.changed(nc=5).build()), base)
    wrong = {"module": load_base("yolov8n", width=0.125), "width": load_base("yolo11n"), "depth": load_base("yolo11m")}
    for name, other in wrong.items():
        with pytest.raises(UserError, match="must be of the same model") as caught:
            check_weights(save(name, other.build()), base)
        assert f"{name}.pt" in str(caught.value) and "yolo11n-w0.125" in str(caught.value)
    (tmp_path / "weights.txt").write_text("no")
    with pytest.raises(UserError, match=r"a \.pt file"):
        check_weights(tmp_path / "weights.txt", base)


def test_weights_of_a_trained_architecture_have_the_bases_rows(save):
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=3, width=0.125)
    slots = find_slots(base)
    found = Architecture.parse("p3=lska(k_size=7) p5=acmix(head=2,kernel_att=3,residual=scaled)")
    trained, _ = build(base, slots, found, seed=5)
    path = save("found", trained)
    check_weights(path, base)
    state = checkpoint_state(load_base(str(path)))
    assert set(state) == set(base.build().state_dict())
    model, report = build(base, slots, Architecture.parse("p4=lska(k_size=7)"), seed=0, weights=state)
    assert report.ratio == 1
    assert torch.equal(model.model[24].cv3[0][2].weight, trained.model[25].cv3[0][2].weight)

    exported = replace(base, yaml=trained.yaml)
    assert set(checkpoint_state(load_base(str(path)), exported)) == set(trained.state_dict())


def test_inserting_shifts_what_follows_and_nothing_else():
    before = copy.deepcopy(TINY)
    new, row_map = insert(TINY, {1: ("X", [8]), 3: ("Y", [1, [2]])})
    assert before == TINY
    assert row_map == {0: 0, 1: 1, 2: 3, 3: 4, 4: 6, 5: 7}
    assert new["backbone"] == [
        [-1, 1, "Conv", [8]],
        [-1, 1, "Conv", [8]],
        [-1, 1, "X", [8]],
        [-3, 1, "Conv", [8]],
    ]
    assert new["head"] == [
        [[-1, 2], 1, "Concat", [1]],
        [-1, 1, "Y", [1, [2]]],
        [0, 1, "Conv", [8]],
        [[5, 6, -1], 1, "Detect", ["nc"]],
    ]


def test_an_absolute_index_never_becomes_minus_one():
    """Some heads read saved maps by index, and -1 is not saved."""
    absolute = {**TINY, "head": [[[2], 1, "Detect", ["nc"]]]}
    assert insert(absolute, {2: ("X", [])})[0]["head"] == [[[3], 1, "Detect", ["nc"]]]


def test_no_insert_is_an_equal_copy():
    new, row_map = insert(TINY, {})
    assert new == TINY and new["head"] is not TINY["head"]
    assert row_map == {i: i for i in range(6)}


@pytest.mark.parametrize("row", [-1, 5, 6])
def test_nothing_stands_outside_the_rows_or_behind_the_head(row):
    with pytest.raises(ValueError, match="from 0 to 4"):
        insert(TINY, {row: ("X", [])})


def test_an_architecture_names_modules_with_a_dot(known_base):
    base, slots = known_base("yolo11n")
    text = "p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=lska(k_size=23)"
    model, row_map = architecture_yaml(base, slots, Architecture.parse(text))
    rows = model["backbone"] + model["head"]
    assert rows[17][2:] == ["nas_attn.Scaled", ["ACmix", 64, 64]]
    assert rows[24][2:] == ["nas_attn.LSKA", [256, 23]]
    assert (rows[25][0], row_map[23]) == ([17, 20, 24], 25)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("p7=lska", UnknownName, "slot"),
        ("p3=lskaa", UnknownName, "Did you mean 'lska'"),
        ("p3=lska(k=7)", UnknownName, "setting of lska"),
        ("p3=lska(k_size=8)", UserError, "must be one of 7"),
    ],
)
def test_an_architecture_that_cannot_be(text, error, says, known_base):
    with pytest.raises(error, match=says):
        architecture_yaml(*known_base("yolo11n"), Architecture.parse(text))


def test_settings_that_the_channels_refuse(known_base):
    slot = Slot("p3", 16, 60, 8)
    with pytest.raises(SlotRefused, match=r"cannot be used at p3: `head` must divide"):
        architecture_yaml(known_base("yolo11n")[0], [slot], Architecture.parse("p3=acmix(head=8)"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("yolo11q", "Did you mean 'yolo11"),
        ("yollo11s.yaml", "Did you mean 'yolo11s'"),
        ("missing/yolo11n.yaml", "base model"),
        ("yolo11n-cls", "must end in one of"),
        ("missing.pt", "a checkpoint must exist.*on this machine"),
    ],
)
def test_a_base_that_is_none(name, says):
    with pytest.raises(UserError, match=says):
        load_base(name)


@pytest.mark.parametrize(
    ("file_name", "content", "says"),
    [
        ("a.yaml", "nc: 3", "must have `nc`, `backbone` and `head`"),
        ("a.yaml", "nc: 3\nbackbone: [[-1, 1, Conv]]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from, repeats"),
        ("a.yaml", "nc: [", "readable as YAML"),
        ("a.pt", "no checkpoint", "that Ultralytics wrote"),
        ("a.pt", "", "that Ultralytics wrote"),
        ("a.yaml", "\x00\x01", "readable as YAML"),
        ("a.yaml", "nc: 3\nbackbone: 5\nhead: [[-1, 1, Detect, [nc]]]", "`backbone` must be a list of rows"),
        ("a.yaml", "nc: 3\nbackbone: [[-1, 1, Conv, [8]]]\nhead: {a: b}", "`head` must be a list of rows"),
        ("a.yaml", "nc: 3\nbackbone: [5]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from, repeats"),
        ("a.yaml", "nc: 3\nbackbone: [[x, 1, Conv, [8]]]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from"),
        ("a.yaml", "nc: 3\nbackbone: [[[], 1, Conv, [8]]]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from"),
        ("a.yaml", "nc: 3\nbackbone: [[-1, y, Conv, [8]]]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from"),
        ("a.yaml", "nc: 3\nbackbone: [[-1, 1, Conv, 8]]\nhead: [[-1, 1, Detect, [nc]]]", r"must read \[from"),
        ("a.yaml", f"nc: x\n{ROWS}", "`nc` must be a whole number"),
        ("a.yaml", f"nc: -2\n{ROWS}", "`nc` must be a whole number"),
        ("a.yaml", f"nc: true\n{ROWS}", "`nc` must be a whole number"),
        ("a.yaml", f"nc: 3\nscales: 5\n{ROWS}", "`scales` must map"),
        ("a.yaml", f"nc: 3\nscales: {{n: 5}}\n{ROWS}", "`scales` must map"),
        ("a.yaml", f"nc: 3\nscales: {{n: [1, 1]}}\n{ROWS}", "`scales` must map"),
        ("a.yaml", f"nc: 3\nscales: {{n: [a, 1, 8]}}\n{ROWS}", "`scales` must map"),
        ("a.yaml", f"nc: 3\nwidth_multiple: wide\n{ROWS}", "`width_multiple` must be a number"),
        ("a.yaml", f"nc: 3\n5: x\n{ROWS}", "keys must be text"),
    ],
)
def test_a_file_that_is_no_base(file_name, content, says, tmp_path):
    (tmp_path / file_name).write_text(content)
    with pytest.raises(UserError, match=says):
        load_base(str(tmp_path / file_name))


def test_an_unknown_layer_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("nc: 3\nbackbone: [[-1, 1, Unheard, [64]]]\nhead: [[[0], 1, Detect, [nc]]]\n")
    with pytest.raises(UserError, match=r"Ultralytics builds.*Unheard.*mine"):
        load_base(str(path)).build()


def test_an_exported_yaml_is_a_base_again(tmp_path, known_base):
    from nas_attn.detector.neck.slots import find_slots

    base, slots = known_base("yolo11n")
    write_yaml(tmp_path / "best.yaml", base, slots, Architecture.parse("p3=lska(k_size=7)"), final_nc=3)
    again = load_base(str(tmp_path / "best.yaml"))
    assert (again.name, again.scale, again.nc) == ("best", "n", 3)
    assert [s.row for s in find_slots(again)] == [17, 20, 23]


def test_a_base_can_be_changed():
    base = load_base("yolo11n.yaml", nc=4, width=0.125, reg_max=5)
    assert (base.name, base.scale, base.nc, base.reg_max) == ("yolo11n-w0.125", "n", 4, 5)
    assert list(base.yaml["scales"]) == ["n"] and base.yaml["scales"]["n"][1] == 0.125
    assert base.changed(reg_max=16).fingerprint != base.fingerprint
    assert load_base("yolo11n").reg_max == 16 and "reg_max" not in load_base("yolo11n").yaml
    with pytest.raises(UserError, match="above 0"):
        load_base("yolo11n", width=0)
    with pytest.raises(UserError, match=r"multiple of 32.*yolo12n-w0\.125"):
        load_base("yolo12n", width=0.125).build()


def test_transfer_lists_what_another_class_count_changes(known_base):
    base, _ = known_base("yolo11n")
    state = initial_state(base, 0)
    report = transfer(base.changed(nc=4).build(), {**state, "model.99.x": torch.zeros(1)}, {i: i for i in range(24)})
    reasons = dict(report.left)
    assert reasons["model.99.x"] == "no such row in the base"
    assert reasons["model.23.cv3.0.2.weight"] == "shape (80, 80, 1, 1) became (4, 64, 1, 1)"
    assert all(key.startswith(("model.23.cv3", "model.99")) for key in reasons)
    assert report.moved == len(state) + 1 - len(reasons) and f"{report.moved} of {len(state) + 1}" in str(report)


def test_initial_weights_are_shared_and_the_callers_randomness_is_not_touched():
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", width=0.125)
    slots = find_slots(base)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, _ = build(base, slots, Architecture.parse("p3=lska(k_size=7) p5=acmix"), seed=3)
    two, _ = build(base, slots, Architecture.parse("p3=none p5=acmix(head=4,kernel_att=7)"), seed=3)
    other, _ = build(base, slots, Architecture.parse("p3=none p5=acmix"), seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.model[0].conv.weight, two.model[0].conv.weight)
    assert torch.equal(one.model[25].cv3[0][2].weight, two.model[24].cv3[0][2].weight)
    assert torch.equal(one.model[24].conv1.weight, two.model[23].conv1.weight)
    assert not torch.equal(two.model[23].conv1.weight, other.model[23].conv1.weight)
    assert not torch.equal(two.model[0].conv.weight, other.model[0].conv.weight)


@pytest.mark.parametrize("file_name", ["best.yaml", "l_best.yaml", "yolo11n-bccd.yaml"])
def test_an_exported_yaml_builds_the_same_model(file_name, tmp_path, known_base):
    from ultralytics import YOLO

    base, slots = known_base("yolo11n")
    architecture = Architecture.parse("p3=acmix(head=2,kernel_att=7,residual=scaled) p4=none p5=efficient_attention")
    path = tmp_path / file_name
    write_yaml(path, base, slots, architecture, final_nc=3, comments=["found by a test", "seed 0"])
    wanted, _ = build(base.changed(nc=3), slots, architecture, seed=0)
    built = YOLO(path).model
    assert [tuple(p.shape) for p in built.parameters()] == [tuple(p.shape) for p in wanted.parameters()]
    assert [type(m) for m in built.modules()] == [type(m) for m in wanted.modules()]


def test_an_exported_yaml_reads_well(known_base):
    base, slots = known_base("yolo26n")
    text = yaml_text(base, slots, Architecture.parse("p4=lska(k_size=23)"), final_nc=7, comments=["two\nlines"])
    content = yaml.safe_load(text)
    assert text.startswith("# two\n# lines\n# p4=lska(k_size=23)\n")
    assert "  - [-1, 1, nas_attn.LSKA, [128, 23]] # 20: p4=lska(k_size=23)\n" in text
    assert (content["nc"], content["reg_max"], list(content["scales"])) == (7, 1, ["n"])
    assert content["end2end"] is True and "scale" not in content


@pytest.mark.parametrize("file_name", ["yolo11x-foo.yaml", "yolov5n6.yaml"])
def test_a_file_name_that_means_another_model_is_refused(file_name, tmp_path, known_base):
    base, slots = known_base("yolo11n")
    with pytest.raises(UserError, match=r"best\.yaml"):
        write_yaml(tmp_path / file_name, base, slots, Architecture.none(["p3"]), final_nc=3)
    assert not list(tmp_path.iterdir())
    check_name(tmp_path / "best.yaml", base)
