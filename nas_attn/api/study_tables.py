"""The tables of a study as `Listing` values: the front, the picks and the modules."""

from __future__ import annotations

from nas_attn.analysis.effects.estimate import Cell, effect_numbers
from nas_attn.analysis.effects.module_table import module_table
from nas_attn.analysis.front import RULES, Picked, front, pick
from nas_attn.analysis.noise import noise_words
from nas_attn.analysis.tables import Table, estimated, estimates, front_table, picks_table
from nas_attn.api.listing import Listing
from nas_attn.api.study_dict import record
from nas_attn.study.trial import Candidate
from nas_attn.study.view import StudyView

# columns in a terminal; in others, columns -> their titles there
BEFORE_ESTIMATE = ("architecture", "Δ to base", "95 % interval", "verdict", "seeds", "GMACs")
AFTER_ESTIMATE = ("status", "P(front)", "params (M)")
MODULES = {
    "module": "module",
    "trials": "trials",
    "effect over all slots": "effect",
    "95 % interval": "95 % interval",
    "verdict": "verdict",
    "best architecture": "best architecture",
    "Δ to base": "Δ to base",
}


def front_listing(view: StudyView) -> Listing[Candidate]:
    """The front, see `Study.front`."""
    found = front(view)
    records = [record(view, c) for c in found]
    title, estimate = "front and controls, cheapest first", estimated(view.score)
    narrow = {
        **{name: name for name in BEFORE_ESTIMATE},
        estimate: view.score.words,
        **{name: name for name in AFTER_ESTIMATE},
    }
    return Listing(
        found,
        records,
        front_table(view),
        title=title,
        narrow=narrow,  # a narrow terminal leaves these out, in this order:
        optional=("params (M)", "P(front)", "status", estimate, "seeds", "95 % interval", "GMACs"),
        note=f"{estimates(view.score)}\n{noise_words(view)}",
    )


def picks_listing(view: StudyView) -> Listing[Picked]:
    """The picks, see `Study.picks`."""
    found = [pick(view, rule) for rule in RULES] if front(view) else []
    records = [{"pick": p.rule, **record(view, p.candidate), "p_right": p.right} for p in found]
    table = picks_table(view) or Table(("pick",), (), ())
    note = "" if found else "No candidate is trained yet."
    optional = ("remark", "seeds", "95 % interval", "GMACs")
    return Listing(found, records, table, title="picks", optional=optional, note=note)


def modules_listing(view: StudyView) -> Listing[Cell]:
    """The modules, see `Study.modules`."""
    numbers = effect_numbers(view)
    table = module_table(view, numbers)
    records = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    optional = ("best architecture", "Δ to base")
    return Listing(numbers.overall, records, table, title="modules", narrow=MODULES, optional=optional)
