"""Tables of a study as text, for the report, the dashboard and the terminal."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.difference import percent
from nas_attn.analysis.figure_numbers import liveness_numbers
from nas_attn.evaluate.score import Score
from nas_attn.lines import many
from nas_attn.space import NONE, Architecture
from nas_attn.study.slot_states import UNDERTRAINED, slot_state
from nas_attn.study.trial_settings import trained_with
from nas_attn.study.view import Candidate, StudyView, Trial

if TYPE_CHECKING:
    from nas_attn.analysis.front import Picked

EMPTY = "–"
CONTROLS = ("base", "conv")  # roles of trials
MANY_SLOTS = 4
DEMO = (
    "This is the demo on generated data. Its ranking of modules does not carry over to real data: run the search on "
    "your data before you draw a conclusion."
)


def estimated(score: Score) -> str:
    """The name of an estimate, e.g. `estimated mAP50-95`."""
    return f"estimated {score.words}"


def estimates(score: Score) -> str:
    """Sentences on the estimates."""
    return (
        f"Estimated {score.words}: all trials of the study together, by one model of modules, slots, settings and "
        "seeds. A lucky run counts as one run, so the best of many is not overestimated."
    )


def trial_columns(score: Score) -> tuple[str, ...]:
    """The columns of the table of trials."""
    return (
        *("trial", "state", "role", "architecture", "seed", f"val {score.words}"),
        *(f"test {score.words}", "GMACs", "params (M)", "seconds", "remark"),
    )


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: names of the columns, with units.
        rows: rows with one text per column.
        keys: for each row the key of its candidate; None if the row has no candidate.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[str | None, ...]


def newest_first(table: Table, most: int) -> Table:
    """The table of the last rows, the newest first."""
    newest = slice(None, -most - 1, -1)
    return replace(table, rows=table.rows[newest], keys=table.keys[newest])


def front_table(view: StudyView) -> Table:
    """The table of the front and of the controls that are not on it, the cheapest first."""
    from nas_attn.analysis.front import front
    from nas_attn.analysis.posterior import posterior, verdict

    found = posterior(view)
    on_front = front(view)
    others = [c for c in view.candidates() if c.role in CONTROLS and c not in on_front and c.mean is not None]
    rows, keys = [], []
    for c in sorted([*on_front, *others], key=lambda c: c.gmacs):
        tests = [t.test_score for t in c.trials if t.usable]
        test = [v for v in tests if v is not None]
        at = found.index(c) if found is not None else None
        judged = found is not None and at is not None and not c.architecture.is_base
        difference = found.differences[at] if found is not None and at is not None else None
        rows.append(
            (
                c.key,
                _status(c, c in on_front),
                number(float(found.means[at]) if found is not None and at is not None else c.mean),
                signed(difference.mean) if judged and difference else EMPTY,
                f"{difference.low:+.4f} to {difference.high:+.4f}" if judged and difference else EMPTY,
                percent(difference.above) if judged and difference else EMPTY,
                verdict(c, found) if not c.architecture.is_base else EMPTY,
                percent(float(found.on_front[at])) if found is not None and at is not None else EMPTY,
                str(len(c.seeds)),
                number(c.mean) + (f" ± {c.sd:.4f}" if c.sd is not None else ""),
                number(math.fsum(test) / len(test)) if test else EMPTY,
                f"{c.gmacs:.3f}",
                number(c.cost.get("params_m"), 3),
            )
        )
        keys.append(c.key)
    columns = (
        *("architecture", "status", estimated(view.score), "Δ to base", "95 % interval", "P(better)", "verdict"),
        *("P(front)", "seeds", f"val {view.score.words} ± sd", f"test {view.score.words}", "GMACs", "params (M)"),
    )
    return Table(columns, tuple(rows), tuple(keys))


def picks_table(view: StudyView) -> Table | None:
    """The table of the picks `best`, `knee` and `simplest`; None if no candidate is trained."""
    from nas_attn.analysis.front import RULES, front, pick

    if not front(view):
        return None
    rows, keys = [], []
    for rule in RULES:
        found = pick(view, rule)
        c, d = found.candidate, found.difference
        judged = d is not None and not c.architecture.is_base
        rows.append(
            (
                rule,
                c.key,
                signed(d.mean) if judged and d else EMPTY,
                f"{d.low:+.4f} to {d.high:+.4f}" if judged and d else EMPTY,
                percent(found.right) if found.right is not None else EMPTY,
                str(len(found.seeds)),
                f"{c.gmacs:.3f}",
                _remark(found),
            )
        )
        keys.append(c.key)
    columns = ("pick", "architecture", "Δ to base", "95 % interval", "P(right)", "seeds", "GMACs", "remark")
    return Table(columns, tuple(rows), tuple(keys))


def _remark(picked: Picked) -> str:
    if picked.warning:
        return ("one seed" if picked.seeds else "no seed") + ": train it again"
    return "the unchanged base" if picked.candidate.architecture.is_base else ""


def trials_table(view: StudyView) -> Table:
    """The table of all trials by number, with the reasons of failures and refusals."""
    rows = tuple(tuple(trial_cells(t).values()) for t in view.trials)
    return Table(trial_columns(view.score), rows, tuple(str(t.architecture) for t in view.trials))


def trial_cells(t: Trial) -> dict[str, str]:
    """The cells of a trial by column, as in `trial_columns`."""
    e = t.evaluation
    cells = (
        str(t.number),
        state_of(t),
        t.role,
        str(t.architecture),
        str(t.seed),
        number(t.score),
        number(t.test_score),
        number(t.cost.get("gmacs"), 3),
        number(t.cost.get("params_m"), 3),
        number(e.seconds if e else None, 1),
        "; ".join([*([t.reason] if t.reason else t.flags), *([f"from {t.origin}"] if t.origin else ())]),
    )
    return dict(zip(trial_columns(t.scored_by), cells, strict=True))


def liveness_table(view: StudyView) -> Table | None:
    """The table of the liveness of each slot; None before it is measured."""
    numbers = liveness_numbers(view)
    if numbers is None:
        return None
    searched = view.slots.get("searched", ())
    zeroed = view.slots.get("zeroed", {})
    rows = []
    for slot, lost in numbers.drop:
        state = slot_state(lost, {"threshold": numbers.threshold, **view.slots})
        if state == UNDERTRAINED:
            state = f"{state}: zeroing it raises {numbers.scored_by.words}"
        rows.append((slot, number(zeroed.get(slot)), signed(lost), state, "yes" if slot in searched else "no"))
    return Table(slot_columns(numbers.scored_by), tuple(rows), (None,) * len(rows))


def slot_columns(score: Score) -> tuple[str, ...]:
    """The columns of the table of liveness."""
    return ("slot", f"{score.words} if zeroed", f"{score.words} lost", "state", "searched")


def alias_table(view: StudyView) -> Table | None:
    """The table of genes that compute the same function as another gene of the space; None if there are none.

    It is read from the `aliases` of the header: slot -> {alias: gene in the space}.
    """
    rows = tuple(
        (slot, alias, kept) for slot, pairs in view.header.get("aliases", {}).items() for alias, kept in pairs.items()
    )
    return Table(("slot", "setting", "searched as"), rows, (None,) * len(rows)) if rows else None


def facts(view: StudyView) -> list[tuple[str, str]]:
    """The conditions of a study as pairs (name, value)."""
    config = view.header.get("config", {})
    results = [t.evaluation for t in view.trials if t.evaluation]
    model = str(config.get("model") or view.header.get("base", EMPTY))
    if config.get("width"):
        model += f", width {config['width']}"
    runs = _distinct(f"{many(e.epochs, 'epoch')} at {e.imgsz} px" for e in results)
    fraction = config.get("fraction", 1.0)
    share = f", {fraction:.0%} of the training images" if fraction != 1 else ""
    versions = {"nas_attn": view.header.get("version", EMPTY)} | {k: v for e in results for k, v in e.versions.items()}
    own = [t.evaluation.seconds for t in view.trials if t.evaluation and not t.origin]
    return [
        ("base model", model),
        ("data", str(config.get("data") or "generated data set")),
        ("score", view.score.words + (f", not searched for ({view.searched_by.words} was)" if view.caution else "")),
        ("start", str(config.get("start", EMPTY))),
        ("proxy run", trained_with(runs + share, config)),
        ("cost counted at", f"{config['final_imgsz']} px" if "final_imgsz" in config else EMPTY),
        ("sampler", str(config.get("sampler", EMPTY))),
        ("seeds", _distinct(str(s) for s in sorted({t.seed for t in view.trials}))),
        ("trials", _counts(view)),
        (
            "training time",
            f"{math.fsum(own) / 60:.1f} min for all {'own ' if len(own) < len(results) else ''}trials together",
        ),
        ("device", _distinct(f"{e.device}, {e.precision}" for e in results)),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items())),
        ("run folder", str(view.folder)),
    ]


def state_of(trial: Trial) -> str:
    """The state of a trial: its own, or `together` (trained in a group), or `flagged` (not comparable)."""
    if trial.together:
        return "together"
    return "flagged" if trial.state == "complete" and not trial.usable else trial.state


def counts(view: StudyView) -> dict[str, int]:
    """The number of trials in each state, in a fixed order; states without a trial are left out.

    Trials of earlier studies are counted apart, as `from <study>`.
    """
    states = [state_of(t) for t in view.trials if not t.origin]
    origins = Counter(f"from {t.origin.rpartition(' ')[0]}" for t in view.trials if t.origin)
    order = ("complete", "together", "stopped", "flagged", "failed", "refused", "running")
    return {s: states.count(s) for s in order if s in states} | dict(origins)


def number(value: float | None, digits: int = 4) -> str:
    """The figure as text, or a dash."""
    return EMPTY if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """The difference with its sign, or a dash."""
    return EMPTY if value is None else f"{value:+.4f}"


def genes(architecture: str) -> list[str]:
    """The genes of an architecture in text form; with many slots, only those that insert a module."""
    written = re.split(r" (?=[\w.]+=)", architecture)
    if len(written) <= MANY_SLOTS:
        return written
    return [gene for gene in written if not gene.endswith("=none")] or [f"none in all {len(written)} slots"]


def inserted(architecture: str) -> list[str]:
    """The genes of an architecture in text form, without those of empty slots."""
    return [f"{slot}={gene}" for slot, gene in Architecture.parse(architecture) if gene != NONE] or ["the base"]


def _status(candidate: Candidate, on_front: bool) -> str:
    control = [f"{candidate.role} (control)"] if candidate.role in CONTROLS else []
    return ", ".join([*(["front"] if on_front else []), *control])


def _counts(view: StudyView) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts(view).items()) or "none yet"


def _distinct(values: Any) -> str:
    return ", ".join(dict.fromkeys(values)) or EMPTY
