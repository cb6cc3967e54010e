"""States of slots, live or dead, from the liveness that trained bases measured; for a search and an ablation alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas_attn.evaluate import Evaluation

LIVE, DEAD, UNDERTRAINED, UNKNOWN = "live", "dead", "undertrained", "unknown"


def slot_state(lost: float, record: Mapping[str, Any]) -> str:
    """`live`, `dead`, `undertrained` (it does harm as yet, so a module there cannot be judged), or `unknown`.

    Args:
        lost: mAP50-95 that zeroing the slot's output costs the trained base; negative if it helps.
        record: the `slots` record with it.
    """
    threshold = float(record["threshold"])
    if not learned(record):
        return UNKNOWN
    if lost >= threshold:
        return LIVE
    return UNDERTRAINED if lost <= -threshold else DEAD


def learned(record: Mapping[str, Any]) -> bool:
    """True if a `slots` record's base scores enough for any slot to be worth the threshold."""
    return record["intact"] is not None and float(record["intact"]) >= float(record["threshold"])


def too_little(record: Mapping[str, Any]) -> str:
    """The reason why nothing can be said of the slots of a base that is not `learned`."""
    return f"the base reaches {record['intact'] or 0.0:.4f} mAP50-95 only, which is too little to tell; train longer"


def averaged(evaluations: Sequence[Evaluation], threshold: float, slots: Sequence[str] | None = None) -> dict[str, Any]:
    """Fields of a `slots` record, over bases whose liveness was measured.

    Args:
        evaluations: of the base, with `liveness`; without any, nothing is known of any slot.
        threshold: mAP50-95 that zeroing a live slot costs at least.
        slots: the slots, in the order of the result; all that were measured if None.

    Returns:
        `intact` (mAP50-95), `zeroed`, `drop` (slot -> mAP50-95), `live` (slots), `threshold`, `trials` (the bases).
    """
    n = len(evaluations)
    intact = sum(e.map50_95 for e in evaluations) / n if n else None
    measured = [e.liveness or {} for e in evaluations]
    zeroed = {slot: sum(m[slot] for m in measured) / n for slot in (slots or measured[0] if n else ())}
    drop = {slot: intact - z for slot, z in zeroed.items() if intact is not None}
    live = [slot for slot, lost in drop.items() if lost >= threshold]
    return {"intact": intact, "zeroed": zeroed, "drop": drop, "live": live, "threshold": threshold, "trials": n}
