"""Rows from real community files: map sizes, names with several meanings, unknown names."""

from __future__ import annotations

import re

import pytest
from community_files import BEHIND_P5, block, changed, extra, said
from module_files import clean

from nas_attn.errors import ConfigError, UnknownName, UserError

__all__ = ["changed", "clean"]  # fixtures


@pytest.mark.parametrize(
    ("base", "row", "plain"),
    [
        ("v11", "[-1, 2, C3k2_DAttention, [1024, [20, 20], True]]", [1024, True]),
        ("v11", "[-1, 2, C3k2_DAttention, [1024, [20, 20]]]", [1024]),
        ("v8", "[-1, 3, C2f_DAttention, [1024, [20, 20], True]]", [1024, True]),
        ("v8", "[-1, 3, C2f_DAttention, [1024, [20, 20]]]", [1024]),
    ],
)
def test_the_map_size_of_a_block_is_known_as_one(changed, base, row, plain):
    """Class C3k2_DAttention(c1, c2, n, fmapsize, c3k, ...) has attention at the end of each bottleneck's branch."""
    found = changed(base, block(base, row))
    name = "yolo11" if base == "v11" else "yolov8"
    usual = {"v8": [1024], "v11": [1024, True]}[base]
    assert found.known == (plain == usual)
    assert str(found.architecture) == "inner.p5.insert=dattention(groups=2,num_heads=8,stride=2)"
    (repair,) = [r for r in found.repairs if r.row is not None]
    assert "[20, 20] is the size of its map" in repair.why and repair.now == str(plain)
    assert found.known or f"but {name} has" in said(found)


def test_defaults_of_dattention_that_are_no_option_are_said(changed):
    taken = changed("v8", *extra("[-1, 1, DAttention, [[20, 20]]]")).puts[0].reading
    assert str(taken.gene) == "dattention(groups=2,num_heads=8,stride=2)" and not taken.refused
    assert "has 4" in taken.taken["groups"] and "has 1" in taken.taken["stride"]


def test_arguments_of_dattention_are_read_in_the_order_of_its_class(changed):
    """(channel, q_size, n_heads, n_groups, attn_drop, proj_drop, stride)."""
    found = changed("v8", *extra("[-1, 1, DAttention, [1024, [20, 20], 4, 2]]"))
    assert str(found.architecture) == "p5=dattention(groups=2,num_heads=4,stride=2)" and "has groups" not in said(found)
    found = changed("v8", *extra("[-1, 1, DAttention, [[20, 20], 8, 4, 0.0, 0.0, 8]]"))
    assert str(found.architecture) == "p5=dattention(groups=2,num_heads=8,stride=8)"
    assert "has groups=4, which dattention does not have" in said(found)
    found = changed("v8", *extra("[-1, 1, nas_attn.DeformableAttention, [256, 4, 1, 4]]"))
    assert str(found.architecture) == "p5=dattention(groups=1,num_heads=4,stride=4)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[-1, 3, C2f_EMA, [1024, se]]", r"shortcut: bool.*got 'se' for `shortcut`.*row 21 \(C2f_EMA\)"),
        ("[-1, 3, C2f_EMA, [1024, 0.5]]", "got 0.5 for `shortcut`"),
        ("[-1, 3, C2f_EMA, [1024, True, 1, 0.5, 7]]", "got 7, one argument too many"),
        ("[-1, 3, C2f_EMA, [[20, 20]]]", "got none for `c2`"),
        ("[-1, 3, C2f_EMA, []]", "got none for `c2`"),
        ("[-1, 3, C2f_EMA, [1024, [20, 20, 20]]]", r"got \[20, 20, 20\] for `shortcut`"),
    ],
)
def test_arguments_of_a_block_are_checked_against_its_own(changed, row, message):
    with pytest.raises(UserError, match=message) as caught:
        changed("v8", block("v8", row))
    assert "\n" not in str(caught.value)


def test_a_plain_row_that_torch_cannot_build_is_refused_in_one_line(changed):
    with pytest.raises(UserError, match=r"row 21.*C2f") as caught:
        changed("v8", block("v8", "[-1, 3, C2f, [1024, [20, 20], True]]"), ("3, C2f, [512]]\n  - [-1, 1, Conv, [512",
                "3, C2f_EMA, [512]]\n  - [-1, 1, Conv, [512"))  # fmt: skip
    assert "\n" not in str(caught.value)


# ---- names


def test_a_c2psa_with_bra_is_no_c2(changed):
    psa = ("[-1, 2, C2PSA, [1024]]", "[-1, 2, C2BRA, [1024]]")
    with pytest.raises(UserError, match=r"a C2PSA with bi_level_routing.*row 10.*--inside after.*--as C2BRA=C2PSA"):
        changed("v11", psa)
    with pytest.raises(UserError, match="a C2PSA with simam"):
        changed("v11", (psa[0], "[-1, 2, C2PSA_SimAM, [1024]]"))
    behind = changed("v11", psa, inside="after")
    assert str(behind.architecture) == "lateral.p5=bi_level_routing(n_win=7,num_heads=8,topk=4)" and behind.known
    assert [r[2] for r in behind.base.rows].count("C2PSA") == 1


def test_strip_is_asked_for_where_a_block_of_strip_rcnn_may_be_meant(changed):
    row = "  - [-1, 2, C3k2, [1024, True]]\n  - [-1, 1, SPPF"
    strip = (row, row.replace("C3k2", "C3k2_Strip"))
    with pytest.raises(UserError, match=r"one meaning.*row 8.*--as C3k2_Strip=C3k2_StripPooling.*Strip R-CNN"):
        changed("v11", strip)
    found = changed("v11", strip, meanings={"C3k2_Strip": "C3k2_StripPooling"})
    assert found.puts[0].reading.gene.module == "strip" and "given with --as" in said(found)


@pytest.mark.parametrize("name", ["CBAM", "C2f_CBAM", "CA_Strip", "EMSA"])
def test_names_of_several_meanings_never_pass_silently(changed, name):
    row = f"[-1, 1, {name}, []]" if not name.startswith("C2f") else None
    with pytest.raises(UserError, match=f"'{name}'"):
        changed("v8", *(extra(row) if row else [block("v8", f"[-1, 3, {name}, [1024]]")]))


@pytest.mark.parametrize(
    ("arguments", "gene"),
    [
        ("[1024, 16]", "cbam(kernel_size=7,reduction=16)"),
        ("[16, 7]", "cbam(kernel_size=7,reduction=16)"),
        ("[1024, 8, 3]", "cbam(kernel_size=3,reduction=8)"),
        ("[1024, 1024, 16, 7]", "cbam(kernel_size=7,reduction=16)"),
    ],
)
def test_a_cbam_with_a_reduction_is_the_papers(changed, arguments, gene):
    found = changed("v8", *extra(f"[-1, 1, CBAM, {arguments}]"))
    assert str(found.architecture) == f"p5={gene}" and "Ultralytics' own class has none" in said(found)


@pytest.mark.parametrize("arguments", ["[]", "[1024]", "[1024, 7]", "[7]", "[1024, 3]", "[256]"])
def test_a_cbam_without_one_is_asked_for(changed, arguments):
    row = extra(f"[-1, 1, CBAM, {arguments}]")
    with pytest.raises(UserError, match=r"one meaning.*row 22.*--as CBAM=cbam.*Ultralytics' class.*C.C layer"):
        changed("v8", *row)
    found = changed("v8", *row, meanings={"CBAM": "cbam"})
    kernel = 3 if "3" in arguments else 7
    assert str(found.architecture) == f"p5=cbam(kernel_size={kernel},reduction=16)"


@pytest.mark.parametrize(
    ("scale", "row", "kernel"),
    [
        ("n", "[-1, 1, ECA, []]", 5),
        ("s", "[-1, 1, ECA, [1024]]", 5),
        ("n", "[-1, 1, ECA, [1024, 3]]", 3),
        ("n", "[-1, 1, ECA, [1024, 2, 1]]", 5),
        ("n", "[-1, 1, eca_layer, [1024]]", 3),
        ("n", "[-1, 1, ECAAttention, [1024]]", 3),
    ],
)
def test_ecas_kernel_is_the_papers_where_the_class_adapts_it(changed, scale, row, kernel):
    found = changed("v8", *extra(row), scale=scale)
    assert str(found.architecture) == f"p5=eca(kernel_size={kernel})" and not found.repairs
    assert ("the paper's rule" in said(found)) == (kernel == 5)


def test_ecas_kernel_below_128_channels_is_3(changed):
    p3 = "  - [-1, 3, C2f, [256]]\n", "  - [-1, 3, C2f, [256]]\n  - [-1, 1, ECA, []]\n"
    rest = ("[[-1, 12]", "[[-1, 12]"), (BEHIND_P5, "[[16, 19, 22], 1")
    assert str(changed("v8", p3, *rest).architecture) == "p3=eca(kernel_size=3)"


@pytest.mark.parametrize(
    ("arguments", "heads"),
    [("[14, 4, 4]", 4), ("[14, 14, 4]", 4), ("[]", 4), ("[1024, 20, 20, 8]", 8), ("[80, 80, 4]", 4), ("[14, 14]", 4),
     ("[1024, 14, 14, 4, False]", 4), ("[8]", 8)],
)  # fmt: skip
def test_mhsa_has_the_position_term_of_its_class_which_is_none(changed, arguments, heads):
    found = changed("v8", *extra(f"[-1, 1, MHSA, {arguments}]"))
    assert str(found.architecture) == f"p5=mhsa(num_heads={heads},position=none)"
    assert not found.repairs and "no position term" in said(found) and "says" not in said(found)


def test_an_mhsa_with_a_position_table_is_said_to_have_another(changed):
    found = changed("v8", *extra("[-1, 1, MHSA, [14, 14, 4, True]]"))
    assert str(found.architecture) == "p5=mhsa(num_heads=4,position=conv)"
    assert "table of 14×14" in said(found)


# ---- names that nobody knows


def test_all_unknown_names_are_said_at_once_with_what_each_needs(changed):
    with pytest.raises(ConfigError) as caught:
        changed(
            "v8",
            ("  - [-1, 1, Conv, [256, 3, 2]]\n  - [-1, 6", "  - [-1, 1, SPDConv, [256]]\n  - [-1, 6"),
            ("  - [-1, 3, C2f, [1024, True]]\n", "  - [-1, 3, C2f, [1024, True]]\n  - [-1, 1, NAMAttention, [1024]]\n"),
            ("[[-1, 4], 1, Concat, [1]]", "[[-1, 4], 1, BiFPN_Concat2, [256, 256]]"),
            ("  - [-1, 3, C2f, [512]]\n  - [-1, 1, nn", "  - [-1, 3, C2f_Foo, [512]]\n  - [-1, 1, nn"),
            ("Detect, [nc]", "Detect_ASFF, [nc]"),
        )
    text = str(caught.value)
    assert [p.got for p in caught.value.problems] == [
        "'SPDConv'", "'NAMAttention'", "'C2f_Foo'", "'BiFPN_Concat2'", "'Detect_ASFF'"]  # fmt: skip
    assert "Did you mean" not in text
    spd, nam, foo, bifpn, head = map(str, caught.value.problems)
    assert re.search(r"row 3.*row 3 \(Conv\) of yolov8, which halves the map: give .* with --layers FILE", spd)
    assert "--modules" not in spd + bifpn + head
    assert re.search(r"row 9.*If it keeps.*class NAMAttention, and give --modules FILE", nam)
    assert re.search(r"C2f with Foo inside.*If Foo keeps.*--modules FILE", foo)
    assert re.search(r"takes 2 inputs.*is not supported yet", bifpn)
    assert "must be its head" in head


def test_a_name_that_stands_in_several_rows_is_said_once(changed):
    with pytest.raises(UserError, match=r"'SPDConv' \(in .*rows 3 and 5\)") as caught:
        changed(
            "v8",
            ("  - [-1, 1, Conv, [256, 3, 2]]\n  - [-1, 6", "  - [-1, 1, SPDConv, [256]]\n  - [-1, 6"),
            ("  - [-1, 1, Conv, [512, 3, 2]]\n  - [-1, 6", "  - [-1, 1, SPDConv, [512]]\n  - [-1, 6"),
        )
    assert not isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("ACmx", "ACmix"), ("SPDConv", ""), ("NAMAttention", ""), ("ELAN", "ELAN1"), ("SCSA", ""), ("c2psa", "C2PSA"),
     ("CoordAtttt", ""), ("SimAMM", "SimAM"), ("MLLA", ""), ("Conv_", "Conv"), ("C2f_", "C2f")],
)  # fmt: skip
def test_suggestions_are_made_at_high_similarity_only(changed, name, meant):
    with pytest.raises(UserError) as caught:
        changed("v8", *extra(f"[-1, 1, {name}, []]"))
    assert (f"Did you mean '{meant}'" in str(caught.value)) if meant else ("Did you mean" not in str(caught.value))


def test_an_own_module_is_known_by_its_class_in_rows_and_blocks(changed, tmp_path, clean):
    from nas_attn.attention import user

    (tmp_path / "nam_of_mine.py").write_text(
        "from torch import nn\nfrom nas_attn.attention.registry import attention\n\n"
        "@attention('nam_of_mine', family='channel', paper='none')\n"
        "class NAMOfMine(nn.Module):\n"
        "    def __init__(self, channels: int):\n        super().__init__()\n"
        "        self.bn = nn.BatchNorm2d(channels)\n"
        "    def forward(self, x):\n        return x * self.bn(x).sigmoid()\n"
    )
    user.load(tmp_path / "nam_of_mine.py")
    assert str(changed("v8", *extra("[-1, 1, NAMOfMine, [1024]]")).architecture) == "p5=nam_of_mine"
    inside = changed("v8", block("v8", "[-1, 3, C2f_NAMOfMine, [1024]]"))
    assert str(inside.architecture) == "inner.p5.insert=nam_of_mine"


# ---- --as


def test_a_meaning_that_nobody_uses_or_knows_is_refused(changed):
    row = extra("[-1, 1, Foo, []]")
    with pytest.raises(UnknownName, match=r"Bar"):
        changed("v8", *row, meanings={"Bar": "se"})
    with pytest.raises(UserError, match=r"--as.*'Quux'"):
        changed("v8", *row, meanings={"Foo": "Quux"})
    assert str(changed("v8", *row, meanings={"Foo": "SEAttention"}).architecture) == "p5=se(rd_ratio=0.0625)"


def test_a_meaning_may_be_a_layer_of_ultralytics(changed):
    spd = ("  - [-1, 1, Conv, [256, 3, 2]]\n  - [-1, 6", "  - [-1, 1, SPDConv, [256, 3, 2]]\n  - [-1, 6")
    found = changed("v8", spd, *extra("[-1, 1, SimAM, []]"), meanings={"SPDConv": "Conv"})
    assert found.known and found.base.rows[3] == [-1, 1, "Conv", [256, 3, 2]]
    head = ("Detect, [nc]", "Detect_DyHead, [nc]")
    with pytest.raises(UserError, match="--as Detect_DyHead=Detect"):
        changed("v8", head, *extra("[-1, 1, SimAM, []]"))
    found = changed("v8", head, *extra("[-1, 1, SimAM, []]"), meanings={"Detect_DyHead": "Detect"})
    assert found.known and str(found.architecture) == "p5=simam(e_lambda=0.0001)"
