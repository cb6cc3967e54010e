"""The Markdown pages of the repository: their code blocks, headings and links."""

from __future__ import annotations

import itertools
import linecache
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt  # rich brings it
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".github", "nas_attn", "search_spaces", "studies", "tests")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_SOURCES = re.compile(r"""<(?:img|a)\b[^>]*?\b(?:src|href)=["']([^"']+)""")


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        page: the page's file.
        line: the line on which it begins.
        language: the word behind the fence; nothing for an indented block.
        text: its content.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def pages() -> list[Path]:
    """Every page of the repository."""
    found = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
    return sorted(found)


def name(page: Path) -> str:
    """A page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The code blocks of a page, in order; only those of a language if one is given."""
    found = [
        Block(page, token.map[0] + 1 if token.map else 0, token.info.strip(), token.content)
        for token in _tokens(page)
        if token.type in ("fence", "code_block")
    ]
    return [block for block in found if language in (None, block.language)]


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text) of each heading of a page."""
    tokens = _tokens(page)
    return [
        (int(token.tag[1:]), "".join(part.content for part in content.children or ()))
        for token, content in itertools.pairwise(tokens)
        if token.type == "heading_open"
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for _, text in headings(page):
        anchor = _NOT_IN_ANCHORS.sub("", text.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's links and images that lie in the repository."""
    return [unquote(target) for target in _targets(page) if not re.match(r"[a-z]+:", target)]


def figures(page: Path) -> list[str]:
    """Every number in the prose and tables of a page, in order."""
    texts = [token.content for token in _tokens(page) if token.type == "inline"]
    return [number for text in texts for number in re.findall(r"\d+(?:\.\d+)?", text)]


def commands(text: str) -> list[list[str]]:
    """The words of each command in a text for bash, without comments; `&&` separates commands."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines for part in line.split(" && ") if (words := shlex.split(part, comments=True))]


def of_ours(words: list[str]) -> list[str] | None:
    """The arguments of a command line of this package; None for any other program."""
    if words[:3] == ["python", "-m", "nas_attn"]:
        return words[3:]
    return words[1:] if words[0] == "nas-attn" else None


def run_as_cells(python: Iterable[Block], namespace: dict[str, Any]) -> None:
    """Run blocks one after the other, as the cells of a notebook: what they define has a source."""
    for block in python:
        file = f"<{block}>"
        linecache.cache[file] = (len(block.text), None, block.text.splitlines(keepends=True), file)
        exec(compile(block.text, file, "exec", dont_inherit=True), namespace)


def _targets(page: Path) -> Iterator[str]:
    for token in _tokens(page):
        for part in (token, *(token.children or ())):
            if part.type in ("link_open", "image"):
                yield str(part.attrs["href" if part.type == "link_open" else "src"])
            elif part.type in ("html_inline", "html_block"):
                yield from _SOURCES.findall(part.content)


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
