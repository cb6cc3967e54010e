"""Runs with folds: each seed has its own val, all architectures of a seed the same, and test is not touched."""

from __future__ import annotations

import dataclasses

import pytest

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import prepare
from nas_attn.errors import ConfigError
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture
from nas_attn.study.config import StudyConfig
from nas_attn.study.inputs import resolve

SIDES = ((8, 12), (14, 24), (30, 50))
BASE = Architecture.parse("p3=none p4=none p5=none")
FIDELITY = Fidelity(1, 64)


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    prepare()
    from nas_attn.data.check import check_data

    return check_data(write_data(tmp_path_factory.mktemp("data"), {"train": 8, "val": 4, "test": 4}, 64, SIDES))


@pytest.fixture
def evaluator(info, tmp_path):
    return ProxyEvaluator(
        model="yolo11n", width=0.125, data=str(info.path), nc=3, recipe=Recipe(batch=4), cache=str(tmp_path / "cache"),
        test=True, folds=3,
    )  # fmt: skip


def images(evaluator, info, seed, fraction=1.0):
    job = evaluator.job(info, "x", Fidelity(1, 64, fraction), seed, None)
    return {s: {job.stores[s].files[i] for i in job.chosen.get(s, range(len(job.stores[s])))} for s in job.stores}


def test_seeds_have_their_own_val_and_test_stays(evaluator, info):
    rounds = [images(evaluator, info, seed) for seed in range(3)]
    every = {*info.files["train"], *info.files["val"]}
    assert set.union(*(r["val"] for r in rounds)) == every and sum(len(r["val"]) for r in rounds) == 12
    assert all(r["train"] == every - r["val"] and r["test"] == set(info.files["test"]) for r in rounds)
    few = images(evaluator, info, 0, fraction=0.5)
    assert few["val"] == rounds[0]["val"] and few["train"] < rounds[0]["train"] and len(few["train"]) == 4
    plain = dataclasses.replace(evaluator, folds=None)
    assert images(plain, info, 1)["val"] == set(info.files["val"])


def test_a_run_is_trained_and_scored_on_its_fold(evaluator, info, monkeypatch):
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    seen: dict[str, list[set[str]]] = {"train": [], "val": []}
    original = ProxyTrainer._loader

    def noted(self, split, batch, *, augment):
        loader = original(self, split, batch, augment=augment)
        seen.setdefault(split, []).append(set(loader.dataset.im_files))
        return loader

    monkeypatch.setattr(ProxyTrainer, "_loader", noted)
    other = Architecture.parse("p3=conv p4=none p5=none")
    found = [evaluator(a, FIDELITY, 1) for a in (BASE, other)]
    wanted = images(evaluator, info, 1)
    assert seen["train"] == [wanted["train"]] * 2 and seen["val"] == [wanted["val"]] * 2
    assert seen["test"] == [set(info.files["test"])] * 2
    assert all(f.recipe["folds"] == 3 for f in found)
    assert "folds" not in dataclasses.replace(evaluator, folds=None)(BASE, FIDELITY, 1).recipe


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 5}, "a fold must have at least as many images as there are classes"),
        ({"folds": 2, "fold_groups": "(nothing)"}, "`fold_groups` must be a regular expression"),
        ({"folds": 1}, "folds"),
        ({"fold_groups": "(a)"}, "`fold_groups` needs `folds`"),
    ],
)
def test_wrong_folds_are_told_before_anything_is_trained(info, given, said):
    with pytest.raises(ConfigError, match="(?s)" + said):
        resolve(StudyConfig.of({"name": "s", "data": str(info.path), "imgsz": 64, **given}), lambda _: None)
