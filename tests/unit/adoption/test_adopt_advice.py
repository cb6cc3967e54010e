"""Advice of `adopt`, which must be true: unknown rows, wrong arguments, renamed layers, published defaults."""

from __future__ import annotations

import pytest
from community_files import changed, extra, said

from nas_attn.adoption.arguments import FeatureMap, read_arguments
from nas_attn.attention import registry
from nas_attn.detector.model import community_names
from nas_attn.errors import ConfigError, SlotRefused, UserError

__all__ = ["changed"]  # fixture

WIDE = FeatureMap(256, 20, (0.5, 1.0, 1024), "row 17")
NONSENSE = ["__import__('os').getcwd()", {"a": 1}, ((),), ("x", 1), None, True, float("nan")]
FOREIGN = ("object", "operand", "Error", "()", "NoneType", "conv2d", "Trying", "tensor", "expected", "<class")
SPP_PSA = "  - [-1, 1, SPPF, [1024, 5]]\n  - [-1, 2, C2PSA, [1024]]\n"


def _problems(caught) -> dict[str, str]:
    problems = caught.value.problems if isinstance(caught.value, ConfigError) else [caught.value]
    return {str(p.got): str(p) for p in problems}


# ---- rows that nobody knows


@pytest.mark.parametrize("order", [("SPPFFoo", "C2PSAFoo", "FooAttn"), ("SPPFFoo", "FooAttn", "C2PSAFoo"),
                                   ("FooAttn", "SPPFFoo", "C2PSAFoo")])  # fmt: skip
def test_consecutive_unknown_rows_stand_for_the_rows_they_resemble(changed, order):
    written = {"SPPFFoo": "[-1, 1, SPPFFoo, [1024, 5]]", "C2PSAFoo": "[-1, 2, C2PSAFoo, [1024]]",
               "FooAttn": "[-1, 1, FooAttn, [1024]]"}  # fmt: skip
    rows = "".join(f"  - {written[name]}\n" for name in order)
    moved = (("[[-1, 13], 1", "[[-1, 14], 1"), ("[[-1, 10], 1", "[[-1, 11], 1"), ("[[16, 19, 22]", "[[17, 20, 23]"))
    with pytest.raises(ConfigError) as caught:
        changed("v11", (SPP_PSA, rows), *moved)
    said_of = _problems(caught)
    assert "row 9 (SPPF) of yolo11, as a block in the place" in said_of["'SPPFFoo'"]
    assert "row 10 (C2PSA) of yolo11, as a block in the place" in said_of["'C2PSAFoo'"]
    assert "in the place" not in said_of["'FooAttn'"] and "--modules FILE" in said_of["'FooAttn'"]


def test_unknown_rows_without_a_telling_name_are_aligned_by_arguments_then_by_place(changed):
    spp = "  - [-1, 1, SPPF, [1024, 5]]\n"
    for first, second, replaced in (("Foo, []", "Bar, [1024, 5]", "'Bar'"), ("Foo, [1024, 5]", "Bar, []", "'Foo'"),
                                    ("Foo, [1024]", "Bar, [1024]", "'Foo'")):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            changed("v8", (spp, f"  - [-1, 1, {first}]\n  - [-1, 1, {second}]\n"))
        assert [got for got, text in _problems(caught).items() if "place of row 9 (SPPF)" in text] == [replaced]


# ---- arguments


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("""[-1, 1, SE, ["__import__('os').getcwd()"]]""", "`rd_ratio`"),
        ("[-1, 1, SE, [{a: 1}, [[]], null]]", "`rd_ratio`"),
        ("[-1, 1, LSKA, [1024, 7.5]]", "`k_size`"),
        ("[-1, 1, CBAMBlock, [1024, 16, seven]]", "`kernel_size`"),
        ("[-1, 1, ShuffleAttention, [foo]]", "`groups`"),
        ("[-1, 1, ShuffleAttention, [1024, foo, 8]]", "`groups`"),
        ("[-1, 1, DAttention, [1024, 4, 2, foo, 0]]", "`stride`"),
        ("[-1, 1, MHSA, [foo]]", "`num_heads`"),
        ("[-1, 1, SKAttention, [[3, five], 16]]", "`kernel_sizes`"),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_name(changed, row, name):
    with pytest.raises(UserError, match=rf"the arguments of.*must be \[.*for {name}.*row 22") as caught:
        changed("v8", *extra(row))
    assert not any(word in str(caught.value).replace(str(caught.value.got), "") for word in FOREIGN)


def test_no_report_has_the_words_of_an_exception():
    """Every module, with every kind of wrong argument and with numbers from which nothing can be built."""
    for entry in registry.entries():
        for value in () if entry.is_none else (*NONSENSE, -3, 0, 2.5, (), 10**40):
            try:
                reading = read_arguments(entry, [value], WIDE, entry.cls.__name__)
            except SlotRefused:
                raise
            except UserError as error:
                text = str(error).replace(str(error.got), "")
            else:
                text = reading.refused
                assert not isinstance(value, str | dict) and value is not True, (entry.name, value)
            assert not any(word in text for word in FOREIGN), (entry.name, value, text)


def test_text_is_read_as_ultralytics_reads_it():
    """YAML reads `1e-3`, without a point, as text, and the parser evaluates literals."""
    assert str(read_arguments(registry.get("simam"), ["1e-3"], WIDE).gene) == "simam(e_lambda=0.001)"
    reading = read_arguments(registry.get("mlca"), [5, 0.5, "None"], WIDE)
    assert reading.raw[1] == [256, 5, 0.5, None] and not reading.refused


# ---- published defaults


def test_a_published_default_that_can_stand_there_is_taken(changed):
    found = changed("v8", *extra("[-1, 1, EMA, [1024]]"))
    assert str(found.architecture) == "p5=ema(factor=32)" and found.puts[0].reading.taken == {"factor": "32"}
    assert str(read_arguments(registry.get("ema"), [], WIDE, "nas_attn.EMAttention").gene) == "ema(factor=32)"


def test_a_published_default_that_cannot_is_replaced_with_the_reason():
    reading = read_arguments(registry.get("ema"), [], FeatureMap(80, 20, (0.5, 1.0, 1024), ""), "EMA")
    assert str(reading.gene) == "ema(factor=16)" and not reading.refused
    assert "32 does not fit there: " in reading.taken["factor"] and "divide" in reading.taken["factor"]


# ---- --as

SPD = tuple(
    (f"  - [-1, 1, Conv, [{c}, 3, 2]]\n  - [-1, 6", f"  - [-1, 1, SPDConv, [{c}]]\n  - [-1, 6") for c in (256, 512)
)


def test_a_layer_whose_own_arguments_do_not_fit_the_meaning_is_named(changed):
    with pytest.raises(UserError) as caught:
        changed("v8", *SPD, *extra("[-1, 1, SimAM, []]"), meanings={"SPDConv": "Conv"})
    text = str(caught.value)
    assert "rows 3 and 5 (SPDConv)" in text and "read as those of Conv" in text and "[256]" in text
    assert "yolov8 has [256, 3, 2], [512, 3, 2] there" in text
    assert "Sizes of tensors" not in text and "Error" not in text


def test_a_resizing_layer_that_is_read_as_attention_is_named(changed):
    with pytest.raises(UserError, match=r"as lska must keep.*rows 3 and 5 \(SPDConv\)") as caught:
        changed("v8", *SPD, *extra("[-1, 1, SimAM, []]"), meanings={"SPDConv": "lska"})
    assert "Sizes of tensors" not in str(caught.value)


def test_a_renamed_layer_that_fits_is_not_blamed_for_another(changed):
    spd = ("  - [-1, 1, Conv, [256, 3, 2]]\n  - [-1, 6", "  - [-1, 1, SPDConv, [256, 3, 2]]\n  - [-1, 6")
    other = ("SPPF, [1024, 5]", "SPPF, [1024, 5, 6, 7, 8]")
    with pytest.raises(UserError, match="row 9") as caught:
        changed("v8", spd, other, *extra("[-1, 1, SimAM, []]"), meanings={"SPDConv": "Conv"})
    assert "SPDConv" not in str(caught.value)


def test_a_control_is_no_meaning_and_the_message_says_so(changed):
    with pytest.raises(UserError, match=r"'conv'.*a control.*Did you mean 'Conv'"):
        changed("v8", *extra("[-1, 1, Foo, []]"), meanings={"Foo": "conv"})
    with pytest.raises(UserError, match=r"'nn.Fooo'"):
        changed("v8", *extra("[-1, 1, Foo, []]"), meanings={"Foo": "nn.Fooo"})


def test_every_other_module_of_the_list_is_a_meaning(changed):
    """This includes modules for which Ultralytics has a layer with nearly the same name, such as `psa`."""
    for entry in registry.entries():
        named = community_names.lookup(entry.name, community_names.parser_names(), chosen=True)
        assert entry.family == "control" or (named and named.module == entry.name), entry.name
    found = changed("v8", *extra("[-1, 1, Foo, []]"), meanings={"Foo": "psa"})
    assert [p.row.named.module for p in found.puts] == ["psa"] and "given with --as" in said(found)
