"""Every docstring opens with its subject: its first word is no question word."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import nas_attn

FILES = sorted(Path(nas_attn.__file__).parent.rglob("*.py"))
HEADLESS = re.compile(r"(what|whatever|which|how|whether|where|when|who|whose|why|that)\b", re.IGNORECASE)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(FILES[0].parent)))
def test_the_first_word_is_no_wh_word(path):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    texts = [(getattr(node, "name", path.stem), ast.get_docstring(node) or "") for node in nodes]
    assert [name for name, text in texts if HEADLESS.match(text)] == []
