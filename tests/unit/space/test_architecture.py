"""Genes and architectures as values."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from nas_attn.errors import GrammarError
from nas_attn.space import NONE, Architecture, Gene

TEXT = "p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=lska(k_size=23)"


def test_reads_and_writes_the_documented_example():
    a = Architecture.parse(TEXT)
    assert str(a) == TEXT
    assert a["p3"].as_dict() == {"head": 4, "kernel_att": 7, "residual": "scaled"}
    assert a["p4"] == NONE and a["p5"] == Gene("lska", (("k_size", 23),))
    assert a.slots == ("p3", "p4", "p5") and dict(a)["p5"].module == "lska"


def test_is_canonical():
    loose = "p5=lska( k_size = 23 )   p3=acmix(residual=scaled,kernel_att=7,head=4)\n p4=none"
    assert Architecture.parse(loose) == Architecture.parse(TEXT)
    assert Gene.of("lska", {"k_size": 7, "residual": "none"}) == Gene.of("lska", {"k_size": 7})
    assert Gene.of("e", {"s": [4, 4]}) == Gene.of("e", {"s": (4, 4)}) == Gene.parse("e(s=[4, 4])")
    assert str(Gene.of("e", {"s": [2, 2, 4]})) == "e(s=[2,2,4])"
    assert str(Gene.of("lska")) == "lska" and Gene.parse("lska()") == Gene("lska")
    assert str(Architecture.none(["p10", "p4", "p3"])) == "p3=none p4=none p10=none"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-2", -2), ("0.5", 0.5), ("1e-3", 0.001), ("nan", "nan"), ("inf", "inf"), ("1_0", None), ("[]", ()),
     ("[3]", (3,)), ("[1,2.5]", (1, 2.5)), ("word-1.x", "word-1.x"), ("True", "True")],
)  # fmt: skip
def test_values(text, value):
    if value is None:
        with pytest.raises(GrammarError, match="number, a word"):
            Gene.parse(f"m(v={text})")
        return
    found = Gene.parse(f"m(v={text})").as_dict()["v"]
    assert found == value and type(found) is type(value)


def test_is_a_value():
    a = Architecture.parse(TEXT)
    assert {a: 1}[Architecture.parse(TEXT)] == 1
    assert pickle.loads(pickle.dumps(a)) == a
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.genes = ()
    settings = a["p3"].as_dict()
    settings["head"] = 8
    assert a["p3"].as_dict()["head"] == 4
    with pytest.raises(KeyError):
        a["p6"]


def test_change_of_one_gene():
    a = Architecture.none(["p3", "p4"])
    b = a.with_gene("p4", Gene.parse("lska(k_size=7)"))
    assert a.is_base and not b.is_base
    assert str(a) == "p3=none p4=none" and str(b) == "p3=none p4=lska(k_size=7)"
    assert b.with_gene("p4", NONE) == a
