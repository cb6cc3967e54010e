"""Used seeds, and the choice of fresh ones. The seeds that chose an architecture cannot confirm it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.ablation.design import ELSEWHERE
from nas_attn.ablation.looks import MAX_SEEDS, Looks
from nas_attn.ablation.view import AblationView, load_ablations
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig
from nas_attn.study.view import StudyView


@dataclass(frozen=True)
class Spent:
    """The seeds that a study and its other ablations use.

    Attributes:
        seeds: seeds that were trained or are planned.
        last: the highest used seed, with room for other ablations to grow; -1 if none is used.
    """

    seeds: frozenset[int]
    last: int


def spent(searched: StudyView | None, folder: Path, own: Path) -> Spent:
    """The seeds that a study and its ablations use, without one ablation.

    Args:
        searched: the study; None if nothing was searched.
        folder: its run folder.
        own: folder of the ablation that is left out.
    """
    seeds = {t.seed for t in (searched.trials if searched is not None else ())}
    last = max(seeds, default=-1)
    for other in load_ablations(folder):
        if other.folder not in (own, folder):
            taken, first = taken_by(other), int(other.header["ablation"]["seed"])
            seeds |= taken
            # seeds of arms with an offset are so high that no other ablation chooses them
            last = max(last, first + MAX_SEEDS - 1, *(s for s in taken if s < first + ELSEWHERE))
    return Spent(frozenset(seeds), last)


def taken_by(ablation: AblationView) -> set[int]:
    """The seeds of an ablation that were trained or are planned."""
    first = int(ablation.header["ablation"]["seed"])
    planned = range(first, first + ablation.looks.most) if ablation.design.arms else ()
    return {t.seed for t in ablation.trials} | set(planned)


def first_seed(
    others: Spent,
    config: StudyConfig,
    settings: AblationConfig,
    stored: Mapping[str, Any] | None,
    given: Mapping[str, Any],
) -> int:
    """The first seed of an ablation: the recorded one, the one that the user gives, or the first unused one."""
    if stored is not None and given.get("seed") is None:
        return int(stored["ablation"]["seed"])
    if settings.seed is not None:
        return settings.seed
    return max(others.last + 1, config.seed)


def is_fresh(others: Spent, settings: AblationConfig, seed: int, before: AblationView | None) -> bool:
    """True if all seeds of an ablation were unused by others when it got them, including the new ones.

    Args:
        others: the seeds that the study and the other ablations use.
        settings: the settings of this command.
        seed: the first seed of the ablation.
        before: the recorded ablation; None for a new one.
    """
    more = set(range(seed, seed + Looks.asked(settings).most)) - (taken_by(before) if before is not None else set())
    return (before is None or before.fresh) and not more & others.seeds
