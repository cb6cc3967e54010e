"""Every shipped study: it is valid, and runs on a few images in the layout of its data set."""

from __future__ import annotations

import os

import pytest
import small_data_sets

from nas_attn.api import load_study, run_search
from nas_attn.data.check import check_data
from nas_attn.data.named_sets import packaged_data
from nas_attn.engine import InlineEngine
from nas_attn.space import Architecture
from nas_attn.study import shipped
from nas_attn.study.config_sources import load_config
from nas_attn.study.inputs import resolve

STUDIES = shipped.names("studies")
OWN_DATA = ["bccd"]  # studies whose data the user must provide


@pytest.fixture(scope="module", autouse=True)
def datasets(tmp_path_factory):
    """The folder of data sets, with a small substitute for each set that a study names."""
    folder = tmp_path_factory.mktemp("datasets")
    for name in small_data_sets.MAKERS:
        small_data_sets.stand_in(name, folder)
    before = os.environ["YOLO_CONFIG_DIR"]
    os.environ["YOLO_CONFIG_DIR"] = str(small_data_sets.settings_in(tmp_path_factory.mktemp("config"), folder))
    yield folder
    os.environ["YOLO_CONFIG_DIR"] = before


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The options that a study needs: `--data` if it names no data."""
    data = small_data_sets.bccd(tmp_path_factory.mktemp("bccd"))
    return lambda name: {"data": str(data)} if name in OWN_DATA else {}


@pytest.mark.parametrize("name", STUDIES)
def test_it_says_what_data_it_is_for(name):
    content = shipped.load("studies", name)
    data = content.get("data")
    assert content.get("demo") or name in OWN_DATA or data in packaged_data()
    assert data in (None, *small_data_sets.MAKERS), "a study on other data needs a stand-in of its layout here"


@pytest.mark.parametrize("name", STUDIES)
def test_all_that_it_names_is_there(name, own, tmp_path):
    """This includes settings, data, base model, slots, search space and the architectures of its ablation."""
    config = load_config(name, own(name))
    found = resolve(config, lambda text: None)
    assert found.space.size > 1 and found.base.nc == found.data.nc and found.base.build() is not None
    if config.ablation:
        for text in filter(None, (config.ablation.base, *config.ablation.arms)):
            architecture = Architecture.parse(text)
            filled = {slot: gene for slot, gene in architecture if gene.module != "none"}
            assert filled and filled.keys() <= {s.name for s in found.slots}
            assert all(gene in found.space[slot].genes for slot, gene in filled.items())


@pytest.mark.parametrize("name", STUDIES)
def test_two_trials(name, own, tmp_path, monkeypatch):
    """The trials run in this process, because a worker takes longer to start than a training on eight images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nas_attn.study.plan.LocalEngine", lambda *_, **__: InlineEngine())
    small = {"fraction": 0.05} if name == "demo" else {"width": 0.125}
    small |= {} if shipped.load("studies", name).get("slots") else {"slots": ["p4"]}  # counting cost takes longest
    options = {"trials": 2, "epochs": 1, "imgsz": 64, "final_imgsz": 320, "control_seeds": 1, "dead_slots": "keep"}
    view = run_search(name, runs=tmp_path / "runs", device="cpu", jobs=1, **options, **small, **own(name))
    assert [(t.state, t.role) for t in view.trials] == [("complete", "base"), ("complete", "conv")]
    assert load_study(tmp_path / "runs" / name).frame().shape[0] == 2


def test_what_these_sets_are_like(datasets):
    found = {name: check_data(name) for name in small_data_sets.MAKERS}
    coco, voc, drones = (found[name] for name in ("coco.yaml", "VOC.yaml", "VisDrone.yaml"))
    assert (coco.train, coco.val, coco.test, coco.nc) == (8, 8, 0, 80)
    assert any("`test` is left out" in note and "a listed image must exist" in note for note in coco.notes)
    assert (voc.train, voc.val, voc.test, voc.nc) == (12, 3, 0, 20)
    assert any("has the same images as val" in note for note in voc.notes)
    assert (drones.train, drones.val, drones.test, drones.nc) == (8, 8, 8, 10) and not drones.notes
    assert any("8 of 8 val images are also training images" in note for note in found["coco128.yaml"].notes)
