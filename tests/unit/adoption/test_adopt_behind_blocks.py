"""Rows from real community files: attention after blocks, further sources of a join, numbers in comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from community_files import BEHIND_P5, P5_V8, block, changed, said
from module_files import clean

from nas_attn.adoption.adopt import adopt
from nas_attn.errors import UserError

__all__ = ["changed", "clean"]  # fixtures


@pytest.mark.parametrize(
    ("base", "row", "gene"),
    [
        ("v8", "[-1, 3, C2f_EMA, [1024]]", "ema(factor=32)"),
        ("v8", "[-1, 3, C2f_ECA, [1024]]", "eca(kernel_size=5)"),
        ("v11", "[-1, 2, C3k2_CBAMBlock, [1024, True]]", "cbam(kernel_size=7,reduction=16)"),
    ],
)
def test_attention_may_stand_behind_the_whole_block(changed, base, row, gene):
    found = changed(base, block(base, row), inside="after")
    assert found.known and str(found.architecture) == f"p5={gene}"
    assert found.puts[0].channels == 256


def test_attention_may_stand_behind_a_block_of_the_backbone(changed):
    row = ("  - [-1, 6, C2f, [512, True]]\n", "  - [-1, 6, C2f_SimAM, [512, True]]\n")
    found = changed("v8", row, inside="after")
    assert found.known and str(found.architecture) == "backbone.p4=simam(e_lambda=0.0001)"


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
    assert re.search(r"does not say where.*--inside \w+\|\w+ chooses another", said(found))


@pytest.mark.parametrize(("name", "at"), [("CBAMC3", "p5"), ("C3CBAM", "inner.p5.insert"), ("C3SE", "inner.p5.insert")])
def test_a_fused_name_is_what_its_published_class_is(tmp_path, name, at):
    """CBAMC3(c1, c2, n) is a C3 with a CBAM of reduction 16 after it; in a C3CBAM every bottleneck ends in one."""
    text = (Path(__file__).parents[2] / "integration" / "articles" / "efficient_attention_yolov5.yaml").read_text()
    rows = yaml.safe_load(text)
    assert any(r[2] == "C3" for r in rows["head"])
    last = max(i for i, r in enumerate(rows["head"]) if r[2] == "C3")
    rows["head"][last][2] = name
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(rows))
    found = adopt(tmp_path / "a.yaml")
    gene = "se(rd_ratio=0.0625)" if name == "C3SE" else "cbam(kernel_size=7,reduction=16)"
    assert f"{at}={gene}" in str(found.architecture) and "does not say where" not in said(found)
    assert not any("adds its input" in t for t in found.puts[-1].reading.taken.values())


@pytest.mark.parametrize("name", ["Conv_SE", "RepC3_SE"])
def test_attention_with_a_block_without_bottlenecks_stands_behind_it(changed, name):
    row = ("  - [-1, 1, Conv, [512, 3, 2]]\n  - [-1, 6", f"  - [-1, 1, {name}, [512]]\n  - [-1, 6")
    with pytest.raises(UserError, match=rf"'{name}', while a \w+ has no bottlenecks.*--inside after"):
        changed("v8", row)
    row = (row[0], row[1].replace(f"{name}, [512]", "Conv_SE, [512, 3, 2]"))
    found = changed("v8", row, inside="after")
    assert found.base.rows[6][2] == "nas_attn.SqueezeExcite" and "after its own Conv" in said(found)


@pytest.mark.parametrize("name", ["RepNCSPELAN4_CAA", "SPPF_LSKA"])
def test_attention_on_a_blocks_concat_may_stand_behind_the_block(changed, name):
    spp = ("SPPF, [1024, 5]", "SPPF_LSKA, [1024, 5]")
    elan = block("v8", "[-1, 1, RepNCSPELAN4_CAA, [1024, 512, 256, 1]]")
    row = spp if name == "SPPF_LSKA" else elan
    inside = changed("v8", row)
    assert [r[3][1][0][0] for r in inside.base.rows if r[2] in ("nas_attn.SPPF", "nas_attn.RepNCSPELAN4")] == ["concat"]
    inside.base.build()
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
    assert "reads 3 rows, but yolov8 reads 2 there" in said(found) and not found.known
    assert found.base.rows[17][0] == [-1, 12, 6]  # without the attention, which is a gene
    found.base.build()


def test_a_further_source_is_kept_and_a_stale_one_is_named(changed):
    """No number in the row was renumbered, so the further number may also be that of the base."""
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
