"""Print the section of CHANGELOG.md of a release's tag: `python .ci/release_notes.py v1.2.3`.

A tag that is not the version of the package, or a section that is missing or has no date, ends in exit code 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def notes(tag: str, version_file: str, changelog: str) -> str:
    """The section of a tag, without its heading.

    Raises:
        ValueError: the tag names another version than the package, or the changelog has no dated section of it.
    """
    found = re.findall(r'__version__ = "(.+)"', version_file)
    if [tag] != [f"v{version}" for version in found]:
        raise ValueError(f"the tag must be the package's version {', '.join(found)} after a v, but got {tag}")
    heading = rf"^## \[{re.escape(tag[1:])}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |^\[.+\]: |\Z)"
    section = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    if section is None:
        raise ValueError(f"CHANGELOG.md must have a section `## [{tag[1:]}] - YYYY-MM-DD`")
    return section[1].strip()


if __name__ == "__main__":
    files = (ROOT / "nas_attn" / "_version.py", ROOT / "CHANGELOG.md")
    try:
        print(notes(sys.argv[1], *(file.read_text(encoding="utf-8") for file in files)))
    except ValueError as error:
        sys.exit(str(error))
