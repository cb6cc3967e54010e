"""The seed of the next trial. Trials of one seed compare best, so each architecture gets seeds that the base has."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nas_attn.space import Architecture
from nas_attn.study.trial import Trial

GROUPS = 1000  # the seeds of groups begin so far above those of trials alone


def control_seed(trials: Sequence[Trial], conv: Architecture, wanted: int) -> int | None:
    """A seed that the base has and a control lacks; None if the control has its number of seeds.

    Args:
        trials: all trials of the study.
        conv: the architecture of the control.
        wanted: number of seeds of a control.
    """
    done = {t.seed for t in trials if t.architecture == conv}
    base = sorted(t.seed for t in trials if t.architecture.is_base and t.usable)[:wanted]
    return next((seed for seed in base if seed not in done), None)


def lacks_base(trials: Sequence[Trial], wanted: int, ignored: Collection[int]) -> bool:
    """True if the base needs a further control, with a new seed.

    A trial that failed or was flagged is replaced, at most `wanted` times.

    Args:
        trials: the trials of the base that count.
        wanted: number of seeds of a control.
        ignored: numbers of trials whose failure does not count.
    """
    good = sum(t.usable or t.state == "running" for t in trials)
    tried = sum(t.number not in ignored for t in trials)
    return good < wanted and tried < 2 * wanted


def next_seed(trials: Sequence[Trial], architecture: Architecture, base: Architecture) -> tuple[Architecture, int]:
    """The first seed that the base has and an architecture has not.

    If it has all seeds of the base, the base with one more seed comes instead.

    Args:
        trials: all trials of the study.
        architecture: the architecture to train.
        base: the architecture without any module.

    Returns:
        What to train, and its seed.
    """
    own = [t for t in trials if t.architecture == base and t.group is None]
    used = {t.seed for t in trials if t.architecture == architecture and t.state != "refused"}
    for seed in sorted(t.seed for t in own if t.usable or t.state == "running"):
        if seed not in used:
            return architecture, seed
    return base, max(t.seed for t in own) + 1


def group_seed(trials: Sequence[Trial], first: int) -> int:
    """The seed of the next group. No trial alone has it, so that both kinds share no luck.

    Args:
        trials: all trials of the study.
        first: seed of the study.
    """
    return max((t.seed for t in trials if t.group is not None), default=first + GROUPS - 1) + 1
