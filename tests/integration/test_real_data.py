"""Real blood cells (BCCD at 320 px), if they lie next to the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_attn.data.check import check_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture

BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd_320"


@pytest.fixture(scope="module")
def bccd() -> Path:
    if not BCCD.is_dir():
        pytest.skip("missing part: the shared data, ../shared/data/bccd_320 beside the checkout")
    return BCCD / "data.yaml"


def test_counts_are_those_of_its_publication(bccd):
    """Images and boxes equal the lists of the repository (the copy has no malformed boxes: two were left out)."""
    info = check_data(bccd)
    assert (info.train, info.val, info.test) == (205, 87, 72)
    assert info.boxes == {"train": 2804, "val": 1137, "test": 945}
    assert info.names == ("RBC", "WBC", "Platelets")


def test_a_proxy_trains_on_it_and_writes_nothing_beside_it(bccd, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in BCCD.rglob("*")}
    evaluator = ProxyEvaluator(
        model="yolo11n", width=0.125, data=str(bccd), nc=3, recipe=Recipe(batch=8), cache=str(tmp_path), test=True
    )
    found = evaluator(Architecture.parse("p3=lska p4=none p5=none"), Fidelity(1, 64, fraction=0.1), 0)
    assert found.comparable and 0 <= found.map50_95 <= 1 and found.test_map50_95 is not None
    assert {p: p.stat().st_mtime_ns for p in BCCD.rglob("*")} == before
