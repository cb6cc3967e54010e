"""The list of packages: those found in `nas_attn/`, and two folders beside it that are installed as its data.

All else stands in pyproject.toml, which can either find packages or name folders that lie elsewhere, but not both.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["nas_attn", "nas_attn.*"]), "nas_attn._search_spaces", "nas_attn._studies"])
