"""The judgements of an earlier release, to compare with: raw differences, and the additive model with Holm's test."""

from __future__ import annotations

import math

import numpy as np
from additive_model import fit

from nas_attn.analysis.posterior import comparable
from nas_attn.space import NONE
from nas_attn.statistics.holm import holm
from nas_attn.statistics.spread import moments, pooled, student
from nas_attn.study.view import StudyView

LEAST = 3  # least architectures for a claim about a module


def additive_claims(view: StudyView) -> dict[tuple[str, str], int]:
    """(slot, module) -> 1 or -1, where the additive model called a module better or worse than the base."""
    rows = [t for t in comparable(view) if t.usable]  # that release had no stopped trials
    present = [{(s, g.module) for s, g in t.architecture if g != NONE} for t in rows]
    keys = sorted({k for found in present for k in found})
    design = np.array([[k in found for k in keys] for found in present], float)
    fitted = fit(
        np.array([t.map50_95 for t in rows]), design, [t.seed for t in rows], [str(t.architecture) for t in rows]
    )
    many = {k: len({t.architecture for t, p in zip(rows, present, strict=True) if k in p}) >= LEAST for k in keys}
    tested = [
        (k, e) for k, e in zip(keys, fitted.effects, strict=True) if many[k] and e is not None and e.p is not None
    ]
    corrected = holm([e.p for _, e in tested if e.p is not None]) if tested else []
    return {k: 1 if e.estimate > 0 else -1 for (k, e), p in zip(tested, corrected, strict=True) if p < 0.05}


def raw_claims(view: StudyView) -> int:
    """The number of candidates that the front's table called better or worse than the base, each judged alone."""
    candidates = view.candidates()
    controls = [c for c in candidates if c.role in ("base", "conv") and c.sd]
    if not controls:
        return 0
    sd, df = pooled((len(c.seeds) - 1, c.sd or 0.0) for c in controls)
    unpaired = student(df) * sd * math.sqrt(2)
    groups = [[t.delta for t in c.trials if t.delta is not None] for c in candidates]
    spreads = [(len(g) - 1, s) for g in groups if (s := moments(g)[1]) is not None]
    sd, df = pooled(spreads) if spreads else (sd * math.sqrt(2), df)
    paired = student(df) * sd
    limit = paired if df >= 8 else max(paired, unpaired)
    return sum(
        not c.architecture.is_base and c.delta is not None and abs(c.delta) > limit / math.sqrt(max(1, len(c.seeds)))
        for c in candidates
    )
