"""Architectures on a terminal: one gene per line, and with many slots only the filled ones."""

from __future__ import annotations

import pytest

from nas_attn.analysis.tables import genes
from nas_attn.space import Architecture


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("p3=none p4=acmix(head=4,kernel_att=7)", ["p3=none", "p4=acmix(head=4,kernel_att=7)"]),
        ("inner.p3.insert=se td.p4=none", ["inner.p3.insert=se", "td.p4=none"]),
        ("p3=none p4=none p5=lska lateral.p3=none sppf.pre=se", ["p5=lska", "sppf.pre=se"]),
        ("p3=none p4=none p5=none td.p4=none sppf.pre=none", ["none in all 5 slots"]),
    ],
)
def test_genes_in_writing(text, wanted):
    found = genes(text)
    assert found == wanted
    if "none in" not in found[0]:
        short = Architecture.parse(" ".join(found))
        filled = {slot: gene for slot, gene in Architecture.parse(text) if gene.module != "none"}
        assert {slot: gene for slot, gene in short if gene.module != "none"} == filled
