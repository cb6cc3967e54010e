"""The state of each slot (live, dead, ...), from the liveness of trained bases. Searches and ablations use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas_attn.evaluate import Evaluation

SHARE = 0.02  # of the base's mAP50-95: losing less of it is dead, whatever the base reaches
LIVE, DEAD, UNDERTRAINED, UNKNOWN = "live", "dead", "undertrained", "unknown"


def slot_state(lost: float, record: Mapping[str, Any]) -> str:
    """The state of a slot: `live`, `dead`, `undertrained` or `unknown`.

    An undertrained slot still does harm: zeroing it raises the mAP. So a module there cannot be judged yet.

    Args:
        lost: mAP50-95 that the trained base loses if the slot's output is zeroed; negative if it gains.
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


def too_little(record: Mapping[str, Any]) -> str:
    """The reason why the slots of a base that is not `learned` have no state, as text."""
    return f"the base reaches only {record['intact'] or 0.0:.4f} mAP50-95, which is too little to tell; train longer"


def covers(evaluation: Evaluation | None, slots: Sequence[str]) -> bool:
    """True if an evaluation has the liveness of all these slots."""
    return evaluation is not None and bool(evaluation.liveness) and set(slots) <= set(evaluation.liveness or {})


def averaged(evaluations: Sequence[Evaluation], threshold: float, slots: Sequence[str] | None = None) -> dict[str, Any]:
    """The fields of a `slots` record: means over trained bases.

    Args:
        evaluations: evaluations of the base with `liveness`; if there are none, every slot's state is unknown.
        threshold: a slot is live if zeroing its output costs at least this mAP50-95, or `SHARE` of the base's if that
            is less.
        slots: the slots in the order of the result; None means all slots that were measured.

    Returns:
        `intact` (mAP50-95 of the base), `zeroed` (slot -> mAP50-95 with this slot zeroed), `drop` (slot -> mAP50-95
        lost), `live` (names of the live slots), `threshold` (which decided), `least` (mAP50-95 that a base must reach),
        `trials` (number of bases).
    """
    n = len(evaluations)
    intact = sum(e.map50_95 for e in evaluations) / n if n else None
    measured = [e.liveness or {} for e in evaluations]
    zeroed = {slot: sum(m[slot] for m in measured) / n for slot in (slots or measured[0] if n else ())}
    drop = {slot: intact - z for slot, z in zeroed.items() if intact is not None}
    decides = threshold if intact is None else min(threshold, SHARE * intact)
    live = [slot for slot, lost in drop.items() if lost >= decides] if (intact or 0.0) >= threshold else []
    found = {"intact": intact, "zeroed": zeroed, "drop": drop, "live": live}
    return {**found, "threshold": decides, "least": threshold, "trials": n}
