"""The adoption of files with the user's own layers: inserted ones, and ones in the place of a row of the base."""

from __future__ import annotations

import pytest
import yaml
from community_files import changed, extra, said
from layer_files import HEAD, NAM, RESIZING, SPD, layer
from module_files import clean, write

from nas_attn.attention import user
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.export import write_yaml
from nas_attn.errors import ConfigError, UserError

__all__ = ["changed", "clean", "write"]  # fixtures

THIRD = "  - [-1, 1, Conv, [256, 3, 2]]\n  - [-1, 6"  # yolov8's third downsampling
FOURTH = "  - [-1, 1, Conv, [256, 3, 2]]\n  - [[-1, 12]"  # the first of its bottom-up path
END = "  - [-1, 3, C2f, [1024, True]]\n"


@pytest.fixture
def files(write):
    user.load_layers([write(SPD, "spd.py"), write(NAM, "nam.py"), write(RESIZING, "resizing.py")])


def built(found, tmp_path):
    """The rows of the written YAML, which builds."""
    write_yaml(tmp_path / "fixed.yaml", found.base, found.slots, found.architecture, final_nc=found.base.nc,
               comments=found.comments())  # fmt: skip
    base = load_base(str(tmp_path / "fixed.yaml"))
    assert base.build().stride.tolist() == [8.0, 16.0, 32.0]
    return base.rows


def test_an_inserted_layer_is_part_of_the_base_and_numbers_are_repaired(changed, files, tmp_path):
    """The rows after it still have the numbers of yolov8, as in many articles."""
    found = changed("v8", (END, f"{END}  - [-1, 1, NormGate, [1024]]\n"))
    assert [str(r.row) for r in found.repairs] == ["18", "21", "23"]
    (put,) = found.puts
    assert put.row.number == 9 and not put.slot and str(put.layer) == "NormGate[256]"
    assert not found.known and found.plain.name == "yolov8n" and str(found.architecture) == "p3=none p4=none p5=none"
    assert not [s for s in found.suspicions if s.kind == "place"]  # the user named it: nothing is doubtful
    rows = built(found, tmp_path)
    assert rows[9] == [-1, 1, "nas_attn.NormGate", [256]] and rows[23][0] == [16, 19, 22]
    assert [s.row for s in found.slots if s.name in ("p3", "p4", "p5", "sppf.pre")] == [16, 19, 22, 9]


def test_layers_in_the_place_of_rows_with_attention_beside_them(changed, files, tmp_path):
    found = changed(
        "v8", (THIRD, THIRD.replace("Conv, [256, 3, 2]", "SPDConv, [256]")),
        (FOURTH, FOURTH.replace("Conv, [256, 3, 2]", "SPDConv, [256]")), (END, f"{END}  - [-1,1,  CBAM, [1024]]\n"),
        meanings={"CBAM": "cbam"},
    )  # fmt: skip
    assert [(row.number, str(one)) for row, one in found.layers] == [
        (3, "SPDConv[32, 64]: 32 to 64 channels, halves the map"), (17, "SPDConv[64, 64]: halves the map")]  # fmt: skip
    assert str(found.architecture) == "sppf.pre=cbam(kernel_size=7,reduction=16)"
    assert [r.row for r in found.repairs] == [9, 18, 21, 23]  # 9: the name, given with --as
    assert "row 3 is [1, SPDConv, [256]], but yolov8 has [1, Conv, [256, 3, 2]]" in said(found)
    rows = built(found, tmp_path)
    assert rows[3:5] == [[-1, 1, "nas_attn.SPDConv", [32, 64]], [-1, 1, "Index", [64, 0]]]
    assert rows[10] == [-1, 1, "nas_attn.CBAM", [256]] and rows[24][0] == [17, 20, 23]
    content = yaml.safe_load((tmp_path / "fixed.yaml").read_text())
    assert len(content["backbone"]) == 12


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("[-1, 1, Nothing, []]", [["nas_attn.Nothing", []]]),
        ("[-1, 3, NormGate, [1024]]", [["nas_attn.NormGate", [256]]]),  # 3 repeats are 1 at this depth
        ("[-1, 6, Nothing, []]", [["nas_attn.Nothing", []]] * 2),
        ("[-1, 1, Wider, []]", [["nas_attn.Wider", [256]], ["Index", [512, 0]]]),  # changes the shape where it stands
    ],
)
def test_what_an_inserted_layer_becomes(changed, files, tmp_path, row, wanted):
    more = len(wanted) - 1
    found = changed("v8", (END, f"{END}  - {row}\n"), ("[[-1, 12]", "[[-1, 13]"), ("[[-1, 9], 1", "[[-1, 10], 1"),
                    ("[[15, 18, 21]", "[[16, 19, 22]"))  # fmt: skip
    rows = built(found, tmp_path)
    assert [r[2:] for r in rows[9 : 10 + more]] == wanted
    assert rows[9 + len(wanted)][2] == "SPPF" and rows[-1][0] == [16 + more, 19 + more, 22 + more]


def test_attention_after_a_layer_keeps_its_slot(changed, files):
    found = changed("v8", (THIRD, THIRD.replace("Conv, [256, 3, 2]", "SPDConv, [256]")), *extra("[-1, 1, SE, []]"))
    assert str(found.architecture) == "p5=se(rd_ratio=0.0625)"


def test_a_network_of_its_own_has_all_its_layers(changed, files):
    """Without a base of Ultralytics that has these rows, nothing is compared, and every own layer is part of it."""
    spp = "  - [-1, 1, SPPF, [1024, 5]]\n"
    renumbered = (("[[-1, 12]", "[[-1, 13]"), ("[[-1, 9], 1", "[[-1, 10], 1"), ("[[15, 18, 21]", "[[16, 19, 22]"))
    found = changed("v8", (spp, "  - [-1, 1, C2PSA, [1024]]\n  - [-1, 1, NormGate, []]\n"), *renumbered)
    assert [row.number for row, _ in found.layers] == [10] and not found.known


def test_as_may_name_a_layer_or_decide_between_two_classes(changed, write):
    user.load_layers([write(HEAD + layer("ADown", "x") + layer("MyDown", "x[..., ::2, ::2]"), "downs.py")])
    down = (THIRD, THIRD.replace("Conv, [256, 3, 2]", "ADown, [256]"))
    with pytest.raises(UserError, match=r"one meaning.*'ADown'.*downs\.py and of Ultralytics.*row 3 \(ADown\).*Rename"):
        changed("v8", down)
    found = changed("v8", down, *extra("[-1, 1, SE, []]"), meanings={"ADown": "ADown"})  # that of Ultralytics
    assert not found.layers and found.base.rows[3][2] == "ADown"
    same = (THIRD, THIRD.replace("Conv, [256, 3, 2]", "Down, []"))
    found = changed("v8", same, meanings={"Down": "MyDown"})
    assert str(found.layers[0][1]) == "MyDown[]: halves the map"


def test_all_mistakes_of_rows_are_told_at_once(changed, files):
    with pytest.raises(ConfigError) as caught:
        changed("v8", ("[[-1, 6], 1, Concat, [1]]", "[[-1, 6], 1, Nothing, []]"), (END, f"{END}  - [-1, 1, Foo, []]\n"))
    texts = list(map(str, caught.value.problems))
    assert len(texts) == 2 and "'Foo'" in texts[0] and "files of --layers define" in texts[0] and "SPDConv" in texts[0]
    assert "must read one row" in texts[1] and "Nothing" in texts[1]


@pytest.mark.parametrize(
    ("replaced", "number"),
    [
        ([(END, f"{END}  - [-1, 1, Bad, []]\n")], 9),
        ([(THIRD, THIRD.replace("Conv, [256, 3, 2]", "Bad, []"))], 3),
        ([*extra("[-1, 1, SE, []]"), (END, f"{END}  - [-1, 1, ACmix, []]\n  - [-1, 1, Bad, []]\n")], 10),
        ([(FOURTH, FOURTH.replace("Conv, [256, 3, 2]", "Bad, []")), (END, f"{END}  - [-1, 1, ACmix, []]\n")], 17),
    ],
)
def test_a_layer_that_fails_names_the_row_of_the_file(changed, write, replaced, number):
    user.load_layers([write(HEAD + layer("Bad", "x.undefined"), "bad.py")])
    with pytest.raises(UserError) as caught:
        changed("v8", *replaced)
    assert f"row {number} (Bad)" in str(caught.value) and "bad.py" in str(caught.value), caught.value
