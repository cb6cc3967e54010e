"""What Ultralytics must find before it is imported: no network, no settings of the user's changed, one cache folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nas_attn.atomic_files import write_text_atomic
from nas_attn.errors import MissingPart

_VARIABLES = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}
_ASKED_OFFLINE = os.environ.get("YOLO_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on", "y", "t")
DATASETS_DIR = "datasets_dir"  # Ultralytics' setting
TRACKERS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")  # its switches of integrations
TRUST = "NAS_ATTN_TRUST"  # set by `--trust`, for the processes that a command starts too


def cache_root() -> Path:
    """The folder for everything that can be made again; exists and is writable when this returns.

    `NAS_ATTN_CACHE` where it is set, else `nas_attn` in `XDG_CACHE_HOME` or `~/.cache`, else (where that cannot be
    written) a folder of this user in the system's temporary directory.
    """
    named = os.environ.get("NAS_ATTN_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    wanted = Path(named).expanduser() if named else home / "nas_attn"
    if _writable(wanted):
        return wanted
    user = os.getuid() if hasattr(os, "getuid") else "user"
    private = Path(tempfile.gettempdir()) / f"nas_attn-{user}"
    return private if _writable(private) else Path(tempfile.mkdtemp(prefix="nas_attn-"))


def prepare() -> None:
    """Make the next `import ultralytics` silent, offline and without side effects; call it before that import.

    Raises:
        MissingPart: OpenCV cannot be loaded, which is what a slim image without `libGL.so.1` does.
    """
    os.environ.update(_VARIABLES)
    logging.getLogger("ultralytics").addFilter(_worth_saying)  # the very same one is added once
    os.environ.setdefault("YOLO_CONFIG_DIR", str(_private()))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    _share_settings()
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise MissingPart(
            f"OpenCV cannot be loaded ({error}): run `apt-get install libgl1 libglib2.0-0`, "
            "or `pip uninstall -y opencv-python && pip install opencv-python-headless`."
        ) from None


def asked_offline() -> bool:
    """Whether this process was started with `YOLO_OFFLINE`, before `prepare` set it for Ultralytics' sake."""
    return _ASKED_OFFLINE


def datasets_folder() -> Path:
    """Where Ultralytics looks for, and downloads, the data sets that it knows by name.

    Its setting `datasets_dir`: of `YOLO_CONFIG_DIR` where the user set that, else of the user's own settings, else
    what our private settings remember of the first time; `datasets` in the working directory where there is none.
    """
    given = os.environ.get("YOLO_CONFIG_DIR")
    own = given is None or Path(given) == _private()
    for folder in (_user_config(), _private()) if own else (Path(str(given)).expanduser(),):
        found = _settings(folder).get(DATASETS_DIR)
        if isinstance(found, str) and found:
            return Path(found).expanduser().absolute()
    return Path("datasets").absolute()


def all_trusted() -> bool:
    """True if the user said `--trust`: code in checkpoints, run folders and bundles may run."""
    return os.environ.get(TRUST, "") not in ("", "0")


@contextlib.contextmanager
def one_command() -> Iterator[None]:
    """A `--trust` that is said inside ends with the block."""
    before = os.environ.get(TRUST)
    try:
        yield
    finally:
        os.environ.pop(TRUST, None)
        if before is not None:
            os.environ[TRUST] = before


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What Ultralytics writes to stdout goes to stderr: stdout is for results here."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _worth_saying(record: logging.LogRecord) -> bool:
    """False for Ultralytics' guess at the scale of a YAML that has only one, as those that we write do."""
    return "no model scale passed" not in record.getMessage()


def _private() -> Path:
    """The configuration folder that Ultralytics gets from us, so that the user's own settings are not changed."""
    return cache_root() / "ultralytics"


def _user_config() -> Path:
    """The folder that holds Ultralytics' folder of settings where nobody says otherwise."""
    home = Path("~").expanduser()
    if sys.platform == "win32":
        return home / "AppData" / "Roaming"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _settings_file(folder: Path) -> Path:
    return folder / "Ultralytics" / "settings.json"


def _settings(folder: Path) -> dict[str, object]:
    """Ultralytics' settings in a configuration folder; empty where there are none of use."""
    try:
        found = json.loads(_settings_file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _share_settings() -> None:
    """Make Ultralytics here look for data sets where the user's own does, and log to the trackers that he switched on.

    Proxy runs log to none: their trainer has no callbacks of others.
    """
    private = _private()
    if os.environ["YOLO_CONFIG_DIR"] != str(private):
        return
    known, theirs = _settings(private), _settings(_user_config())
    wanted = {**known, DATASETS_DIR: str(datasets_folder())}
    wanted |= {name: theirs[name] for name in TRACKERS if isinstance(theirs.get(name), bool)}
    if wanted != known:
        write_text_atomic(_settings_file(private), json.dumps(wanted, indent=2))


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
