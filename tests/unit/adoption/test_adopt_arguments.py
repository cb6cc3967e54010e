"""Names and arguments in community files: the names of modules, and their arguments."""

from __future__ import annotations

import pytest

from nas_attn.adoption.arguments import FeatureMap, carried, read_arguments
from nas_attn.attention import registry
from nas_attn.detector.model import community_names
from nas_attn.errors import SlotRefused

ACMIX = "acmix(head=4,kernel_att=7)"
WIDTHS = FeatureMap(64, 80, (0.5, 0.25, 1024), "row 17")


@pytest.mark.parametrize(
    ("written", "module"),
    [
        ("ACMIX", "acmix"),
        ("acmix", "acmix"),
        ("CoordAtt", "coord"),
        ("SELayer", "se"),
        ("SE", "se"),
        ("GAM_Attention", "gam"),
        ("SEAttention", "se"),
        ("ECAAttention", "eca"),
        ("eca_layer", "eca"),
        ("CloAttention", "efficient_attention"),
        ("nas_attn.LSKA", "lska"),
        ("models.common.CBAMBlock", "cbam"),
        ("EMA", "ema"),
        ("BiLevelRoutingAttention", "bi_level_routing"),
        ("DAttention", "dattention"),
        ("BiLevelRoutingAttention_nchw", "bi_level_routing"),
        ("LSKBlock", "lsk"),
    ],
)
def test_a_module_is_known_by_its_usual_names(written, module):
    assert community_names.lookup(written, community_names.parser_names()) == community_names.Named(module)


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("C2f_ACmix", ("acmix", "C2f")),
        ("C3k2-LSKA", ("lska", "C3k2")),
        ("C3_CBAM", ("cbam", "C3")),
        ("EMA_C2f", ("ema", "C2f")),
        ("C2f_Bottleneck_ACmix", ("acmix", "C2f")),
        ("C2PSA", (None, "")),
        ("C2f", (None, "")),
        ("nn.Upsample", (None, "")),
        ("PSA", (None, "")),
    ],
)
def test_blocks_are_read_and_ultralytics_own_stay(written, named):
    assert community_names.lookup(written, community_names.parser_names()) == community_names.Named(*named)


@pytest.mark.parametrize("written", ["c2psa", "Foo", "C2f_Foo", "BiFPN_Concat", "C2fACmixx"])
def test_what_nobody_knows_is_no_module(written):
    assert community_names.lookup(written, community_names.parser_names()) is None


def test_every_alias_is_of_a_registered_module_and_of_one_only():
    assert set(community_names.ALIASES) <= set(registry.names())
    spelt = [{community_names.folded(n) for n in line.split()} for line in community_names.ALIASES.values()]
    assert sum(map(len, spelt)) == len(set().union(*spelt))
    own = {community_names.folded(n): e.name for e in registry.entries() for n in (e.name, e.cls.__name__)}
    for module, line in community_names.ALIASES.items():
        assert all(own.get(community_names.folded(n), module) == module for n in line.split())


@pytest.mark.parametrize(
    ("module", "arguments", "gene"),
    [
        ("acmix", [], ACMIX),
        ("acmix", [256, 256], ACMIX),
        ("acmix", [64, 64], ACMIX),
        ("acmix", ["c1", "c2"], ACMIX),
        ("acmix", [256, 256, 5], "acmix(head=4,kernel_att=5)"),
        ("acmix", [5, 8], "acmix(head=8,kernel_att=5)"),
        ("lska", [23], "lska(k_size=23)"),
        ("lska", [256, 35], "lska(k_size=35)"),
        ("lska", [], "lska(k_size=11)"),
        ("se", [256, 16], "se(rd_ratio=0.0625)"),
        ("se", [8], "se(rd_ratio=0.125)"),
        ("cbam", [7], "cbam(kernel_size=7,reduction=16)"),
        ("cbam", [256, 8, 3], "cbam(kernel_size=3,reduction=8)"),
        ("coord", [256, 256, 32], "coord(reduction=8)"),
        ("coord", [], "coord(reduction=8)"),
        ("eca", [256, 5], "eca(kernel_size=5)"),
        ("simam", [0.001], "simam(e_lambda=0.001)"),
        ("efficient_attention", [64, 8, [2, 6], [3], 8], "efficient_attention(group_split=[2,6],window_size=8)"),
    ],
)
def test_arguments_are_read_in_every_style(module, arguments, gene):
    reading = read_arguments(registry.get(module), arguments, WIDTHS)
    assert str(reading.gene) == gene and not reading.refused and not reading.notes


@pytest.mark.parametrize(
    ("name", "arguments", "channels", "gene", "hidden"),
    [
        ("CoordAtt", [], 256, "coord(reduction=32)", 8),
        ("CoordAtt", [128, 128, 32], 128, "coord(reduction=16)", 8),
        ("CoordAtt", [], 512, "coord(reduction=32)", 16),
        ("CoordAtt", [512, 512, 16], 512, "coord(reduction=16)", 32),
        ("SKAttention", [], 256, "sk(kernel_sizes=[3,5],reduction=8)", 32),
        ("SKAttention", [[3, 5, 7], 16], 128, "sk(kernel_sizes=[3,5,7],reduction=4)", 32),
    ],
)
def test_the_hidden_width_is_the_published_one(name, arguments, channels, gene, hidden):
    """It is max(8, C // 32) in CoordAtt and max(32, C // 16) in SKAttention; the zoo has no such lower limits."""
    entry = registry.get(str(community_names.lookup(name, community_names.parser_names()).module))
    reading = read_arguments(entry, arguments, FeatureMap(channels, 20, (0.5, 1.0, 1024), ""), name)
    assert str(reading.gene) == gene and not reading.refused and not reading.notes
    assert f"hidden width {hidden} of the published code" in reading.said


def test_a_hidden_width_that_no_option_gives_is_noted():
    reading = read_arguments(registry.get("coord"), [], FeatureMap(192, 20, (0.5, 1.0, 1024), ""), "CoordAtt")
    assert str(reading.gene) == "coord(reduction=32)" and not reading.said
    assert "hidden width 6" in reading.notes[0] and "published code has 8, max(8, 192 // 32)" in reading.notes[0]


def test_the_zoos_own_class_has_no_floor():
    place = FeatureMap(256, 20, (0.5, 1.0, 1024), "")
    assert str(read_arguments(registry.get("coord"), [], place, "nas_attn.coord").gene) == "coord(reduction=8)"


@pytest.mark.parametrize(
    ("name", "arguments", "gene"),
    [
        ("ShuffleAttention", [64, 16], "shuffle(groups=8)"),
        ("ShuffleAttention", [64, 16, 4], "shuffle(groups=4)"),
        ("sa_layer", [64, 16], "shuffle(groups=16)"),
        ("GlobalContext", [64], "gc(fusion=mul,ratio=8)"),
        ("ContextBlock", [64], "gc(fusion=add,ratio=16)"),
    ],
)
def test_arguments_are_those_of_the_class_of_that_name(name, arguments, gene):
    entry = registry.get(str(community_names.lookup(name, community_names.parser_names()).module))
    reading = read_arguments(entry, arguments, WIDTHS, name)
    assert str(reading.gene) == gene and not reading.refused


def test_defaults_of_the_collections_that_are_no_option_are_said():
    taken = read_arguments(registry.get("cbam"), [], WIDTHS, "CBAMBlock").taken
    assert "has 49, and adds the input" in taken["kernel_size"] and taken["reduction"] == "16"
    assert "[1,3,5,7]" in read_arguments(registry.get("sk"), [], WIDTHS, "SKAttention").taken["kernel_sizes"]


def test_a_number_of_channels_that_is_wrong_is_noted():
    reading = read_arguments(registry.get("lska"), [192, 23], WIDTHS)
    assert str(reading.gene) == "lska(k_size=23)" and "192 channels, but the map has 64" in reading.notes[0]
    twice = read_arguments(registry.get("acmix"), [192, 192], WIDTHS)
    assert twice.notes == ["says 192 channels, but the map has 64"]
    assert len(read_arguments(registry.get("acmix"), [192, 320], WIDTHS).notes) == 2


@pytest.mark.parametrize(
    ("module", "arguments", "gene", "reason"),
    [
        ("acmix", [256, 256, 5, 6], "acmix(head=4,kernel_att=5)", "`head` must divide"),
        ("lska", [16], "lska(k_size=11)", "`k_size`"),
        ("cbam", [16, 7, 3, 4], "cbam(kernel_size=7,reduction=16)", "CBAM does not take 2 of its arguments"),
        (
            "efficient_attention",
            [64, 8, [4, 4], [3], 1],
            "efficient_attention(group_split=[4,4],window_size=4)",
            "logits",
        ),
    ],
)
def test_arguments_that_cannot_be_are_replaced_by_the_nearest(module, arguments, gene, reason):
    reading = read_arguments(registry.get(module), arguments, WIDTHS)
    assert reason in reading.refused and str(reading.gene) == gene


def test_arguments_beyond_the_settings_stay_as_they_are():
    """A search cannot choose these kernels of the local branches: the network is the article's, not the nearest one."""
    reading = read_arguments(registry.get("efficient_attention"), [256, 8, [4, 4], [5], 4], WIDTHS)
    assert reading.gene is None and reading.raw == ("EfficientAttention", [64, 8, [4, 4], [5], 4])


def test_defaults_are_those_that_the_place_carries():
    entry = registry.get("acmix")
    twenty = FeatureMap(20, 20, (0.5, 0.25, 1024), "")
    assert carried(entry, {}, twenty) == ({"kernel_att": 7, "head": 4, "residual": "none"}, None)
    six = FeatureMap(6, 20, (0.5, 0.25, 1024), "")
    reading = read_arguments(entry, [], six)
    assert str(reading.gene) == "acmix(head=2,kernel_att=7)" and "4 does not fit there" in reading.taken["head"]
    taken = read_arguments(registry.get("efficient_attention"), [], WIDTHS).taken
    assert taken["window_size"] == "4 (published code has 7)"
    with pytest.raises(SlotRefused, match=r"logits.*row 17"):
        read_arguments(registry.get("mhsa"), [], WIDTHS)
