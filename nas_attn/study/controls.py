"""The `conv` control of a study: a plain convolution in each live slot, with about as many parameters as attention."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from nas_attn.attention import registry
from nas_attn.space import NONE, Architecture, Gene, SearchSpace, Slot

CONV = "conv"


def conv_genes(slot: Slot, residual: str) -> list[Gene]:
    """The plain convolutions that fit the channels of a slot.

    Args:
        slot: the slot.
        residual: the form of the genes, `none` or `scaled`.
    """
    entry = registry.get(CONV)
    return [
        Gene.of(CONV, settings)
        for settings in entry.combinations()
        if settings["residual"] == residual and entry.refusal(slot.channels, 1, 1, settings) is None
    ]


def conv_control(
    space: SearchSpace,
    live: tuple[str, ...],
    residual: str,
    params: Callable[[str, Gene], int],
    *,
    cheapest: bool = False,
) -> Architecture:
    """The architecture with a plain convolution in every live slot.

    At each slot, the number of groups is chosen so that the convolution has about as many parameters as the typical
    attention module there: the median over modules of the median over each module's settings.

    Args:
        space: the search space.
        live: names of the live slots.
        residual: the form that the study uses, `none` or `scaled`.
        params: (slot, gene) -> number of parameters that the gene adds.
        cheapest: take the convolution with the fewest parameters instead.
    """
    genes = dict.fromkeys(space.names, NONE)
    for name in live:
        sizes: dict[str, list[int]] = {}
        for gene in space[name].genes:
            if gene.module not in ("none", CONV):
                sizes.setdefault(gene.module, []).append(params(name, gene))
        choices = conv_genes(space[name].slot, residual)
        if cheapest:
            genes[name] = min(choices, key=lambda gene: params(name, gene))
        elif sizes:
            target = statistics.median(statistics.median(v) for v in sizes.values())
            distances = [abs(params(name, gene) - target) for gene in choices]
            genes[name] = choices[distances.index(min(distances))]
        else:
            genes[name] = choices[0]
    return Architecture.of(genes)
