"""Data sets that Ultralytics knows by name, fetched by Ultralytics' own code.

Each of its data.yaml files has a key `download:` with a URL or a Python program. Only the files of the installed
package are obeyed: the same key in any other data.yaml would run a stranger's program.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from nas_attn import environment
from nas_attn.atomic_files import write_text_atomic
from nas_attn.data.image_lists import entry_of, images_of, load, root_of
from nas_attn.data.named_sets import is_packaged, size
from nas_attn.errors import DataError, DownloadFailed

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
Tell = Callable[[str], None]


def absent(data: str | Path | None) -> bool:
    """True if this is a data set of Ultralytics' own that can be fetched, and nothing of it is there yet."""
    if data is None:
        return False
    path, spec = load(data)
    return is_packaged(path) and bool(spec.get("download")) and _nothing(root_of(spec, path))


def fetch(data: str | Path, tell: Tell) -> None:
    """Fetch a data set of Ultralytics' own if nothing of it is there yet; anything else is left as it is.

    It is put together beside its place and moved there when it is whole, so a download that was broken off starts anew.

    Args:
        data: the name, or the file in the installed package.
        tell: is called with a line for each step.

    Raises:
        DataError: the folder of data sets cannot be written.
        DownloadFailed: the network, the server or the disk failed.
    """
    if not absent(data):
        return
    path, spec = load(data)
    root = root_of(spec, path)
    takes = f", {size(path)}" if size(path) else ""
    say = _lasting(tell)
    say(f"{path.name} is not here: Ultralytics downloads it to {root}{takes}")
    if environment.asked_offline():
        raise _failed(path, root, "YOLO_OFFLINE is set")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root, say):
            if absent(data):  # otherwise another process was faster
                _fetch(path, spec, root)
    except OSError as error:
        rule = "the folder of data sets must be writable"
        got = f"'{root.parent}' ({error.strerror or error})"
        remedy = "Name another one: `yolo settings datasets_dir=FOLDER`."
        raise DataError(rule, got=got, where=path.name, remedy=remedy) from None


def without_download(data: Path) -> Path:
    """The same data set in a file without `download:`, which Ultralytics would run whenever it misses images.

    Args:
        data: a data.yaml that was checked.

    Returns:
        The file itself if it has no such key, else a copy in this user's cache.
    """
    path, spec = load(data)
    if "download" not in spec:
        return path
    kept = {k: v for k, v in spec.items() if k != "download"} | {"path": str(root_of(spec, path))}
    text = yaml.safe_dump(kept, sort_keys=False)
    name = f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    copy = environment.cache_root() / "data_yaml" / name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(copy, text)
    return copy


def _nothing(root: Path) -> bool:
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _fetch(path: Path, spec: dict[str, Any], root: Path) -> None:
    work = root.with_name(f".{root.name}.part")
    if work.exists():  # of a process that was killed: half of the files would be taken for all
        shutil.rmtree(work)
    work.mkdir()
    try:
        whole = _fetched(path, spec, root, work)
        whole.replace(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetched(path: Path, spec: dict[str, Any], root: Path, work: Path) -> Path:
    """The data set as Ultralytics puts it together in the folder `work`."""
    whole = work / root.name
    copy = work / path.name
    copy.write_text(yaml.safe_dump({**spec, "path": str(whole)}, sort_keys=False), encoding="utf-8")
    try:
        with _ultralytics(work):
            from ultralytics.data.utils import check_det_dataset

            check_det_dataset(str(copy))
    except Exception as error:  # its programs may raise anything, and the remedy is the same
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
            raise
        raise _failed(path, root, error) from None
    lacking: list[Any] = []
    for split in ("train", "val"):
        images_of(entry_of(spec, split), split, whole, path, lacking)
    if lacking:
        raise _failed(path, root, "what came lacks " + " and ".join(e.got or e.where for e in lacking))
    return whole


@contextlib.contextmanager
def _alone(root: Path, say: Tell) -> Iterator[None]:
    """Hold the lock of this download on this machine; wait for another process that holds it."""
    lock = FileLock(root.with_name(f".{root.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process downloads it to {root}: waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _ultralytics(folder: Path) -> Iterator[None]:
    """Let Ultralytics download to a folder: with the network on, and with its progress bars on stderr."""
    environment.prepare()
    import ultralytics.data.utils as data
    from ultralytics import utils

    known = data.DATASETS_DIR, utils.VERBOSE, utils.LOGGER.level
    data.DATASETS_DIR, utils.VERBOSE = folder, True
    utils.LOGGER.setLevel("INFO")
    os.environ["YOLO_OFFLINE"] = "0"
    try:
        with environment.stdout_to_stderr():
            yield
    finally:
        os.environ["YOLO_OFFLINE"] = "1"
        data.DATASETS_DIR, utils.VERBOSE = known[:2]
        utils.LOGGER.setLevel(known[2])


def _lasting(tell: Tell) -> Tell:
    """A `tell` that prints on stderr too, where the line stays: a download may take hours and gigabytes."""

    def say(text: str) -> None:
        tell(text)
        print(text, file=sys.stderr, flush=True)

    return say


def _failed(path: Path, root: Path, reason: object) -> DownloadFailed:
    text = " ".join(str(reason).split()).lstrip("❌ ")[:300].rstrip(".") or type(reason).__name__
    return DownloadFailed(
        f"{path.name} could not be downloaded to {root}: {text}. Nothing of it is there. Give the same command again "
        "where there is a network and room on the disk, put the data set there yourself, or name another folder of "
        "data sets: `yolo settings datasets_dir=FOLDER`."
    )
