"""The packages of the wheel, and its README: all else stands in pyproject.toml.

That file can either find packages or name folders that lie elsewhere, but not both. And a page on PyPI has no files
beside it, so the README's links lead to the repository there.
"""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

home = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
readme = Path("README.md").read_text(encoding="utf-8")
readme = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{home}/raw/main/", readme)
readme = re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:)", rf"\1{home}/blob/main/", readme)

setup(
    packages=[*find_packages(include=["nas_attn", "nas_attn.*"]), "nas_attn._search_spaces", "nas_attn._studies"],
    long_description=readme,
    long_description_content_type="text/markdown",
)
