"""Files that are edited during a Python session: the next evaluation uses their new content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from nas_attn.data.image_lists import SPLITS, stamp
from nas_attn.detector.model.base_model import load_base
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture

ONE = Fidelity(1, 64)


@pytest.fixture
def data(tmp_path, tiny_data):
    shutil.copytree(tiny_data.parent, tmp_path / "data")
    return tmp_path / "data" / tiny_data.name


def later(path: Path, text: str) -> None:
    """Edit a file and set a later time, because a coarse clock could give both versions the same time."""
    now = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(now + 10**9, now + 10**9))


def test_an_edited_model_is_read_again(tmp_path):
    path = tmp_path / "mine.yaml"
    content = dict(load_base("yolo11n", nc=3, width=0.125).yaml)
    path.write_text(yaml.safe_dump(content))
    evaluator = ProxyEvaluator(model=str(path), data="none", nc=3)
    before = {s.name: s.channels for s in evaluator.slots(64)}
    assert evaluator.slots(64) is evaluator.slots(64)
    later(path, yaml.safe_dump({**content, "scales": {"n": [0.5, 0.25, 1024]}}))
    after = {s.name: s.channels for s in evaluator.slots(64)}
    assert after["p3"] == 2 * before["p3"]


def test_edited_labels_are_read_again(data, tmp_path, monkeypatch):
    """The test goes through an evaluation, up to the job that is trained."""
    seen = []

    class StoppedError(Exception):
        pass

    def train(model, job, folder):
        seen.append(job)
        raise StoppedError

    monkeypatch.setattr("nas_attn.detector.proxy.training.train", train)
    evaluator = ProxyEvaluator(model="yolo11n", width=0.125, data=str(data), nc=3, cache=str(tmp_path / "cache"))

    def job():
        with pytest.raises(StoppedError):
            evaluator(Architecture.none(["p3"]), ONE, 0)
        return seen[-1]

    first, again = job(), job()
    assert again.info is first.info and all(again.stores[s] is first.stores[s] for s in first.stores)
    label = next((data.parent / "labels" / "train").glob("*.txt"))
    later(label, "".join(f"0 0.5 0.5 0.25 0.{i}\n" for i in range(1, 8)))
    edited = job()
    index = [Path(f).stem for f in edited.stores["train"].files].index(label.stem)
    assert len(edited.stores["train"].boxes[index]) == 7 != len(first.stores["train"].boxes[index])
    assert edited.info.boxes["train"] != first.info.boxes["train"] and edited.info.fingerprint != first.info.fingerprint


def test_what_a_stamp_follows(data):
    stamps = [stamp(data)]
    assert stamp(data) == stamps[0]
    (image,) = list((data.parent / "images" / "val").iterdir())[:1]
    later(data, data.read_text() + "\n# a word\n")
    stamps.append(stamp(data))
    shutil.copy(image, image.with_stem("another"))
    stamps.append(stamp(data))
    later(data.parent / "labels" / "val" / f"{image.stem}.txt", "")
    stamps.append(stamp(data))
    (data.parent / "labels" / "val" / f"{image.stem}.txt").unlink()
    stamps.append(stamp(data))
    (data.parent / "some.txt").write_text(f"{image}\n")
    later(data, yaml.safe_dump({**yaml.safe_load(data.read_text()), "val": "some.txt"}))
    stamps.append(stamp(data))
    later(data.parent / "some.txt", f"{image}\n{image.with_stem('another')}\n")
    stamps.append(stamp(data))
    assert len(set(stamps)) == len(stamps) and set(SPLITS) >= {"train", "val"}
