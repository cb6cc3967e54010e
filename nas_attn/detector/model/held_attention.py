"""The attention that a base model holds before anything is inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.detector.model import community_names
from nas_attn.detector.model.registration import modules_of
from nas_attn.detector.model.rows import PREFIX, is_block, is_inserted

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel


def held_attention(base: BaseModel) -> list[tuple[str, int]]:
    """(class, row) for each module of the registry in the rows of a base model; modules inside blocks count too."""
    theirs = community_names.parser_names()
    found = []
    for number, row in enumerate(base.rows):
        name = str(row[2])
        if is_inserted(row):
            inside = [n for n in modules_of(row) if n != "Scaled"]
            found += [(n, number) for n in (inside[1:] if is_block(row) else inside)]
        elif not name.startswith(PREFIX) and (named := community_names.lookup(name, theirs)) and named.module:
            found.append((name, number))
    return found


def held_note(base: BaseModel) -> str:
    """A note for the user about the attention that the base holds already; empty if it holds none."""
    held = ", ".join(f"{name} in row {number}" for name, number in held_attention(base))
    if not held:
        return ""
    return (
        f"note: the base model {base.file or base.name} already holds attention: {held}. Slots come after it: a gene "
        "adds another module, and `none` keeps the one that is there."
    )
