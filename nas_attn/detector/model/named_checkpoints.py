"""The download of checkpoints that Ultralytics offers by name, such as `yolo11n.pt`, by its own code."""

from __future__ import annotations

from pathlib import Path

from nas_attn import environment
from nas_attn.atomic_files import is_file
from nas_attn.data.download import Tell, alone, lasting, reason, with_network
from nas_attn.detector.model.shipped_models import absent, located
from nas_attn.errors import DownloadFailed, UserError

PAGE = "https://github.com/ultralytics/assets/releases"


def fetched(checkpoint: str | Path, tell: Tell) -> Path:
    """The file of a checkpoint, which is downloaded first if `absent` is true for it.

    Args:
        checkpoint: a path, or a name that Ultralytics knows.
        tell: is called with a line of text for each step.

    Raises:
        DownloadFailed: the network, the server or the disk failed.
        UserError: the folder of weights cannot be written to.
    """
    file = located(checkpoint)
    if not absent(checkpoint):
        return file
    say = lasting(tell)
    say(f"{file.name} is not here: Ultralytics downloads it to {file.parent}")
    if environment.asked_offline():
        raise _failed(file, "YOLO_OFFLINE is set")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with alone(file, say):
            if not is_file(file):  # otherwise another process has downloaded it
                _download(file)
    except OSError as error:
        rule, got = "the folder of weights must be writable", f"'{file.parent}' ({error.strerror or error})"
        remedy = "Choose another one: `yolo settings weights_dir=FOLDER`."
        raise UserError(rule, got=got, where=file.name, remedy=remedy) from None
    return file


def _download(file: Path) -> None:
    """Let Ultralytics download a checkpoint under another name, so that an interruption leaves no half of it."""
    work = file.with_name(f".{file.name}.part")
    work.mkdir(exist_ok=True)
    part = work / file.name
    try:
        with with_network():
            from ultralytics.utils.downloads import attempt_download_asset

            attempt_download_asset(str(part))
        if not part.is_file():
            raise _failed(file, "Ultralytics offers no checkpoint of this name")
        part.replace(file)
    except DownloadFailed:
        raise
    except Exception as error:  # its code may raise any error, and the remedy is the same
        raise _failed(file, error) from None
    finally:
        part.unlink(missing_ok=True)
        work.rmdir()


def _failed(file: Path, why: object) -> DownloadFailed:
    return DownloadFailed(
        f"{file.name} could not be downloaded to {file.parent}: {reason(why)}. Give the same command again with a "
        f"network, or download it on another machine from {PAGE} and put it "
        "into that folder."
    )
