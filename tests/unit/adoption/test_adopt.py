"""Adoption of community files: places, wiring, scales, and files that must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_attn.adoption.adopt import Adopted, adopt
from nas_attn.adoption.article import read_article
from nas_attn.errors import UnknownName, UserError

ARTICLES = Path(__file__).parents[2] / "integration" / "articles"
ACMIX = "acmix(head=4,kernel_att=7)"
V8, V11, V5 = "acmix_p5_yolov8", "acmix_yolo11", "efficient_attention_yolov5"
NO_ACMIX = ("  - [-1, 1, ACmix, []] # 22\n", "")
PLAIN_HEAD = ("[15, 18, 22]", "[15, 18, 21]")


@pytest.fixture
def changed(tmp_path):
    """A function that adopts one of the articles after replacing some of its text."""

    def make(article: str, *replaced: tuple[str, str], name: str = "article.yaml", **options: Any) -> Adopted:
        text = (ARTICLES / f"{article}.yaml").read_text()
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return adopt(tmp_path / name, **options)

    return make


def kinds(found: Adopted) -> set[str]:
    return {s.kind for s in found.suspicions}


def test_attention_that_nobody_reads_is_taken_in(changed):
    found = changed(V8, PLAIN_HEAD)
    assert str(found.architecture) == f"p5={ACMIX}" and found.known
    (repair,) = found.repairs
    assert (repair.row, repair.was, repair.now) == (23, "[15, 18, 21]", "[15, 18, 22]") and "no row read" in repair.why


def test_unread_attention_that_several_rows_could_read_is_left_out(changed):
    rows = ("  - [-1, 3, C2f, [256]] # 15 (P3/8-small)\n\n  - [-1, 1, Conv, [256, 3, 2]]",
            "  - [-1, 3, C2f, [256]]\n  - [-1, 1, LSKA, [7]]\n  - [15, 1, Conv, [256, 3, 2]]")  # fmt: skip
    head = ("[15, 18, 22]", "[15, 19, 23]")
    found = changed(V8, rows, head)
    assert str(found.architecture) == f"p5={ACMIX}" and "unread" in kinds(found)
    assert str(changed(V8, rows, head, wiring="in-line").architecture) == f"p3=lska(k_size=7) p5={ACMIX}"


def test_a_head_with_the_bases_numbers_is_renumbered_whole(changed):
    found = changed(V11, ("[17, 21, 25]", "[16, 19, 22]"))
    assert found.known and str(found.architecture) == f"p3={ACMIX} p4={ACMIX} p5={ACMIX}"
    assert [(r.was, r.now) for r in found.repairs] == [("[16, 19, 22]", "[17, 21, 25]")]


@pytest.mark.parametrize("written", [14, 16, 25])
def test_a_number_that_is_off_by_one_or_below_the_row_is_repaired(changed, written):
    found = changed(V5, ("[[-1, 14], 1", f"[[-1, {written}], 1"))
    assert found.known
    assert [(r.was, r.now) for r in found.repairs if r.row == 20] == [(f"[-1, {written}]", "[-1, 15]")]


BACKBONE = (
    ("  - [-1, 6, C2f, [256, True]]\n", "  - [-1, 6, C2f, [256, True]]\n  - [-1, 1, SimAM, []]\n"),
    ("  - [-1, 6, C2f, [512, True]]\n", "  - [-1, 6, C2f, [512, True]]\n  - [-1, 1, SimAM, []]\n"),
)


def test_a_file_that_was_never_renumbered_is_repaired_whole(changed):
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, *BACKBONE)
    now = {r.row: (r.was, r.now) for r in found.repairs}
    assert now == {13: ("[-1, 6]", "[-1, 8]"), 16: ("[-1, 4]", "[-1, 5]"), 19: ("[-1, 12]", "[-1, 14]"),
                   22: ("[-1, 9]", "[-1, 11]"), 24: ("[15, 18, 21]", "[17, 20, 23]")}  # fmt: skip
    assert "bypass" not in kinds(found)
    kept = changed(V8, NO_ACMIX, PLAIN_HEAD, *BACKBONE, wiring="keep")
    assert not kept.repairs and "bypass" in kinds(kept)


def test_a_number_past_attention_may_be_meant_where_others_were_renumbered(changed):
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, *BACKBONE, ("[-1, 12], 1", "[-1, 14], 1"))
    assert {r.row for r in found.repairs} == {13, 22, 24} and "bypass" in kinds(found)


def test_the_last_of_two_modules_at_one_place_is_read(changed):
    two = ("# 15 (P3/8-small)\n", "# 15 (P3/8-small)\n  - [-1, 1, ACmix, []]\n  - [-1, 1, SimAM, []]\n")
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, two)
    assert [(r.was, r.now) for r in found.repairs] == [("[15, 18, 21]", "[17, 20, 23]")]
    assert found.base.rows[-1][0] == [17, 20, 23]


def test_kept_wiring_stays_unread(changed):
    with pytest.raises(UserError, match=r"attention that some row reads.*no row reads row 22"):
        changed(V8, PLAIN_HEAD, wiring="keep")


def test_a_row_that_reads_past_attention_is_named_and_kept(changed):
    past = ("[17, 21, 25]", "[17, 20, 25]")
    found = changed(V11, past)
    assert "bypass" in kinds(found) and not found.repairs and found.known
    (bypass,) = [s.text for s in found.suspicions if s.kind == "bypass"]
    assert (
        "row 26 (Detect) reads row 20 (C3k2) and skips row 21 (ACmix)" in bypass and "write 21 for 20" in bypass.lower()
    )
    assert str(found.architecture) == f"p3={ACMIX} p5={ACMIX} down.p4={ACMIX}"
    found = changed(V11, past, wiring="in-line")
    assert found.known and str(found.architecture) == f"p3={ACMIX} p4={ACMIX} p5={ACMIX}"


def test_rows_in_front_of_the_head_are_on_its_edges_only(changed):
    gathered = "  - [15, 1, ACmix, []] # 22\n  - [18, 1, ACmix, []]\n  - [21, 1, ACmix, []]\n"
    found = changed(V8, (NO_ACMIX[0], gathered), ("[15, 18, 22]", "[22, 23, 24]"))
    assert found.known and str(found.architecture) == f"p5={ACMIX} p3.head={ACMIX} p4.head={ACMIX}"
    assert not found.repairs and not found.suspicions  # rows above the attention do not read past it


def test_wiring_can_be_kept_as_the_article_has_it(changed):
    found = changed(V5, wiring="keep")
    assert not found.known and found.base.rows[19][0] == [-1, 13]
    (join,) = [s for s in found.suspicions if s.kind == "join"]
    assert join.row == 20 and "row 15 (Conv) in this file" in join.text
    assert str(found.architecture).startswith("sppf.pre=")


@pytest.mark.parametrize(("old", "new"), [("[-1, 12], 1", "[-1, 6], 1"), ("[-1, 12], 1", "[-1, 12, 6], 1"),
                                          ("[-1, 12], 1", "[12, -1], 1")])  # fmt: skip
def test_wiring_that_may_be_meant_is_kept_and_named(changed, old, new):
    found = changed(V8, (old, new))
    assert "join" in kinds(found) and not found.repairs and not found.known
    assert found.base.rows[17][0] == yaml.safe_load(f"[{new}]")[0]


def test_attention_at_no_slot_becomes_part_of_the_base(changed):
    found = changed(
        V8,
        ("  - [-1, 3, C2f, [1024, True]]\n", "  - [-1, 1, SimAM, []]\n  - [-1, 3, C2f, [1024, True]]\n"),
        ("[[-1, 12], 1", "[[-1, 13], 1"), ("[[-1, 9], 1", "[[-1, 10], 1"), ("[15, 18, 22]", "[16, 19, 23]"),
    )  # fmt: skip
    assert str(found.architecture) == f"p5={ACMIX}" and found.base.rows[8] == [-1, 1, "nas_attn.SimAM", [256]]
    (text,) = [s.text for s in found.suspicions if s.kind == "place"]
    assert "no slot is at its place, after row 7 (Conv)" in text and "a search cannot vary it" in text
    assert [s.row for s in found.slots if s.name == "p5"] == [22]


def test_two_modules_at_one_place_become_part_of_the_base(changed):
    found = changed(V8, ("ACmix, []] # 22\n", "ACmix, []] # 22\n  - [-1, 1, SimAM, []]\n"), ("18, 22]", "18, 23]"))
    assert found.architecture.is_base and [r[2] for r in found.base.rows[22:24]] == ["nas_attn.ACmix", "nas_attn.SimAM"]
    assert found.base.rows[24][0] == [15, 18, 23]


def test_repeats_of_attention_are_as_many_rows(changed):
    """From three repeats at depth 0.67, Ultralytics builds Sequential(ACmix, ACmix)."""
    thrice = ("[-1, 1, ACmix", "[-1, 3, ACmix")
    found = changed(V8, thrice, scale="m")
    assert found.architecture.is_base and not found.known and found.puts[0].times == 2
    assert [r[2] for r in found.base.rows[21:24]] == ["C2f", "nas_attn.ACmix", "nas_attn.ACmix"]
    assert found.base.rows[24][0] == [15, 18, 23]
    (text,) = [s.text for s in found.suspicions if s.kind == "place"]
    assert "row 22 (ACmix)" in text and "2 times" in text and "repeats 3" in text
    once = changed(V8, thrice, scale="n")  # 3 · 0.33 is one
    assert once.known and str(once.architecture) == f"p5={ACMIX}" and once.puts[0].times == 1


def test_attention_inside_a_block_that_feeds_the_head(changed):
    block = ("[-1, 3, C2f, [1024]] # 21", "[-1, 3, C2f_EMA, [1024]] # 21")
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, block)
    assert found.known and str(found.architecture) == "inner.p5.insert=ema(factor=32)"
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, (block[0], block[1].replace("EMA", "ACmix")))
    assert str(found.architecture) == f"inner.p5.replace={ACMIX}"
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, block, inside="replace")
    assert str(found.architecture) == "inner.p5.replace=ema(factor=32)"


def test_attention_inside_another_block_is_built_but_not_searched(changed):
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, ("[-1, 6, C2f, [512, True]]", "[-1, 6, C2f_SE, [512, True]]"))
    assert found.architecture.is_base and [r[2] for r in found.base.rows[6:8]] == ["nas_attn.C2f", "Index"]
    text = "\n".join(s.text for s in found.suspicions)
    assert "row 6 (C2f_SE)" in text and "cannot vary" in text
    assert found.base.build().model[6].attentions("insert")


def test_a_module_of_ultralytics_stays_and_is_named(changed):
    found = changed(V8, (NO_ACMIX[0], "  - [-1, 1, PSA, [1024]]\n  - [-1, 1, LSKA, []]\n"), ("18, 22]", "18, 23]"))
    assert str(found.architecture) == "p5=lska(k_size=11)" and found.base.rows[22][2] == "PSA"
    (name,) = [s.text for s in found.suspicions if s.kind == "name"]
    assert "row 22 (PSA) is a module of Ultralytics" in name
    assert "nearest base is yolov8, which lacks row 22 (PSA)" in str(found.suspicions)


def test_another_head_makes_another_base(changed):
    found = changed(V11, ("Detect, [nc]", "Segment, [nc, 32, 256]"))
    assert (found.base.name, found.base.task, found.known) == ("yolo11n-seg", "segment", True)
    found = changed(V5, ("Detect, [nc, anchors]", "Segment, [nc, anchors, 32, 256]"))
    assert (found.base.task, found.known) == ("segment", False) and found.base.rows[-1][3] == ["nc", 32, 256]
    assert (20, "[-1, 14]", "[-1, 15]") in {(r.row, r.was, r.now) for r in found.repairs}


def test_settings_of_the_network_are_kept(changed):
    found = changed(V8, ("nc: 80\n", "nc: 80\nreg_max: 8\nactivation: nn.ReLU()\nnames: [a, b]\nch: 3\n"))
    assert not found.known and found.base.reg_max == 8 and found.base.yaml["activation"] == "nn.ReLU()"
    assert "names" not in found.base.yaml and "base" in kinds(found)


def test_scales(changed):
    assert changed(V11).base.name == "yolo11n"
    assert changed(V11, scale="s").base.name == changed(V11, name="yolo11s-acmix.yaml").base.name == "yolo11s"
    assert changed(V8, ("n: [0.33, 0.25, 1024]", "n: [0.33, 0.25, 512]")).known is False
    assert changed(V5).base.name == "yolov5n"
    assert changed(V5, ("width_multiple: 0.25", "width_multiple: 0.50")).base.name == "yolov5s"
    odd = changed(V5, ("width_multiple: 0.25", "width_multiple: 0.125"))
    assert not odd.known and odd.base.factors[:2] == (0.33, 0.125) and "scale" in kinds(odd)
    article = (ARTICLES / f"{V11}.yaml").read_text()
    scales = article[article.index("scales:") : article.index("backbone:")]
    found = changed(V11, (scales, ""), scale="m")
    assert found.known and found.base.name == "yolo11m" and found.repairs[0].what == "scales"


def test_a_scale_that_the_file_does_not_define(changed):
    with pytest.raises(UnknownName, match="got 'z'"):
        changed(V11, scale="z")
    with pytest.raises(UserError, match="which is scale n of yolov5"):
        changed(V5, scale="s")
    with pytest.raises(UnknownName, match="got 'x'"):
        changed(V11, ("  x: [1.00, 1.50, 512]\n", ""), name="yolo11x.yaml")


def test_class_counts(changed):
    assert changed(V11).base.nc == 8 and "nc" in kinds(changed(V11))
    found = changed(V11, nc=3)
    assert found.base.nc == 3 and "nc" not in kinds(found) and found.known
    found = changed(V11, ("nc: 8 # number of classes\n", ""))
    assert found.base.nc == 80 and [r.what for r in found.repairs] == ["nc"]


def test_the_row_numbers_in_comments_are_read(changed):
    rows = read_article(ARTICLES / f"{V11}.yaml").rows
    claims = {r.number: r.claim for r in rows if r.claim is not None}
    assert claims == {0: 0, 1: 1, 3: 3, 5: 5, 7: 7, 9: 9, 10: 10, 13: 13, 16: 16, 20: 19, 24: 22}
    flow = {r.number: r.claim for r in read_article(ARTICLES / f"{V5}.yaml").rows if r.claim is not None}
    assert flow == {0: 0, 1: 1, 3: 3, 5: 5, 7: 7, 10: 10, 14: 14, 18: 18, 21: 21, 24: 24}
    assert "comment" not in kinds(changed(V8, ("# cat head P4", "# 2x upsampled, 40x40")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be empty"),
        ("a: [1", "readable as YAML"),
        ("- 1\n", "`backbone` and `head`"),
        ("nc: 2\nbackbone: [[-1, 1, Conv, [8]]]\n", "`backbone` and `head`"),
        ("nc: 2\nbackbone: 3\nhead: 4\n", "list of rows"),
        ("nc: 2\nbackbone: [[-1, 1, Conv, [8]]]\nhead: [[-1, 1, Classify, [nc]]]\n", "a classification model"),
        ("nc: 2\nbackbone: [[-1, 1, Conv, [8]]]\nhead: [[-1, 1, Detect_FASFF, [nc]]]\n", "last row must be its head"),
    ],
)
def test_what_is_no_detector_is_refused(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        adopt(tmp_path / "a.yaml")
    with pytest.raises(UserError, match="readable"):
        adopt(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ((("ACmix, []", "ACmx, []"),), "'ACmx'.*row 22.*Did you mean 'ACmix'"),
        ((("[-1, 1, ACmix", "[[-1, 15], 1, ACmix"),), "must read one row"),
        ((("[-1, 1, ACmix", "[23, 1, ACmix"),), "must read rows above it"),
        ((("[-1, 1, ACmix", "[17, 1, PSA"), PLAIN_HEAD), "must have a row of attention.*PSA"),
        ((NO_ACMIX, PLAIN_HEAD), "the rows of yolov8; it builds as it is"),
        (
            (NO_ACMIX, PLAIN_HEAD, ("SPPF, [1024, 5]", "SPPF, [1024, 5, 6, 7, 8]")),
            "it does not build.*correct the file",
        ),
        ((("SPPF, [1024, 5]", "SPPF, [1024, 5, 6, 7, 8]"),), "that Ultralytics builds.*row 9"),
        (
            (("[-1, 1, SPPF", "[-1, 1, C2f_ACmix"), ("C2f_ACmix, [1024, 5]", "A2C2f_ACmix, [1024, True, 1]")),
            "bottlenecks of one kind",
        ),
    ],
)
def test_what_cannot_be_adopted_is_refused(changed, replaced, message):
    with pytest.raises(UserError, match=message):
        changed(V8, *replaced)


def test_a_slip_in_a_file_without_attention_is_repaired(changed):
    slip = ("[-1, 12], 1", "[-1, 11], 1")
    found = changed(V8, NO_ACMIX, PLAIN_HEAD, slip)
    assert found.known and found.architecture.is_base and not found.puts
    assert [(r.row, r.was, r.now) for r in found.repairs] == [(17, "[-1, 11]", "[-1, 12]")]
    with pytest.raises(UserError, match=r"row 17.*reads row 11.*kept.*correct these rows"):
        changed(V8, NO_ACMIX, PLAIN_HEAD, slip, wiring="keep")


def test_an_odd_head_without_attention_is_not_called_fine(changed):
    with pytest.raises(UserError, match=r"row 22.*in another order.*correct these rows"):
        changed(V8, NO_ACMIX, ("[15, 18, 22]", "[21, 18, 15]"))


def test_options_must_be_known(changed):
    for option in ("wiring", "inside"):
        with pytest.raises(UnknownName, match=option):
            changed(V8, **{option: "foo"})
    with pytest.raises(UserError, match="--imgsz"):
        changed(V8, imgsz=0)
