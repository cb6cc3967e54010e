"""The card of one candidate: its settings, results, learning curves and model YAML."""

from __future__ import annotations

from collections.abc import Callable

from nas_attn.analysis.difference import percent
from nas_attn.analysis.figures import curve_figure, curve_numbers
from nas_attn.analysis.posterior import posterior, verdict
from nas_attn.analysis.tables import EMPTY, MANY_SLOTS, estimated, number, picks_table, state_of
from nas_attn.dashboard.blocks import Block, Plot, details, element, facts, table, text
from nas_attn.errors import NasAttnError
from nas_attn.study.training_loss import predicted
from nas_attn.study.view import Candidate, StudyView

CLICK_HINT = "Click a point or a row of a table to see its settings, learning curves and model YAML."
NO_YAML = "To see the model YAML, start this page with `python -m nas_attn dashboard`."


def candidate_blocks(
    view: StudyView, candidate: Candidate | None, yaml_of: Callable[[Candidate], str] | None
) -> list[Block]:
    """The content of the card; without a candidate, a hint on how to choose one."""
    if candidate is None:
        return [text(CLICK_HINT, "soft")]
    numbers = curve_numbers(view, candidate)
    curves = Plot(curve_figure(numbers), "curves", tools=True) if numbers.curves else text("No trial has ended yet.")
    yaml = yaml_block(candidate, yaml_of, id="yaml") if yaml_of else text(NO_YAML, "soft")
    return [
        facts([*settings(candidate), *_results(view, candidate)], "facts one"),
        details("Learning curves", curves, open="open"),
        details("Model YAML", yaml, open="open"),
    ]


def picks_blocks(view: StudyView) -> list[Block]:
    """The table of picks; nothing before a candidate is trained."""
    picks = picks_table(view)
    return [table(picks, "picks"), element("br")] if picks is not None else []


def yaml_block(candidate: Candidate, yaml_of: Callable[[Candidate], str], **attributes: str) -> Block:
    """The model YAML of a candidate, or the reason why it cannot be built."""
    try:
        return element("pre", yaml_of(candidate), **attributes)
    except NasAttnError as error:
        return text(str(error))


def settings(candidate: Candidate) -> list[tuple[str, str]]:
    """Pairs (slot, gene); with many slots, only the filled ones."""
    every = [(slot, str(gene)) for slot, gene in candidate.architecture]
    filled = [(slot, gene) for slot, gene in every if gene != "none"]
    if len(every) <= MANY_SLOTS or len(filled) == len(every):
        return every
    return [*filled, ("other slots" if filled else "slots", f"none in all {len(every) - len(filled)}")]


def _results(view: StudyView, candidate: Candidate) -> list[tuple[str, str]]:
    spread = f" ± {candidate.sd:.4f}" if candidate.sd is not None else ""
    seeds = ", ".join(map(str, candidate.seeds)) or EMPTY
    rows = [(f"val {view.score.words}", number(candidate.mean) + spread), ("seeds", seeds)]
    found = posterior(view)
    at = found.index(candidate) if found is not None else None
    if found is not None and at is not None:
        rows.insert(0, (estimated(view.score), number(float(found.means[at]))))
        if not candidate.architecture.is_base:
            d = found.differences[at]
            interval = f"95 % interval {d.low:+.4f} to {d.high:+.4f}"
            rows.append(("Δ to base", f"{d.mean:+.4f}, {interval} ({verdict(candidate, found)})"))
            rows.append(("better than base", f"with a probability of {percent(d.above)}"))
        rows.append(("on the front", f"with a probability of {percent(float(found.on_front[at]))}"))
    rows.append(("cost", f"{candidate.gmacs:.3f} GMACs, {number(candidate.cost.get('params_m'), 3)} M parameters"))
    trials = [f"{t.number} ({state_of(t)})" for t in candidate.trials]
    rows.append(("trials", ", ".join(trials)))
    whole = [t for t in candidate.trials if t.evaluation and t.stopped is None and not t.together]
    flags = dict.fromkeys(f for t in whole for f in t.flags)
    if flags:
        rows.append(("not comparable", ", ".join(flags)))
    rows += [(f"trial {t.number} failed", t.reason) for t in candidate.trials if t.state == "failed"]
    ends = predicted(view.trials)
    for t in candidate.trials:
        if t.stopped is not None:
            end = f"; expected to end at {ends[t.number].value:.4f} {view.score.words}" if t.number in ends else ""
            rows.append((f"trial {t.number} stopped", f"after epoch {t.stopped}, below the front{end}"))
    return rows
