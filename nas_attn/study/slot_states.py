"""The state of each slot (live, dead, ...), from the liveness of trained bases. Searches and ablations use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.score import MAP, Score

SHARE = 0.02  # of the base's score: losing less of it is dead, whatever the base reaches
LIVE, DEAD, UNDERTRAINED, UNKNOWN = "live", "dead", "undertrained", "unknown"


def slot_state(lost: float, record: Mapping[str, Any]) -> str:
    """The state of a slot: `live`, `dead`, `undertrained` or `unknown`.

    An undertrained slot still does harm: zeroing it raises the score. So a module there cannot be judged yet.

    Args:
        lost: score that the trained base loses if the slot's output is zeroed; negative if it gains.
        record: the `slots` record.
    """
    threshold = float(record["threshold"])
    if not learned(record):
        return UNKNOWN
    if lost >= threshold:
        return LIVE
    return UNDERTRAINED if lost <= -threshold else DEAD


def learned(record: Mapping[str, Any]) -> bool:
    """True if the base of a `slots` record has learned enough; otherwise no slot can be called live."""
    least = float(record.get("least", record["threshold"]))  # older releases recorded one for both
    return record["intact"] is not None and float(record["intact"]) >= least


def too_little(record: Mapping[str, Any], score: Score = MAP) -> str:
    """The reason why the slots of a base that is not `learned` have no state, as text.

    Args:
        record: the `slots` record.
        score: the score of the study.
    """
    reached = f"{record['intact'] or 0.0:.4f} {score.of_a_slot.words}"
    return f"the base reaches only {reached}, which is too little to tell; train longer"


def covers(evaluation: Evaluation | None, slots: Sequence[str], score: Score) -> bool:
    """True if an evaluation has the liveness of all these slots, in the score by which slots are measured."""
    if evaluation is None or not evaluation.liveness or score.of_a_slot.of(evaluation) is None:
        return False
    return score.of_a_slot.zeroed(evaluation, slots) is not None


def averaged(
    evaluations: Sequence[Evaluation], threshold: float, slots: Sequence[str] | None = None, score: Score = MAP
) -> dict[str, Any]:
    """The fields of a `slots` record: means over trained bases.

    Args:
        evaluations: evaluations of the base; those that `covers` refuses do not count. If none is left, every slot's
            state is unknown.
        threshold: a slot is live if zeroing its output costs at least this score, or `SHARE` of the base's if that is
            less.
        slots: the slots in the order of the result; None means all slots that were measured.
        score: the score of the study, see `Score.of_a_slot`.

    Returns:
        `intact` (score of the base), `zeroed` (slot -> score with this slot zeroed), `drop` (slot -> score lost),
        `live` (names of the live slots), `threshold` (which decided), `least` (score that a base must reach), `trials`
        (number of bases).
    """
    by = score.of_a_slot
    evaluations = [e for e in evaluations if covers(e, slots or (), by)]
    n = len(evaluations)
    intact = sum(by.of(e) or 0.0 for e in evaluations) / n if n else None
    names = (slots or tuple(evaluations[0].liveness or ())) if n else ()
    measured = [by.zeroed(e, names) or {} for e in evaluations]
    zeroed = {slot: sum(m[slot] for m in measured) / n for slot in names}
    drop = {slot: intact - z for slot, z in zeroed.items() if intact is not None}
    decides = threshold if intact is None else min(threshold, SHARE * intact)
    live = [slot for slot, lost in drop.items() if lost >= decides] if (intact or 0.0) >= threshold else []
    found = {"intact": intact, "zeroed": zeroed, "drop": drop, "live": live}
    return {**found, "threshold": decides, "least": threshold, "trials": n}
