"""Exported YAMLs: every kind of slot and every task, their comments, and the detection of edits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from nas_attn.cli.export import without_attention
from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.model.build_errors import build_refusal
from nas_attn.detector.model.export_key import KEY, check_export
from nas_attn.detector.neck.export import yaml_text
from nas_attn.detector.neck.export_diff import explained
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.weights.initial_weights import build
from nas_attn.errors import UserError
from nas_attn.space import Architecture

KINDS = (
    "p3=acmix(head=2,kernel_att=3) p5=efficient_attention(group_split=[4,4],residual=scaled,window_size=2) "
    "p3.head=ema(factor=8) td.p4=simam lateral.p4=lska(k_size=7,residual=scaled) sppf.pre=eca "
    "inner.p4.insert=lska(k_size=7) inner.p4.replace=conv"
)

EDGES = (
    "down.p3=eca up.p5=simam up.p4=lska(k_size=7) fuse.p3=eca fuse.p5=se fuse.td.p4=eca backbone.p2=eca "
    "backbone.p4=lska(k_size=7,residual=scaled) lateral.p4=eca p3=eca p3.head=eca td.p4=eca"
)


@pytest.fixture(scope="module")
def export() -> Any:
    """A function (base, architecture, final_nc) -> text of the YAML; it finds the slots of a base only once."""
    known: dict[str, Any] = {}

    def write(name: str, text: str, final_nc: int = 3) -> tuple[str, Any, Any]:
        if name not in known:
            base = load_base(name, nc=final_nc, width=None if "rtdetr" in name else 0.125)
            known[name] = base, all_slots(base)
        base, slots = known[name]
        return yaml_text(base, slots, Architecture.parse(text), final_nc=final_nc, comments=["by a test"]), base, slots

    return write


@pytest.fixture(scope="module")
def whole(export) -> dict[str, Any]:
    """The content of an exported YAML with a slot of every kind."""
    return yaml.safe_load(export("yolo11n", KINDS)[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("yolo11n", KINDS),
        ("yolo11n", EDGES),
        ("yolo11n-seg", "p3=lska(k_size=7) inner.p3.replace=conv"),
        ("yolo11n-pose", "p5.head=lska(k_size=7)"),
        ("yolo26n-obb", "sppf.post=lska(k_size=7)"),
        ("yolov8-rtdetr", "p4=lska(k_size=7) down.p3=eca fuse.td.p4=eca"),
    ],
)
def test_every_slot_kind_and_task_builds_from_its_yaml(export, name, text):
    written, base, slots = export(name, text.replace("p5.head", "p3.head"))
    content = yaml.safe_load(written)
    check_export(content, "best.yaml")
    model, _ = build(base, slots, Architecture.parse(content[KEY]["architecture"]), seed=0)
    built = build_yaml(content)
    assert type(built) is type(model)
    assert [tuple(p.shape) for p in built.parameters()] == [tuple(p.shape) for p in model.parameters()]
    assert ("reg_max" in content) == (base.reg_max is not None) == (name != "yolov8-rtdetr")
    assert content.get("kpt_shape") == ([17, 3] if name == "yolo11n-pose" else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p3=none p4=none", "this is the unchanged base"),
        ("p3=conv(groups=4) p4=none", "this is the control"),
        ("p3=conv(groups=4) p4=eca", None),
    ],
)
def test_a_pick_without_attention_is_called_so(text, says):
    found = without_attention(Architecture.parse(text))
    assert found is None if says is None else found.startswith(says)


def named_rows(text: str, architecture: str) -> dict[str, str]:
    """Slot -> the line of an exported YAML that names it. The numbers in the comments are those of the rows."""
    rows = [line for line in text.splitlines() if line.startswith("  - ")]
    assert [int(r.split("# ")[1].split(":")[0]) for r in rows] == list(range(len(rows)))
    slots = dict(Architecture.parse(architecture))
    named = {slot: r for r in rows for slot in slots if f" {slot}=" in f" {r.split(': ')[-1]}"}
    assert named.keys() == slots.keys()
    return named


def test_rows_name_their_slots(export):
    named_rows(export("yolo11n", EDGES)[0], EDGES)
    named = named_rows(export("yolo11n", KINDS)[0], KINDS)
    assert "nas_attn.EMAttention" in named["p3.head"] and "nas_attn.C3k2" in named["inner.p4.insert"]
    assert named["inner.p4.insert"] == named["inner.p4.replace"] and "nas_attn.SimAM" in named["td.p4"]


def test_the_header_says_what_happens_without_the_hook(export):
    text = export("yolo11n-pose", "p3=acmix(head=2,kernel_att=3)")[0]
    head = text[: text.index("nc:")]
    assert "yolo pose train model=THIS_FILE" in head and "KeyError: 'nas_attn.ACmix'" in head
    assert "nas-attn hook install" in head and "import nas_attn" in head and "YOLO_AUTOINSTALL=0" in head
    plain = export("yolo11n-pose", "p3=none")[0]
    assert "hook" not in plain and "plain Ultralytics builds" in plain


def test_the_error_in_the_header_is_the_one_that_comes(export, whole):
    import ultralytics.nn.tasks as tasks

    from nas_attn.detector.model.registration import register, unregister

    text = export("yolo11n", KINDS)[0]
    unregister(tasks)
    try:
        with pytest.raises(KeyError) as error:
            build_yaml(whole)
    finally:
        register(tasks)
    assert f"KeyError: {error.value}" in text


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.update(nc=80, kpt_shape=[5, 2]),
        lambda y: y["scales"].update(n=[0.5, 0.125, 1024.0]),
        lambda y: y["head"].insert(0, y["backbone"].pop()),
        lambda y: y.pop(KEY),
        lambda y: y[KEY].update(version="9.9"),
    ],
    ids=["data", "number", "border", "no key", "version"],
)
def test_what_decides_nothing_may_change(whole, change):
    edited = copy.deepcopy(whole)
    change(edited)
    check_export(edited, "best.yaml")


def _row(content: dict[str, Any], number: int) -> list[Any]:
    return (content["backbone"] + content["head"])[number]


def _number(content: dict[str, Any], module: str) -> int:
    return next(i for i, row in enumerate(content["backbone"] + content["head"]) if row[2] == module)


def _widen(content: dict[str, Any]) -> None:
    _row(content, _number(content, "nas_attn.ACmix"))[3][:2] = [64, 64]


def _drop(content: dict[str, Any]) -> None:
    content["head"].remove(_row(content, _number(content, "nas_attn.ACmix")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _widen,
            r"row 20 is \[-1, 1, nas_attn.ACmix, \[64, 64, 3, 2\]\] \(exported: \[.*\[32, 32, 3, 2\]\]\)",
        ),
        (_drop, r"row 20 is missing: \[-1, 1, nas_attn.ACmix"),
        (lambda y: y["head"].insert(3, [-1, 1, "Conv", [64]]), r"row 16 was added: \[-1, 1, Conv, \[64\]\]"),
        (
            lambda y: y["head"][1].__setitem__(0, [-1, 6]),
            r"row 14 is \[\[-1, 6\], .*exported: \[\[-1, 7\]",
        ),
        (lambda y: y.update(reg_max=8), r"`reg_max` is 8 \(exported: 16\)"),
        (lambda y: y.update(activation="nn.ReLU()"), r"`activation: nn.ReLU\(\)` was added"),
        (lambda y: y.pop("reg_max"), "`reg_max` is missing"),
        (lambda y: y["scales"].update(n=[0.5, 0.25, 1024]), r"`scales` is .*0.25.*exported: .*0.125"),
        (lambda y: y[KEY].update(architecture="p3=none"), "another `architecture` or `base`"),
        (lambda y: y[KEY].pop("digest"), "must be as it was written"),
        (lambda y: y.update({KEY: 5}), "must be as it was written"),
        (lambda y: [row.__setitem__(1, 7) for row in y["head"]], "and 1[0-9] more"),
    ],
)
def test_an_edited_export_is_refused_and_the_difference_named(whole, change, says):
    edited = copy.deepcopy(whole)
    change(edited)
    with pytest.raises(UserError, match=says) as error:
        try:
            check_export(edited, "best.yaml")
        except UserError as plain:
            raise explained(plain) from plain
    assert error.value.exit_code == 2 and error.value.where == "best.yaml"
    assert "nas_attn export" in str(error.value) and f"delete the key `{KEY}:`" in str(error.value)


def test_a_base_that_is_unknown_here_leaves_the_row_to_be_named(export, tmp_path):
    own = tmp_path / "own.yaml"
    base = load_base("yolo11n", nc=3, width=0.125)
    own.write_text(yaml.safe_dump({k: v for k, v in base.yaml.items() if k != "scale"}, sort_keys=False))
    mine = load_base(str(own))
    content = yaml.safe_load(yaml_text(mine, all_slots(mine), Architecture.parse("p3=lska(k_size=7)"), final_nc=3))
    check_export(content, "best.yaml")
    content["head"][6][3] = [64, 11]
    with pytest.raises(UserError, match=r"got row 17 is \[-1, 1, nas_attn.LSKA, \[64, 11\]\] \(in best.yaml\)"):
        check_export(content, "best.yaml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y: y["head"][1].__setitem__(0, [-1, 77]), r"row 14 .*reads 77, while the rows above it are 0 to 13"),
        (lambda y: y["head"][0].__setitem__(0, -40), "reads -40"),
        (lambda y: y["head"][1].__setitem__(0, [-1, 14]), "reads 14, while the rows above it are 0 to 13"),
        (lambda y: y["backbone"][0].__setitem__(0, -2), "the first row can only read the image"),
    ],
)
def test_a_file_of_ones_own_may_not_read_rows_that_are_not_above(whole, change, says):
    edited = copy.deepcopy({k: v for k, v in whole.items() if k != KEY})
    change(edited)
    with pytest.raises(UserError, match=says):
        check_export(edited, "mine.yaml")


@pytest.mark.parametrize(
    "name", ["yolo11n", "yolov10n", "yolov3-tiny", "yolov9t", "rtdetr-l", "yolov5n-p6", "yolo26n-sem"]
)
def test_no_yaml_of_ultralytics_itself_is_refused(name):
    check_export(load_base(name).yaml, name)


def _wrong_module(content: dict[str, Any]) -> None:
    _row(content, _number(content, "SPPF"))[2] = "SPFF"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_wrong_module, "module must be one that Ultralytics builds, but got 'SPFF' .*row 11 .*Did you mean 'SPPF'"),
        (
            lambda y: y["head"][0].__setitem__(2, "nn.Upsampel"),
            "got 'nn.Upsampel' .*row 13 .*Did you mean 'nn.Upsample'",
        ),
        (
            _widen,
            r"the channels of its input, but got a row for 64 channels, while its input has 32 .*row 20 \[.*ACmix",
        ),
        (lambda y: y["backbone"][1][3].clear(), r"row 1 \[-1, 1, Conv, \[\]\]"),
        (lambda y: y["head"][-1].__setitem__(0, [0, 1, 99]), "must be one that Ultralytics builds"),
    ],
)
def test_what_does_not_build_is_named_by_its_row(whole, change, says):
    edited = copy.deepcopy({k: v for k, v in whole.items() if k != KEY})
    change(edited)
    with pytest.raises(Exception) as raised:  # any error of Ultralytics, which is then translated
        build_yaml(edited)
    error = build_refusal(raised.value, edited, "mine.yaml")
    with pytest.raises(UserError, match=says):
        raise error
    assert error.exit_code == 2 and "mine.yaml" in str(error)
