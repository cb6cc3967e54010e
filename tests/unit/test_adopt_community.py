"""Rows as people's files have them: map sizes, names of several meanings, unknown names, attention behind blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from module_files import clean

from nas_attn.detector.adoption.adopt import Adopted, adopt
from nas_attn.errors import ConfigError, UnknownName, UserError

__all__ = ["clean"]  # a fixture

BASES = {
    "v8": """
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]]
  - [[15, 18, 21], 1, Detect, [nc]]
""",
    "v11": """
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 2, C3k2, [256, False, 0.25]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 2, C3k2, [512, False, 0.25]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 2, C3k2, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 2, C3k2, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
  - [-1, 2, C2PSA, [1024]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 2, C3k2, [256, False]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 13], 1, Concat, [1]]
  - [-1, 2, C3k2, [512, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 10], 1, Concat, [1]]
  - [-1, 2, C3k2, [1024, True]]
  - [[16, 19, 22], 1, Detect, [nc]]
""",
}
SCALES = {"v8": "{n: [0.33, 0.25, 1024], s: [0.33, 0.5, 1024]}", "v11": "{n: [0.5, 0.25, 1024], s: [0.5, 0.5, 1024]}"}
P5_V8 = "  - [-1, 3, C2f, [1024]]\n"
P5_V11 = "  - [-1, 2, C3k2, [1024, True]]\n  - [[16"
BEHIND_P5 = "[[15, 18, 21], 1"


@pytest.fixture
def changed(tmp_path):
    """A function that adopts yolov8 or yolo11 with some of its text replaced."""

    def make(base: str, *replaced: tuple[str, str], **options: Any) -> Adopted:
        text = f"nc: 80\nscales: {SCALES[base]}{BASES[base]}"
        for old, new in replaced:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
        (tmp_path / "article.yaml").write_text(text)
        return adopt(tmp_path / "article.yaml", **options)

    return make


def block(base: str, row: str) -> tuple[str, str]:
    """The block that feeds the head at P5 replaced."""
    if base == "v8":
        return P5_V8, f"  - {row}\n"
    return P5_V11, f"  - {row}\n  - [[16"


def extra(row: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """A row between yolov8's P5 and its head."""
    return (P5_V8, f"{P5_V8}  - {row}\n"), (BEHIND_P5, "[[15, 18, 22], 1")


def said(found: Adopted) -> str:
    return "\n".join([*map(str, found.repairs), *map(str, found.suspicions), *(p.reading.said for p in found.puts)])


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
    """Class C3k2_DAttention(c1, c2, n, fmapsize, c3k, ...): attention ends each bottleneck's branch."""
    found = changed(base, block(base, row))
    name = "yolo11" if base == "v11" else "yolov8"
    usual = {"v8": [1024], "v11": [1024, True]}[base]
    assert found.known == (plain == usual)
    assert str(found.architecture) == "inner.p5.insert=dattention(groups=2,num_heads=8,stride=2)"
    (repair,) = [r for r in found.repairs if r.row is not None]
    assert "[20, 20] is the size of its map" in repair.why and repair.now == str(plain)
    assert found.known or f"where {name} has" in said(found)


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
    assert "has groups=4, which dattention has not" in said(found)
    found = changed("v8", *extra("[-1, 1, nas_attn.DeformableAttention, [256, 4, 1, 4]]"))
    assert str(found.architecture) == "p5=dattention(groups=1,num_heads=4,stride=4)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[-1, 3, C2f_EMA, [1024, se]]", r"shortcut: bool.*got 'se' for `shortcut`.*row 21 \(C2f_EMA\)"),
        ("[-1, 3, C2f_EMA, [1024, 0.5]]", "got 0.5 for `shortcut`"),
        ("[-1, 3, C2f_EMA, [1024, True, 1, 0.5, 7]]", "got 7, one argument more"),
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
    assert found.puts[0].reading.gene.module == "strip" and "--as says so" in said(found)


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
    assert str(found.architecture) == f"p5={gene}" and "Ultralytics' own class has no reduction" in said(found)


@pytest.mark.parametrize("arguments", ["[]", "[1024]", "[1024, 7]", "[7]", "[1024, 3]", "[256]"])
def test_a_cbam_without_one_is_asked_for(changed, arguments):
    row = extra(f"[-1, 1, CBAM, {arguments}]")
    with pytest.raises(UserError, match=r"one meaning.*row 22.*--as CBAM=cbam.*Ultralytics' own class.*C.C layer"):
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
    assert re.search(r"row 3.*where yolov8 has row 3 \(Conv\), which halves the map.*the map's shape cannot be", spd)
    assert "--modules" not in spd + bifpn + head
    assert re.search(r"row 9.*If it keeps.*class NAMAttention, and give --modules FILE", nam)
    assert re.search(r"C2f with Foo inside.*If Foo keeps.*--modules FILE", foo)
    assert re.search(r"takes 2 inputs.*cannot be brought yet", bifpn)
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


# ---- attention behind a block


@pytest.mark.parametrize(
    ("base", "row", "gene"),
    [
        ("v8", "[-1, 3, C2f_EMA, [1024]]", "ema(factor=8)"),
        ("v8", "[-1, 3, C2f_ECA, [1024]]", "eca(kernel_size=5)"),
        ("v11", "[-1, 2, C3k2_CBAMBlock, [1024, True]]", "cbam(kernel_size=7,reduction=16)"),
    ],
)
def test_attention_may_stand_behind_the_whole_block(changed, base, row, gene):
    found = changed(base, block(base, row), inside="after")
    assert found.known and str(found.architecture) == f"p5={gene}"
    assert found.puts[0].channels == 256


def test_behind_a_block_in_the_backbone_it_stays_in_the_file(changed):
    row = ("  - [-1, 6, C2f, [512, True]]\n", "  - [-1, 6, C2f_SimAM, [512, True]]\n")
    found = changed("v8", row, inside="after")
    assert [r[2] for r in found.base.rows[6:8]] == ["C2f", "nas_attn.SimAM"]
    assert found.base.rows[12][0] == [-1, 7] and "cannot vary" in said(found)
    found.base.build()


def test_behind_a_block_and_behind_that_again(changed):
    two = (P5_V8, "  - [-1, 3, C2f_EMA, [1024]]\n  - [-1, 1, SimAM, []]\n")
    found = changed("v8", two, (BEHIND_P5, "[[15, 18, 22], 1"), inside="after")
    assert [r[2] for r in found.base.rows[21:24]] == ["C2f", "nas_attn.EMAttention", "nas_attn.SimAM"]


@pytest.mark.parametrize(
    ("name", "stands"),
    [
        ("C2f_EMA", "inner.p5.insert"),
        ("C2f_ACmix", "inner.p5.replace"),
        ("C2f_DAttention", "inner.p5.insert"),
        ("C2f_ECA", "p5"),
        ("C2f_CBAMBlock", "p5"),
        ("C2f_SE", "inner.p5.insert"),
        ("C2fSimAM", "inner.p5.insert"),
    ],
)
def test_where_a_blocks_attention_stands_is_that_of_its_usual_class_and_said(changed, name, stands):
    found = changed("v8", block("v8", f"[-1, 3, {name}, [1024]]"))
    assert str(found.architecture).startswith(f"{stands}=")
    assert re.search(r"no name says where.*--inside \w+\|\w+ takes another", said(found))


@pytest.mark.parametrize(("name", "at"), [("CBAMC3", "p5"), ("C3CBAM", "inner.p5.insert"), ("C3SE", "inner.p5.insert")])
def test_a_fused_name_is_what_its_published_class_is(tmp_path, name, at):
    """CBAMC3(c1, c2, n) is a C3 and behind it a CBAM of reduction 16; in a C3CBAM every bottleneck ends in one."""
    text = (Path(__file__).parent.parent / "integration" / "articles" / "efficient_attention_yolov5.yaml").read_text()
    rows = yaml.safe_load(text)
    assert any(r[2] == "C3" for r in rows["head"])
    last = max(i for i, r in enumerate(rows["head"]) if r[2] == "C3")
    rows["head"][last][2] = name
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(rows))
    found = adopt(tmp_path / "a.yaml")
    gene = "se(rd_ratio=0.0625)" if name == "C3SE" else "cbam(kernel_size=7,reduction=16)"
    assert f"{at}={gene}" in str(found.architecture) and "no name says" not in said(found)
    assert not any("adds its input" in t for t in found.puts[-1].reading.taken.values())


@pytest.mark.parametrize("name", ["Conv_SE", "RepC3_SE"])
def test_attention_with_a_block_without_bottlenecks_stands_behind_it(changed, name):
    row = ("  - [-1, 1, Conv, [512, 3, 2]]\n  - [-1, 6", f"  - [-1, 1, {name}, [512]]\n  - [-1, 6")
    with pytest.raises(UserError, match=rf"'{name}', for a \w+ has no bottlenecks.*--inside after"):
        changed("v8", row)
    row = (row[0], row[1].replace(f"{name}, [512]", "Conv_SE, [512, 3, 2]"))
    found = changed("v8", row, inside="after")
    assert found.base.rows[6][2] == "nas_attn.SqueezeExcite" and "behind its own Conv" in said(found)


@pytest.mark.parametrize("name", ["RepNCSPELAN4_CAA", "SPPF_LSKA"])
def test_attention_on_a_blocks_concat_is_said_to_be_there(changed, name):
    spp = ("SPPF, [1024, 5]", "SPPF_LSKA, [1024, 5]")
    elan = block("v8", "[-1, 1, RepNCSPELAN4_CAA, [1024, 512, 256, 1]]")
    row = spp if name == "SPPF_LSKA" else elan
    with pytest.raises(UserError, match=rf"'{name}'.*on its concat.*cannot be brought yet.*--inside after"):
        changed("v8", row)
    found = changed("v8", row, inside="after")
    module = "LSKA" if name == "SPPF_LSKA" else "CAA"
    at = "lateral.p5" if module == "LSKA" else "p5"
    assert str(found.architecture) == f"{at}={module.lower()}(k_size=11)"


# ---- wiring


def test_a_concat_with_one_source_more_is_aligned_source_by_source(changed):
    simam = ("  - [-1, 6, C2f, [256, True]]\n", "  - [-1, 6, C2f, [256, True]]\n  - [-1, 1, SimAM, []]\n")
    moved = (("[[-1, 4], 1", "[[-1, 5], 1"), ("[[-1, 9], 1", "[[-1, 10], 1"), (BEHIND_P5, "[[16, 19, 22], 1"))
    found = changed("v8", simam, *moved, ("[[-1, 12], 1", "[[-1, 12, 7], 1"), ("[[-1, 6], 1", "[[-1, 7], 1"))
    (repair,) = [r for r in found.repairs if r.row is not None]
    assert (repair.row, repair.was, repair.now) == (18, "[-1, 12, 7]", "[-1, 13, 7]")
    assert "reads 3 rows, where yolov8 reads 2 there" in said(found) and not found.known
    assert found.base.rows[18][0] == [-1, 13, 7]
    found.base.build()


def test_a_further_source_is_kept_and_a_stale_one_is_named(changed):
    """Nothing in the row was renumbered, so the further number may be the base's, too."""
    simam = ("  - [-1, 6, C2f, [256, True]]\n", "  - [-1, 6, C2f, [256, True]]\n  - [-1, 1, SimAM, []]\n")
    moved = (("[[-1, 4], 1", "[[-1, 5], 1"), ("[[-1, 9], 1", "[[-1, 10], 1"), (BEHIND_P5, "[[16, 19, 22], 1"))
    found = changed("v8", simam, *moved, ("[[-1, 12], 1", "[[-1, 12, 6], 1"), ("[[-1, 6], 1", "[[-1, 7], 1"))
    (repair,) = [r for r in found.repairs if r.row is not None]
    assert (repair.was, repair.now) == ("[-1, 12, 6]", "[-1, 13, 6]")
    assert "row 6 of yolov8 is row 7 (C2f) here" in said(found)
    further = changed("v8", simam, *moved, ("[[-1, 12], 1", "[[-1, 13, 7], 1"), ("[[-1, 6], 1", "[[-1, 7], 1"))
    assert not further.repairs and "renumbered" not in said(further)


# ---- comments


@pytest.mark.parametrize(
    ("comment", "odd"),
    [
        ("# 1024 channels, 11", False),
        ("# 1024 ... 11", False),
        ("# 640 px", False),
        ("# 21", True),
        ("# 24", False),
        ("# 23 head", False),
        ("# 22", False),
    ],
)
def test_a_number_in_a_comment_is_a_row_only_where_there_is_one(changed, comment, odd):
    found = changed("v8", (P5_V8, f"{P5_V8}  - [-1, 1, SimAM, []] {comment}\n"), (BEHIND_P5, "[[15, 18, 22], 1"))
    claims = [s.text for s in found.suspicions if s.kind == "comment"]
    assert bool(claims) == (odd or comment == "# 23 head")
