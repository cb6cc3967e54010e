"""Downloads of data sets that Ultralytics knows by name: complete or not at all, and no foreign program runs."""

from __future__ import annotations

import os
import threading
import time
import zipfile
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

import data_archives
import pytest
import small_data_sets
import yaml
from filelock import FileLock

from nas_attn import environment
from nas_attn.data import download, named_sets
from nas_attn.data.check import check_data
from nas_attn.data.image_lists import load
from nas_attn.errors import ConfigError, DataError, DownloadFailed

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Ultralytics' program for VisDrone


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """The empty folder of data sets."""
    folder = tmp_path / "datasets"
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(small_data_sets.settings_in(tmp_path / "config", folder)))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A function (archives) that makes the network return these, without waiting between tries."""
    environment.prepare()
    import requests
    from ultralytics.utils import downloads

    monkeypatch.setattr(environment, "_ASKED_OFFLINE", False)
    monkeypatch.setenv("NAS_ATTN_YES", "1")
    monkeypatch.setattr(downloads, "time", SimpleNamespace(sleep=lambda seconds: None), raising=False)
    monkeypatch.setattr(downloads, "is_online", lambda: True)
    # archives that arrive in one moment: their threads may make one folder at once, and one of them fails
    monkeypatch.setattr(downloads, "ThreadPool", lambda threads: ThreadPool(1))

    def give(make):
        net = data_archives.Network(make(tmp_path / "server"))
        monkeypatch.setattr(requests, "get", net)
        return net

    return give


def silent(text: str) -> None:
    pass


def left(datasets):
    """The files in a folder; no lock stays there."""
    return sorted(f.name for f in datasets.iterdir())


@pytest.mark.parametrize(
    ("name", "make", "counts"),
    [
        ("coco128.yaml", data_archives.coco128, (8, 8, 0)),
        ("coco.yaml", data_archives.coco, (8, 8, 0)),
        ("VOC.yaml", data_archives.voc, (8, 2, 0)),
        ("VisDrone.yaml", data_archives.visdrone, (2, 2, 2)),
    ],
)
def test_it_is_fetched_once_and_announced(name, make, counts, datasets, network, capfd):
    net, said = network(make), []
    assert download.absent(name)
    download.fetch(name, said.append)
    out, err = capfd.readouterr()
    root = datasets / load(name)[1]["path"]
    assert str(root) in said[0] and "B" in said[0].rpartition(", ")[2] and said[0] in err
    assert not out and left(datasets) == [root.name]
    info = check_data(name)
    assert (info.train, info.val, info.test) == counts and not download.absent(name)
    asked = len(net.asked)
    download.fetch(name, said.append)
    assert len(net.asked) == asked and len(said) == 1


def test_labels_are_converted_as_ultralytics_does(datasets, network):
    network(data_archives.voc)
    download.fetch("VOC.yaml", silent)
    rows = (datasets / "VOC" / "labels" / "train2007" / "2007_train_0.txt").read_text().splitlines()
    assert [row.split()[0] for row in rows] == ["11", "19"]  # the difficult cat is left out
    network(data_archives.visdrone)
    download.fetch("VisDrone.yaml", silent)
    assert len((datasets / "VisDrone" / "labels" / "val" / "0.txt").read_text().splitlines()) == 2


def test_no_network(datasets, network, monkeypatch):
    from ultralytics.utils import downloads

    net = network(lambda folder: {})
    net.before = lambda url: (_ for _ in ()).throw(OSError("Name or service not known"))
    monkeypatch.setattr(downloads, "is_online", lambda: False)
    with pytest.raises(DownloadFailed, match="may be offline") as failed:
        download.fetch("coco128.yaml", silent)
    text = str(failed.value)
    assert failed.value.exit_code == 1 and "datasets_dir" in text and str(datasets / "coco128") in text
    assert "\n" not in text and len(net.asked) == 1 and not left(datasets)


def test_offline_by_the_users_wish(datasets, network, monkeypatch):
    net = network(lambda folder: {})
    monkeypatch.setattr(environment, "_ASKED_OFFLINE", True)
    with pytest.raises(DownloadFailed, match="YOLO_OFFLINE is set"):
        download.fetch("coco128.yaml", silent)
    assert not net.asked and not datasets.exists()


def test_a_large_download_needs_consent(datasets, network, monkeypatch, capfd):
    net = network(data_archives.voc)
    monkeypatch.delenv("NAS_ATTN_YES")
    with pytest.raises(DataError, match=r"VOC.yaml, 2.8 GB to .*Give --yes"):
        download.fetch("VOC.yaml", silent)
    assert not datasets.exists() and not net.asked
    sizes = ("20.3 GB", "~18 GB", "712 GB = 367G", "1 GB", "390 MB", "", "small")
    assert [named_sets.large(text) for text in sizes] == [True] * 4 + [False] * 3


def test_a_server_that_has_it_no_more(datasets, network):
    network(lambda folder: {})
    with pytest.raises(DownloadFailed, match="404"):
        download.fetch("VisDrone.yaml", silent)
    assert download.absent("VisDrone.yaml")


def test_half_an_archive_is_none(datasets, network):
    net = network(data_archives.coco128)
    net.cut = True
    with pytest.raises(DownloadFailed):
        download.fetch("coco128.yaml", silent)
    assert download.absent("coco128.yaml")
    net.cut = False
    download.fetch("coco128.yaml", silent)
    assert check_data("coco128.yaml").train == 8


def test_an_archive_that_lacks_the_images(datasets, network):
    network(lambda folder: {"coco128.zip": data_archives.zipped({"coco128/README.txt": "moved"})})
    with pytest.raises(DownloadFailed, match=r"images.train2017"):
        download.fetch("coco128.yaml", silent)
    assert download.absent("coco128.yaml")


def test_what_was_interrupted_starts_again(datasets, network, monkeypatch):
    network(data_archives.coco128)
    extract, remove, seen = zipfile.ZipFile.extract, download.shutil.rmtree, []

    def stop(self, member, *rest):
        seen.append(member)
        if len(seen) > 4:
            raise KeyboardInterrupt
        return extract(self, member, *rest)

    monkeypatch.setattr(zipfile.ZipFile, "extract", stop)
    monkeypatch.setattr(download.shutil, "rmtree", lambda *_, **__: None)  # as after kill -9
    with pytest.raises(KeyboardInterrupt):
        download.fetch("coco128.yaml", silent)
    monkeypatch.setattr(download.shutil, "rmtree", remove)
    assert left(datasets) == [".coco128.part"]
    monkeypatch.setattr(zipfile.ZipFile, "extract", extract)
    assert os.environ["YOLO_OFFLINE"] == "1" and download.absent("coco128.yaml")
    download.fetch("coco128.yaml", silent)
    assert check_data("coco128.yaml").train == 8 and left(datasets) == ["coco128"]


def test_another_process_downloads_it(datasets, network):
    net, said = network(data_archives.coco128), []
    datasets.mkdir()
    held = threading.Event()

    def hold() -> None:  # in a thread of its own: a lock tells its holders by that
        with FileLock(datasets / ".coco128.lock"):
            held.set()
            time.sleep(0.3)
            small_data_sets.stand_in("coco128.yaml", datasets)

    waiting = threading.Thread(target=hold)
    waiting.start()
    held.wait()
    download.fetch("coco128.yaml", said.append)
    waiting.join()
    assert any("waiting" in text for text in said) and not net.asked


@pytest.mark.parametrize("place", ["file/datasets", "file"])
def test_a_folder_that_cannot_be_written(place, datasets, network, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(small_data_sets.settings_in(tmp_path / "other", tmp_path / place)))
    net = network(data_archives.coco128)
    with pytest.raises(DataError, match=r"folder of data sets must be writable.*datasets_dir") as refused:
        download.fetch("coco128.yaml", silent)
    assert refused.value.exit_code == 2 and not net.asked


def test_half_a_data_set_is_neither_whole_nor_touched(datasets, network):
    net = network(data_archives.coco)
    root = small_data_sets.stand_in("coco.yaml", datasets)
    for image in (root / "images" / "val2017").iterdir():
        image.unlink()
    before = sorted(root.rglob("*"))
    assert not download.absent("coco.yaml")
    download.fetch("coco.yaml", silent)
    with pytest.raises(ConfigError, match=f"a listed image must exist.*move {root} away"):
        check_data("coco.yaml")
    assert not net.asked and sorted(root.rglob("*")) == before


STRANGE = "from pathlib import Path\nPath('ran').touch()\nPath(yaml['path']).mkdir()\n"


@pytest.mark.parametrize("name", ["data.yaml", "VOC.yaml", "coco128.yaml"])
@pytest.mark.parametrize("script", [STRANGE, "bash touch ran", "https://example.com/x.zip"])
def test_a_strangers_program_is_not_run(name, script, datasets, network, tmp_path):
    """A path wins over a known name, and a user's file with that name is not a file of Ultralytics."""
    net = network(data_archives.coco128)
    spec = {"path": "x", "train": "t", "val": "v", "names": ["a"], "download": script}
    (tmp_path / name).write_text(yaml.safe_dump(spec))
    for data in (name, str(tmp_path / name)):
        assert not download.absent(data)
        download.fetch(data, silent)
        with pytest.raises(ConfigError, match="image folder must exist"):
            check_data(data)
    assert not net.asked and not (tmp_path / "ran").exists()


def test_ultralytics_is_given_no_program(tmp_path):
    """If the images of a training vanish during it, no program may run to download them again."""
    data = small_data_sets.bccd(tmp_path)
    assert download.without_download(data) == data
    spec = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**spec, "download": STRANGE}))
    copy = download.without_download(data)
    assert copy != data and "download" not in yaml.safe_load(copy.read_text())
    here, there = check_data(data), check_data(copy)
    assert here.files == there.files and here.names == there.names


def test_names_that_are_nearly_known(datasets):
    for wrong, right in (("voc.yaml", "VOC.yaml"), ("coco_128.yaml", "coco128.yaml"), ("VisDron.yml", "VisDrone.yaml")):
        with pytest.raises(ConfigError, match=f"Did you mean '{right}'"):
            check_data(wrong)
    for other in ("data.yaml", "mine/dataset.yaml", "cells.yaml"):
        with pytest.raises(ConfigError, match="Write one with"):
            check_data(other)
