"""Imitates a later release: one more module in the zoo and in a shipped space, another option, other counting rules.

It also finds one more slot in each base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
from module_files import registry_as_before

from nas_attn.attention import attention, registry, table
from nas_attn.cost import COUNTING, counter
from nas_attn.detector.neck import roles as places
from nas_attn.detector.neck import slots
from nas_attn.evaluate import shared
from nas_attn.study import shipped


@contextlib.contextmanager
def grown() -> Iterator[None]:
    """A context in which the zoo has `newcomer`, `se` has one more ratio, and today's rules count twice the cost.

    Each base has the slot `lateral.stem` behind its first row; patterns such as `lateral.*` match it.
    """
    from torch import nn

    count, load, find = counter.gene_cost, shipped.load, places.roles

    def roles(graph, inputs):
        yield from find(graph, inputs)
        yield "lateral.stem", 0, graph.readers[0]

    def cost(*arguments, counting: int = COUNTING, **options):
        return count(*arguments, counting=counting, **options) * (2 if counting == COUNTING else 1)

    def content(kind: str, name: str):
        found = load(kind, name)
        listed = kind == "search_spaces" and isinstance(found["modules"], dict) and name in shipped.names(kind)
        return {**found, "modules": {"newcomer": None, **found["modules"]}} if listed else found

    with registry_as_before(), pytest.MonkeyPatch.context() as patch:

        class Newcomer(nn.Module):
            def __init__(self, dim: int) -> None:
                super().__init__()
                self.conv = nn.Conv2d(dim, dim, 1)

            def forward(self, x):
                return x * self.conv(x).sigmoid()

        Newcomer.__module__ = f"{registry.ZOO}.lska"  # the cost cache reads the source of this module
        Newcomer.__qualname__ = "Newcomer"
        attention("newcomer", family="spatial", paper="none", licence="MIT")(Newcomer)
        se = registry.get("se")
        ratios, *others = se.settings
        patch.setitem(
            table.TABLE, "se", replace(se, settings=(replace(ratios, options=(0.5, *ratios.options)), *others))
        )
        patch.setattr(counter, "gene_cost", cost)
        patch.setattr(shipped, "load", content)
        patch.setattr(slots, "roles", roles)
        patch.setattr(shared, "base", lru_cache(shared.base.__wrapped__))  # a later release is another process
        yield
