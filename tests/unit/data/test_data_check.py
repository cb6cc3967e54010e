"""The check of a data set before a training: it reports all mistakes at once and writes nothing next to the data."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from nas_attn.data.check import check_data
from nas_attn.data.demo import write_data
from nas_attn.data.labels import check_label, read_label
from nas_attn.errors import ConfigError, DataError

SIDES = ((8, 12), (14, 24), (30, 50))


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path, {"train": 4, "val": 2, "test": 2}, 64, SIDES)


def rules(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_data(path)
    assert all(isinstance(p, DataError) for p in caught.value.problems)
    assert caught.value.exit_code == 2
    return [str(p) for p in caught.value.problems]


def label(data: Path, split: str = "train", index: int = 0) -> Path:
    return data.parent / "labels" / split / f"{index:04d}.txt"


def test_counts_what_is_there(data):
    info = check_data(data)
    assert (info.nc, info.names) == (3, ("disc", "square", "triangle"))
    assert (info.train, info.val, info.test) == (4, 2, 2)
    lines = sum(len(f.read_text().splitlines()) for f in (data.parent / "labels" / "train").iterdir())
    assert info.boxes["train"] == lines > 0


def test_writes_nothing(data):
    before = sorted(data.parent.rglob("*"))
    check_data(data)
    assert sorted(data.parent.rglob("*")) == before


def test_fingerprint_follows_yaml_labels_and_images(data):
    prints = [check_data(data).fingerprint, check_data(data).fingerprint]
    data.write_text(data.read_text() + "# a note\n")
    prints.append(check_data(data).fingerprint)
    label(data).write_text("0 0.5 0.5 0.25 0.25\n")
    prints.append(check_data(data).fingerprint)
    (data.parent / "images" / "val" / "0000.png").write_bytes(b"another image")
    prints.append(check_data(data).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_a_missing_yaml(tmp_path):
    (message,) = rules(tmp_path / "no.yaml")
    assert "no.yaml" in message and "existing data.yaml" in message


@pytest.mark.parametrize("text", ["train: [", "- a\n- b\n", ""])
def test_a_yaml_that_is_none(tmp_path, text):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    (message,) = rules(path)
    assert str(path) in message


def test_missing_folders_are_all_named(data):
    data.write_text(data.read_text().replace("images/train", "nowhere").replace("images/val", "neither"))
    text = "\n".join(rules(data))
    assert "nowhere" in text and "neither" in text


def test_missing_splits(data):
    data.write_text("names: [a, b, c]\n")
    assert [m for m in rules(data) if "`train`" in m] and [m for m in rules(data) if "`val`" in m]


def test_no_images(data):
    for image in (data.parent / "images" / "train").iterdir():
        image.unlink()
    assert any("at least one image" in m and "train" in m for m in rules(data))


def test_no_labels_at_all(data):
    for file in (data.parent / "labels" / "val").iterdir():
        file.unlink()
    (message,) = rules(data)
    assert "val images must have labels" in message and str(Path("labels") / "val") in message


def test_an_image_without_labels_is_background(data):
    label(data).unlink()
    assert check_data(data).train == 4


def test_names_and_nc_disagree(data):
    data.write_text(data.read_text() + "nc: 5\n")
    (message,) = rules(data)
    assert "nc 5, 3 names" in message


def test_no_classes(data):
    data.write_text("train: images/train\nval: images/val\n")
    assert any("name its classes" in m for m in rules(data))


def with_names(data: Path, names: str) -> Path:
    content = yaml.safe_load(data.read_text())
    del content["names"]
    data.write_text(yaml.safe_dump(content) + f"names: {names}\n")
    return data


def test_names_follow_their_keys(data):
    assert check_data(with_names(data, "{2: C, 0: A, 1: B}")).names == ("A", "B", "C")
    assert check_data(with_names(data, "[1, 2.5, x]")).names == ("1", "2.5", "x")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("{0: a, x: b, 2: c}", "keys 0 to nc-1"),
        ("{null: a, 1: b, 2: c}", "keys 0 to nc-1"),
        ("{1: a, 2: b, 3: c}", "keys 0 to nc-1"),
        ("{'0': a, '1': b, '2': c}", "keys 0 to nc-1"),
        ("{false: a, true: b, 2: c}", "keys 0 to nc-1"),
        ("[a, null, c]", "each entry of `names` must be a name"),
        ("[a, [b], c]", "each entry of `names` must be a name"),
        ("{0: a, 1: {b: c}, 2: d}", "each entry of `names` must be a name"),
        ("5", "`names` must be a list or a mapping"),
        ("2020-01-01", "`names` must be a list or a mapping"),
        ("null", "must name its classes"),
        ("[]\nnc: 3", "nc 3, 0 names"),
    ],
)
def test_names_that_are_none(data, names, words):
    said = rules(with_names(data, names))
    assert any(words in m for m in said), said


@pytest.mark.parametrize("key", ["path", "train", "val"])
@pytest.mark.parametrize("value", ["one.png", "latin.txt", "x" * 5000, "a\0b", "5", 5, {"a": "b"}, [["x"]], [None]])
def test_places_that_are_none(data, key, value):
    shutil.copy(data.parent / "images" / "train" / "0000.png", data.parent / "one.png")
    (data.parent / "latin.txt").write_bytes(b"images/train/\xe9t\xe9.png\n")
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**content, key: value}))
    said = rules(data)
    assert any(f"`{key}`" in m or "image folder must exist" in m for m in said), said


def test_listed_images_that_cannot_be(data):
    (data.parent / "list.txt").write_text(f"./{'x' * 5000}.png\n./a\0b.png\n")
    data.write_text(data.read_text().replace("train: images/train", "train: list.txt"))
    assert any("a listed image must exist" in m for m in rules(data))


@pytest.mark.parametrize("place", ["x" * 5000, "a\0b", "."])
def test_a_path_that_no_yaml_can_have(place, tmp_path):
    (message,) = rules(tmp_path / place)
    assert "existing data.yaml" in message


def test_a_test_split_that_is_of_no_use_is_left_out_and_said(data):
    whole = check_data(data)
    assert whole.notes == ()
    for file in (data.parent / "labels" / "test").iterdir():
        file.unlink()
    found = [check_data(data)]
    for image in (data.parent / "images" / "test").iterdir():
        image.unlink()
    found.append(check_data(data))
    data.write_text(data.read_text().replace("images/test", "nowhere"))
    found.append(check_data(data))
    for info, words in zip(found, ("labels", "at least one image", "nowhere"), strict=True):
        assert info.test == 0 and "test" not in info.files and "test" not in info.boxes
        (note,) = info.notes
        assert "`test` is left out" in note and words in note
    assert found[0].fingerprint == found[1].fingerprint != whole.fingerprint


def test_mistakes_in_the_test_labels_are_mistakes(data):
    label(data, "test").write_text("9 .5 .5 .2 .2\n")
    assert any("the test labels" in m for m in rules(data))


def test_a_class_number_too_large_is_located(data):
    label(data, "val", 1).write_text("0 .5 .5 .2 .2\n3 .5 .5 .2 .2\n")
    (message,) = rules(data)
    assert "0 to 2" in message and f"{label(data, 'val', 1)}:2" in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 .5 .5 .2", "4 values"),
        ("cat .5 .5 .2 .2", "numbers only"),
        ("0 320 240 20 20", "in [0, 1]"),
        ("0.5 .5 .5 .2 .2", "whole number"),
        ("-1 .5 .5 .2 .2", "whole number"),
        ("0 .5 .5 -.2 .2", "in [0, 1]"),
        ("0 .5 .5 nan .2", "in [0, 1]"),
        ("0 .1 .1 .2 .1 .2 nan", "in [0, 1]"),
    ],
)
def test_malformed_lines(data, line, words):
    label(data).write_text(line + "\n")
    (message,) = rules(data)
    assert words in message


def test_all_problems_at_once(data):
    data.write_text(data.read_text().replace("images/val", "nowhere") + "nc: 7\n")
    label(data, "train", 0).write_text("9 .5 .5 .2 .2\n")
    label(data, "test", 0).write_text("zero .5 .5 .2 .2\n")
    assert len(rules(data)) == 4


def test_many_faults_become_one_problem(data):
    for index in range(4):
        label(data, "train", index).write_text("8 .5 .5 .2 .2\n" * 5)
    (message,) = rules(data)
    assert "and 17 more" in message


def test_folders_relative_to_the_yaml_or_to_path(data, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    here = check_data(data)
    moved = Path.cwd() / "data.yaml"
    moved.write_text(f"path: {data.parent}\n" + data.read_text())
    assert check_data(moved).files == here.files


def test_image_lists(data):
    images = sorted((data.parent / "images" / "train").iterdir())
    (data.parent / "list.txt").write_text(f"./images/train/{images[0].name}\n{images[1]}\n")
    data.write_text(data.read_text().replace("train: images/train", "train: list.txt"))
    assert check_data(data).files["train"] == tuple(map(str, images[:2]))


def test_polygons_become_boxes():
    classes, boxes, *_ = read_label("1 .1 .2 .5 .2 .5 .6\n")
    assert classes.tolist() == [[1]]
    np.testing.assert_allclose(boxes, [[0.3, 0.4, 0.4, 0.4]], atol=1e-6)


def test_boxes_and_polygons_do_not_mix():
    assert [rule for rule, _, _ in check_label("0 .5 .5 .2 .2\n0 .1 .1 .2 .1 .2 .2\n", 1)] == [
        "a label file must hold boxes or polygons, not both"
    ]


@pytest.fixture
def own(tmp_path):
    """A folder with 12 labelled images for train and 4 for val, and its data.yaml."""
    file = write_data(tmp_path / "own", {"train": 12, "val": 4}, 64, ((8, 12), (14, 24), (30, 50)))
    return file


def test_one_sentence_on_the_data(own):
    root = own.parent
    first = next((root / "labels" / "train").glob("*.txt"))
    first.write_text("", encoding="utf-8")
    (root / "images" / "train" / "a.gif").touch()
    (root / "images" / "train" / "b.GIF").touch()
    (root / "images" / "val" / "notes.txt").touch()
    said = check_data(own).sentence()
    assert re.match(r"train 12 images, \d+ boxes, 1 without boxes; val 4 images, \d+ boxes; 3 classes\. ", said), said
    assert "classes with fewer than 10 boxes: " in said and "val: disc (" in said
    assert said.endswith("no images for Ultralytics, left out: 2 .gif")
    assert not check_data(own).notes


@pytest.mark.parametrize("cell", ["\u00b2", "9" * 400, "9" * 5000, "1e999", "nan", "."])
def test_a_class_that_is_no_number_is_a_mistake_of_the_labels(own, cell):
    first = next((own.parent / "labels" / "train").glob("*.txt"))
    first.write_text(f"{cell} 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        check_data(own)


def test_most_images_without_a_label_file_are_said(own):
    for file in sorted((own.parent / "labels" / "train").glob("*.txt"))[1:]:
        file.unlink()
    found = check_data(own)
    assert found.empty["train"] == 11 and "11 of 12 train images have no label file" in found.notes[0]


@pytest.mark.parametrize(("path", "train", "said"), [
    (None, "images/nowhere", "relative to the folder of data.yaml"),
    ("{root}", "images/nowhere", "relative to `path`, which is '"),
    ("some/where", "images/train", "is looked for in the working directory, then in "),
    ("some/where", "images/train", "leave `path` out"),
    (None, r"C:\data\images\train", "This is a path of Windows"),
    (r"D:\data", "images/train", "This is a path of Windows"),
])  # fmt: skip
def test_the_way_to_an_image_folder_is_explained_as_it_is(own, path, train, said):
    spec = yaml.safe_load(own.read_text(encoding="utf-8"))
    spec |= {"train": train} | ({} if path is None else {"path": path.format(root=own.parent)})
    if path is None:
        spec.pop("path", None)
    own.write_text(yaml.safe_dump(spec), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check_data(own)
    assert said in str(caught.value) or (os.name == "nt" and "Windows" in said)
