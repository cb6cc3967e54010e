"""What Ultralytics must find before it is imported: no network, no settings of the user's changed, one cache folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from nas_attn.errors import MissingPart

_VARIABLES = {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}


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
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache_root() / "ultralytics"))
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise MissingPart(
            f"OpenCV cannot be loaded ({error}): run `apt-get install libgl1 libglib2.0-0`, "
            "or `pip uninstall -y opencv-python && pip install opencv-python-headless`."
        ) from None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
