"""Module files for tests, and a registry that is restored after each test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest

from nas_attn.attention import layers, names, table, user

HEAD = """\
from typing import Annotated
import torch
from torch import nn
from nas_attn.attention import Choice, attention
"""
GOOD = (
    HEAD
    + """
class Inner(nn.Module):
    def forward(self, x):
        return x

@attention("mine")
class Mine(nn.Module):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)
        self.inner = Inner()

    def forward(self, x):
        return x + self.inner(self.conv(x))
"""
)


@contextlib.contextmanager
def registry_as_before() -> Iterator[None]:
    """A context that restores the registry at its end."""
    names()
    before, known, modules, own = dict(table.TABLE), dict(user._KNOWN), set(sys.modules), dict(layers._TABLE)
    try:
        yield
    finally:
        table.TABLE.clear()
        table.TABLE.update(before)
        user._KNOWN.clear()
        user._KNOWN.update(known)
        layers._TABLE.clear()
        layers._TABLE.update(own)
        for name in set(sys.modules) - modules:
            if name.startswith("nas_attn_user_"):
                del sys.modules[name]
        table.tell()


@pytest.fixture
def clean(monkeypatch):
    """Restores the registry after the test."""
    monkeypatch.setattr(user, "BROKEN", {})
    with registry_as_before():
        yield


@pytest.fixture
def write(tmp_path, clean):
    """A function that writes a module file."""

    def make(text: str, name: str = "mine.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return make
