"""The environment that Ultralytics is imported in: offline, the user's settings unchanged, one cache folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nas_attn.atomic_files import write_text_atomic
from nas_attn.errors import MissingPart

PACKAGE = Path(__file__).parent
_VARIABLES = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}
_ASKED_OFFLINE = os.environ.get("YOLO_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on", "y", "t")
DATASETS_DIR, WEIGHTS_DIR = "datasets_dir", "weights_dir"  # Ultralytics' settings
TRACKERS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")  # its switches of integrations
TRUST = "NAS_ATTN_TRUST"  # `--trust` sets it, so that the processes that a command starts see it too
YES = "NAS_ATTN_YES"  # the same for `--yes`


def cache_root() -> Path:
    """The folder for everything that can be made again; it exists and is writable.

    The folder is `NAS_ATTN_CACHE` if that is set, else `nas_attn` in `XDG_CACHE_HOME` or `~/.cache`. If it cannot be
    written to, a folder of this user in the system's temporary directory takes its place.
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
        MissingPart: OpenCV cannot be loaded, e.g. in a slim container image without `libGL.so.1`.
    """
    os.environ.update(_VARIABLES)
    logging.getLogger("ultralytics").addFilter(_worth_saying)  # a second call adds nothing
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
    """True if this process was started with `YOLO_OFFLINE`, before `prepare` set it for Ultralytics."""
    return _ASKED_OFFLINE


def shell_word(text: object) -> str:
    """The text as one word of a command line, for commands that a person copies."""
    quoted = shlex.quote(str(text))
    return quoted if os.name != "nt" or quoted == str(text) else f'"{text}"'


def datasets_folder() -> Path:
    """The folder of the data sets that Ultralytics knows by name: its setting `datasets_dir`, see `_folder`."""
    return _folder(DATASETS_DIR, "datasets")


def weights_folder() -> Path:
    """The folder of the checkpoints that Ultralytics knows by name: its setting `weights_dir`, see `_folder`."""
    return _folder(WEIGHTS_DIR, "weights")


def _folder(setting: str, name: str) -> Path:
    """The folder that a setting of Ultralytics names.

    The setting is from the first of these that has it: the folder `YOLO_CONFIG_DIR` if the user set that; the user's
    settings; our private settings, which keep the value of the first call. Without any of these, the folder is `name`
    in the working directory.
    """
    given = os.environ.get("YOLO_CONFIG_DIR")
    own = given is None or Path(given) == _private()
    for folder in (_user_config(), _private()) if own else (Path(str(given)).expanduser(),):
        found = _settings(folder).get(setting)
        if isinstance(found, str) and found:
            return Path(found).expanduser().absolute()
    return Path(name).absolute()


def runs_folder() -> Path | None:
    """The folder in which Ultralytics keeps trainings that the user starts; None if its own settings name it.

    It is the user's setting `runs_dir`, else `runs` in the working directory. Our private settings name the working
    directory of the first command on this account.
    """
    if Path(os.environ.get("YOLO_CONFIG_DIR", "")) != _private():
        return None
    found = _settings(_user_config()).get("runs_dir")
    return Path(found).expanduser().absolute() if isinstance(found, str) and found else Path("runs").absolute()


def all_trusted() -> bool:
    """True if the user gave `--trust`: code in checkpoints, run folders and bundles may run."""
    return os.environ.get(TRUST, "") not in ("", "0")


def agreed() -> bool:
    """True if the user gave `--yes`: large data sets may be downloaded."""
    return os.environ.get(YES, "") not in ("", "0")


@contextlib.contextmanager
def one_command() -> Iterator[None]:
    """A context that limits `--trust` and `--yes` to one command: at its end the former values are restored."""
    before = {name: os.environ.get(name) for name in (TRUST, YES)}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """A context that sends stdout to stderr: Ultralytics prints to stdout, and our stdout is only for results."""
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
    """False for Ultralytics' warning that it guesses the scale of a YAML: our YAMLs have only one scale."""
    return "no model scale passed" not in record.getMessage()


def _private() -> Path:
    """The configuration folder that we give to Ultralytics, so that the user's own settings stay unchanged."""
    return cache_root() / "ultralytics"


def _user_config() -> Path:
    """The folder in which Ultralytics keeps its settings folder by default."""
    home = Path("~").expanduser()
    if sys.platform == "win32":
        return home / "AppData" / "Roaming"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _settings_file(folder: Path) -> Path:
    return folder / "Ultralytics" / "settings.json"


def _settings(folder: Path) -> dict[str, object]:
    """Ultralytics' settings in a configuration folder; empty if the file is missing or invalid."""
    try:
        found = json.loads(_settings_file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _share_settings() -> None:
    """Copy the user's folder of data sets and trackers into the settings that Ultralytics reads here.

    Proxy runs log to no tracker, because their trainer has no such callbacks.
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
