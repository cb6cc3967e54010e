"""Tables on a terminal: one gene per line, with many slots only the filled ones; and the note below the front."""

from __future__ import annotations

import pytest
from fabricated_studies import fabricate

from nas_attn.analysis.tables import PAIRED, PAIRED_MEANS, genes
from nas_attn.api import load_study
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


def test_the_note_below_the_front_explains_paired_map(tmp_path):
    study = load_study(str(fabricate(tmp_path / "x", 12).folder))
    assert PAIRED in study.front().table.columns
    assert study.front().note.startswith(PAIRED_MEANS)
