"""Slots and the search space: kept, collapsed and refused genes, and reports of mistakes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import nas_attn
from nas_attn.errors import ConfigError, SlotRefused, UnknownName
from nas_attn.space import NONE, Architecture, Gene, SearchSpace, Slot

P3, P4, P5 = Slot("p3", 16, 64, 8), Slot("p4", 19, 128, 16), Slot("p5", 22, 256, 32)
ALL = ("none", "conv", "acmix", "lka", "lska", "lka_trivial", "lska_trivial", "efficient_attention")
SMALL = {"none": None, "lska": {"k_size": [7, 23, 35], "residual": ["none"]}, "acmix": {"kernel_att": [3], "head": [4]}}


def build(modules=None, slots=(P3, P4, P5), imgsz=160, **kwargs):
    modules = dict.fromkeys(ALL) if modules is None else modules
    return SearchSpace.build("yolo11n", slots, modules, imgsz=imgsz, **kwargs)


def test_map_size_rounds_up():
    assert [P5.map_size(n) for n in (1, 32, 33, 640)] == [1, 1, 2, 20]


def test_everything_is_kept_collapsed_or_refused():
    from nas_attn.attention import entries, names

    space = build(dict.fromkeys(names()), imgsz=64, final_imgsz=1280)
    genes = {Gene.of(e.name, s) for e in entries() for s in e.combinations()}
    for s in space.slots:
        assert s.genes[0] == NONE and len(set(s.genes)) == len(s.genes)
        parts = [set(s.genes), set(s.aliases), set(s.refused)]
        assert set.union(*parts) == genes and sum(map(len, parts)) == len(genes)
        assert set(s.aliases.values()) <= set(s.genes)
        assert all(a.module == k.module for a, k in s.aliases.items())
        assert all(len(reason) > 20 for reason in s.refused.values())


def test_settings_that_coincide_on_the_proxy_map_are_collapsed():
    space = build(SMALL, slots=(P5,), imgsz=256)  # an 8×8 map
    gene = Gene.parse
    assert space["p5"].aliases == {gene("lska(k_size=35)"): gene("lska(k_size=23)")}
    assert gene("lska(k_size=7)") in space["p5"].genes
    assert build(SMALL, slots=(P5,), imgsz=640)["p5"].aliases == {}
    asked = Architecture.of({"p5": gene("lska(k_size=35)")})
    assert not space.contains(asked)
    assert str(space.canonical(asked)) == "p5=lska(k_size=23)" and space.contains(space.canonical(asked))


def test_rank_decides_which_alias_stays_and_sees_no_refused_gene():
    ranked = []

    def rank(slot, gene):
        ranked.append(gene)
        return -gene.as_dict().get("k_size", 0)

    modules = {"lska": {"k_size": [23, 35]}, "conv": {"groups": [64]}}
    space = build(modules, slots=(Slot("p5", 1, 32, 32),), imgsz=256, rank=rank)
    assert {str(a): str(k) for a, k in space["p5"].aliases.items()} == {
        "lska(k_size=23)": "lska(k_size=35)",
        "lska(k_size=23,residual=scaled)": "lska(k_size=35,residual=scaled)",
    }
    assert {str(g) for g in space["p5"].refused} == {"conv(groups=64)", "conv(groups=64,residual=scaled)"}
    assert not set(ranked) & set(space["p5"].refused)


def test_refusals_look_at_the_final_map_too():
    modules = {"efficient_attention": {"group_split": [[0, 8]], "window_size": [1, 8], "residual": ["none"]}}
    assert build(modules, slots=(P3,), imgsz=160)["p3"].refused == {}
    refused = build(modules, slots=(P3,), imgsz=160, final_imgsz=640)["p3"].refused
    ((gene, reason),) = refused.items()
    assert str(gene) == "efficient_attention(group_split=[0,8],window_size=1)"
    assert "327,680,000 attention logits per image on a 80x80 map" in reason


def test_refused_genes_are_refused_with_their_reason():
    space = build({"acmix": None}, slots=(Slot("p3", 1, 12, 8),))
    with pytest.raises(SlotRefused, match=r"cannot be used at p3: `head` must divide the channels, but got 8 and 12"):
        space.canonical(Architecture.parse("p3=acmix(head=8,kernel_att=3)"))


def test_canonical_fills_slots_and_writes_as_the_space_does():
    space = build(SMALL)
    assert str(space.canonical(Architecture.parse("p4=lska(k_size=7.0)"))) == "p3=none p4=lska(k_size=7) p5=none"
    assert space.canonical(space.base_architecture()) == space.base_architecture()


def test_unknown_names_in_an_architecture_say_what_was_meant():
    space = build(SMALL)
    with pytest.raises(UnknownName, match=r"slot must be a known one, but got 'p33'. Did you mean 'p3'\?"):
        space.canonical(Architecture.parse("p33=none"))
    with pytest.raises(UnknownName, match=r"module at p3 .* got 'lsk'. Did you mean 'lska'\?"):
        space.canonical(Architecture.parse("p3=lsk(k_size=7)"))
    with pytest.raises(SlotRefused, match=r"got `lska\(k_size=11\)`. Offered for lska: k_size: 7, 23, 35; res"):
        space.canonical(Architecture.parse("p3=lska(k_size=11)"))
    with pytest.raises(UnknownName, match="p9"):
        space["p9"]
    with pytest.raises(UnknownName, match="p9"):
        space.restrict(["p3", "p9"])


def test_all_mistakes_of_a_configuration_are_reported_together():
    modules = {
        "acmx": None,
        "acmix": {"heads": [4, 8], "kernel_att": [3, 4, 6]},
        "lska": {"k_size": 7},
        "lka": ["k_size"],
        "conv": {"residual": "scaled", "groups": []},
        "efficient_attention": {"group_split": [[4, 4], [3, 5]]},
    }
    with pytest.raises(ConfigError) as caught:
        build(modules, where="space.yaml")
    expected = [
        "Did you mean 'acmix'?",
        "Did you mean 'head'?",
        "`acmix.kernel_att` must be one of 3, 5, 7, 9, but got 4",
        "`acmix.kernel_att` must be one of 3, 5, 7, 9, but got 6",
        "`lska.k_size` must be a list of options, but got 7",
        "`lka` must map settings to lists of options",
        "`conv.residual` must be a list of options, but got scaled",
        "`conv.groups` must be a list of options, but got []",
        "but got [3, 5]",
    ]
    assert len(caught.value.problems) == len(expected)
    for problem, text in zip(caught.value.problems, expected, strict=True):
        assert text in str(problem) and "space.yaml" in str(problem)


def test_options_cover_kept_and_collapsed_genes():
    options = build(SMALL, slots=(P5,), imgsz=256)["p5"].options()
    assert options == {
        "none": {},
        "lska": {"k_size": (7, 23, 35), "residual": ("none",)},
        "acmix": {"head": (4,), "kernel_att": (3,), "residual": ("none", "scaled")},
    }


def test_restrict_leaves_none_at_dead_slots():
    space = build(SMALL)
    live = space.restrict(["p4"])
    assert live.size == len(space["p4"].genes)
    assert live["p3"].genes == live["p5"].genes == (NONE,) and live["p4"] == space["p4"]
    assert live.names == space.names and live.base_architecture() == space.base_architecture()


@pytest.mark.parametrize("residual", ["none", "scaled"])
def test_one_residual_only(residual):
    space = build(imgsz=256).with_residual(residual)
    for s in space.slots:
        assert s.genes[0] == NONE and len(s.genes) > 1
        for gene in (*s.genes[1:], *s.aliases, *s.aliases.values(), *s.refused):
            assert gene.as_dict().get("residual", "none") == residual


def test_slots_stand_in_natural_order():
    slots = (Slot("p10", 9, 64, 8), P5, P3)
    assert build(SMALL, slots).names == ("p3", "p5", "p10")
    assert build(SMALL, slots) == build(SMALL, slots[::-1])


def variations():
    yield "base", SearchSpace.build("yolo11s", (P3, P4, P5), SMALL, imgsz=160)
    yield "image size", build(SMALL, imgsz=192)
    yield "a slot less", build(SMALL, slots=(P3, P4))
    yield "channels", build(SMALL, slots=(P3, P4, Slot("p5", 22, 128, 32)))
    yield "stride", build(SMALL, slots=(P3, P4, Slot("p5", 22, 256, 16)))
    yield "row", build(SMALL, slots=(P3, P4, Slot("p5", 23, 256, 32)))
    yield "module", build({"none": None, "lska": SMALL["lska"]})
    yield "option", build({**SMALL, "lska": {"k_size": [7, 23], "residual": ["none"]}})
    yield "residual", build(SMALL).with_residual("scaled")
    yield "live slots", build(SMALL).restrict(["p3"])
    yield "refused", build({**SMALL, "conv": {"groups": [16]}}, slots=(Slot("p3", 16, 8, 8), P4, P5))


@pytest.mark.parametrize(("what", "other"), [pytest.param(w, s, id=w) for w, s in variations()])
def test_fingerprint_changes_with(what, other):
    assert other != build(SMALL) and other.fingerprint() != build(SMALL).fingerprint()


def test_fingerprint_changes_with_collapsed_options():
    """The genes are the same, but a sampler gets other values to choose from."""
    wide, narrow = ({"lska": {"k_size": k}} for k in ([23, 35], [23]))
    a, b = (build(m, slots=(P5,), imgsz=256) for m in (wide, narrow))
    assert a["p5"].genes == b["p5"].genes and a.fingerprint() != b.fingerprint()


def test_fingerprint_is_the_same_in_another_process():
    code = (
        "from nas_attn.space import SearchSpace, Slot\n"
        "slots = (Slot('p5', 22, 256, 32), Slot('p3', 16, 64, 8))\n"
        "modules = {'none': None, 'lska': None, 'acmix': {'head': [4, 8]}}\n"
        "print(SearchSpace.build('b', slots, modules, imgsz=256).fingerprint())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**_environment(), "PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        for seed in ("1", "2")
    ]
    modules = {"none": None, "lska": None, "acmix": {"head": [4, 8]}}
    here = SearchSpace.build("b", (P3, P5), modules, imgsz=256)
    assert [r.stdout.strip() for r in runs] == [here.fingerprint()] * 2, runs[0].stderr
    assert len(here.fingerprint()) == 16 and int(here.fingerprint(), 16) >= 0


def test_travels_to_a_worker():
    space = build(SMALL)
    again = pickle.loads(pickle.dumps(space))
    assert again == space and again.fingerprint() == space.fingerprint()
    assert again.contains(space.base_architecture())


def _environment():
    return {**os.environ, "PYTHONPATH": str(Path(nas_attn.__file__).parents[1])}
