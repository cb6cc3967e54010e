"""The best alignment of two lists that keeps the order of both."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(scores: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """The pairs (row, column) of a score table with the largest sum of scores.

    Rows and columns both increase from pair to pair, and every score in the sum is positive.
    """
    best: dict[tuple[int, int], tuple[int, list[tuple[int, int]]]] = {}
    none: tuple[int, list[tuple[int, int]]] = (0, [])
    rows, columns = len(scores), len(scores[0]) if scores else 0
    for j in range(rows - 1, -1, -1):
        for i in range(columns - 1, -1, -1):
            without = max(best.get((j + 1, i), none), best.get((j, i + 1), none), key=lambda b: b[0])
            total, pairs = best.get((j + 1, i + 1), none)
            both = total + scores[j][i]
            best[j, i] = (both, [(j, i), *pairs]) if scores[j][i] > 0 and both > without[0] else without
    return best.get((0, 0), none)[1]
