"""Names of folders that every system takes, so that a run folder can be copied from any machine to any other."""

from __future__ import annotations

import os
import re
import unicodedata

LONGEST = 200  # bytes: files beside the folder have names that are a little longer
RULE = (
    "letters and digits of any script, `_`, `-` and, inside, `.`; at most 200 bytes; "
    "no name that Windows reserves, such as `con`"
)
_KEPT = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def usual(text: str) -> str:
    """The text in the composed form of Unicode (NFC): macOS writes é as two characters, e and an accent."""
    return unicodedata.normalize("NFC", text)


def is_folder_name(name: str) -> bool:
    """True if a folder can have this name on every system."""
    plain = all(map(_is_plain, name)) and name[:1].isalnum() and not name.endswith(".")
    return plain and len(os.fsencode(name)) <= LONGEST and not is_kept(name)


def is_kept(name: str) -> bool:
    """True if Windows reserves this name for a device."""
    return _KEPT.fullmatch(name) is not None


def folder_name(text: str) -> str:
    """The text as a folder name: `-` replaces all other characters; empty if no character remains."""
    words = "".join(c if _is_plain(c) else " " for c in usual(text)).split()
    return "-".join(words).lstrip("._-").rstrip(".-")


def _is_plain(sign: str) -> bool:
    """True for letters, their marks, digits, and the separators `.`, `_` and `-`."""
    return sign.isalnum() or sign in "._-" or unicodedata.category(sign).startswith("M")
