"""The download of data sets that Ultralytics knows by name, by Ultralytics' own code.

Its data.yaml files have a key `download:` with a URL or a Python program. Only the files of the installed package are
followed: the same key in another data.yaml could run foreign code.
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
from nas_attn.data.named_sets import is_packaged, large, size
from nas_attn.errors import DataError, DownloadFailed

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
Tell = Callable[[str], None]


def absent(data: str | Path | None) -> bool:
    """True if Ultralytics knows the data set by name and can download it, and its folder is missing or empty."""
    if data is None:
        return False
    path, spec = load(data)
    return is_packaged(path) and bool(spec.get("download")) and _nothing(root_of(spec, path))


def fetch(data: str | Path, tell: Tell) -> None:
    """Download a data set that Ultralytics knows by name, if `absent` is true for it; otherwise do nothing.

    The data set is built in a temporary folder and moved to its place when it is complete, so an interrupted download
    starts again.

    Args:
        data: the name, or the file in the installed package.
        tell: is called with a line of text for each step.

    Raises:
        DataError: the folder of data sets cannot be written to, or the download is large and nobody agreed to it.
        DownloadFailed: the network, the server or the disk failed.
    """
    if not absent(data):
        return
    path, spec = load(data)
    root = root_of(spec, path)
    takes = f", {size(path)}" if size(path) else ""
    say = lasting(tell)
    say(f"{path.name} is not here: Ultralytics downloads it to {root}{takes}")
    if environment.asked_offline():
        raise _failed(path, root, "YOLO_OFFLINE is set")
    if large(size(path)) and not environment.agreed():
        raise DataError(
            "a download of over 1 GB needs your consent",
            got=f"{path.name}, {size(path)} to '{root}'",
            remedy="Give --yes, or set the environment variable NAS_ATTN_YES=1.",
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with alone(root, say):
            if absent(data):  # otherwise another process has downloaded it
                _fetch(path, spec, root)
    except OSError as error:
        rule = "the folder of data sets must be writable"
        got = f"'{root.parent}' ({error.strerror or error})"
        remedy = "Choose another one: `yolo settings datasets_dir=FOLDER`."
        raise DataError(rule, got=got, where=path.name, remedy=remedy) from None


def without_download(data: Path) -> Path:
    """A data.yaml for the same data set without the key `download:`.

    Ultralytics would follow that key as soon as images are missing.

    Args:
        data: a checked data.yaml.

    Returns:
        The file itself if it does not have the key, else a copy in the cache folder of this user.
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
    if work.exists():  # left by a killed process: its part of the files would look complete
        shutil.rmtree(work)
    work.mkdir()
    try:
        whole = _fetched(path, spec, root, work)
        whole.replace(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetched(path: Path, spec: dict[str, Any], root: Path, work: Path) -> Path:
    """The folder with the data set, which Ultralytics builds inside the folder `work`."""
    whole = work / root.name
    copy = work / path.name
    copy.write_text(yaml.safe_dump({**spec, "path": str(whole)}, sort_keys=False), encoding="utf-8")
    try:
        with _ultralytics(work):
            from ultralytics.data.utils import check_det_dataset

            check_det_dataset(str(copy))
    except Exception as error:  # its programs may raise any error, and the remedy is the same
        if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
            raise
        raise _failed(path, root, error) from None
    lacking: list[Any] = []
    for split in ("train", "val"):
        images_of(entry_of(spec, split), split, whole, path, lacking)
    if lacking:
        raise _failed(path, root, "the download lacks " + " and ".join(e.got or e.where for e in lacking))
    return whole


@contextlib.contextmanager
def alone(root: Path, say: Tell) -> Iterator[None]:
    """A context that holds the lock of this download on this machine; it waits for a process that holds it.

    Args:
        root: the file or folder that is downloaded.
        say: is called with a line of text if it has to wait.
    """
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
        with contextlib.suppress(OSError):  # on Windows, another process may hold it
            Path(lock.lock_file).unlink()


@contextlib.contextmanager
def with_network() -> Iterator[None]:
    """A context in which Ultralytics may use the network; its progress bars go to stderr."""
    environment.prepare()
    from ultralytics import utils

    known = utils.VERBOSE, utils.LOGGER.level
    utils.VERBOSE = True
    utils.LOGGER.setLevel("INFO")
    os.environ["YOLO_OFFLINE"] = "0"
    try:
        with environment.stdout_to_stderr():
            yield
    finally:
        os.environ["YOLO_OFFLINE"] = "1"
        utils.VERBOSE = known[0]
        utils.LOGGER.setLevel(known[1])


@contextlib.contextmanager
def _ultralytics(folder: Path) -> Iterator[None]:
    """A context in which Ultralytics downloads data sets to a folder."""
    with with_network():
        import ultralytics.data.utils as data

        known, data.DATASETS_DIR = data.DATASETS_DIR, folder
        try:
            yield
        finally:
            data.DATASETS_DIR = known


def lasting(tell: Tell) -> Tell:
    """A `tell` that also prints a lasting line on stderr, because a download may take hours and gigabytes."""

    def say(text: str) -> None:
        tell(text)
        print(text, file=sys.stderr, flush=True)

    return say


def reason(error: object) -> str:
    """The reason of a failed download in one line, without a full stop."""
    text = " ".join(str(error).split()).lstrip("❌ ")[:300].rstrip(".")
    return text or type(error).__name__


def _failed(path: Path, root: Path, why: object) -> DownloadFailed:
    return DownloadFailed(
        f"{path.name} could not be downloaded to {root}: {reason(why)}. No part of it was kept. Give the same "
        "command again with a network and enough room on the disk, put the data set there yourself, or choose another "
        "folder of data sets: `yolo settings datasets_dir=FOLDER`."
    )
