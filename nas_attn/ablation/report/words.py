"""An ablation's figures in words: verdicts, the summary, the method behind a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nas_attn.ablation.decide import DEAD, NO_DIFFERENCE, UNDECIDED, UNTESTED, WAITING, Decision
from nas_attn.ablation.design import Contrast
from nas_attn.ablation.view import EARLIER, AblationView
from nas_attn.statistics.paired import ALPHA, MIN_PAIRS
from nas_attn.study.slot_states import UNDERTRAINED

PARTIAL = "PARTIAL: training is not finished"
MOST_NAMES = 8  # in a sentence
MANY_SEEDS = 1000  # more than anybody trains: the number itself says nothing


def shown_verdict(view: AblationView, decision: Decision) -> str:
    """The verdict as tables count it: `dead` if only dead slots differ, trained or not, unless a claim stands."""
    kept = decision.contrast in view.in_dead_slots and decision.verdict in (NO_DIFFERENCE, UNDECIDED, UNTESTED)
    return DEAD if kept else decision.verdict


def words(view: AblationView, decision: Decision) -> str:
    """A verdict as a person reads it."""
    d = decision
    if shown_verdict(view, d) == DEAD:
        tail = "left out" if d.verdict == DEAD else "trained all the same"
        return f"{_unneeded(view, d.contrast)} ({tail})"
    if d.verdict == WAITING:
        ended = d.result.n if d.result is not None else 0
        return f"waiting: {ended} of {view.looks.seeds[0]} seeds"
    if d.verdict == UNTESTED:
        return f"not tested: {_why_untested(view, d)}"
    if d.verdict == NO_DIFFERENCE:
        return f"no difference shown: one of {d.difference:g} or more is excluded{_missing(view, d)}"
    if d.verdict == UNDECIDED:
        if not d.final and view.looks.sequential:
            return f"undecided so far: goes on to {view.looks.seeds[d.looks]} seeds{_missing(view, d)}"
        if d.more is None or d.more >= MANY_SEEDS:
            return f"undecided: needs more than {MANY_SEEDS} seeds to see {d.difference:g}{_missing(view, d)}"
        seeds = f"{d.more} more seed{'s' * (d.more != 1)}"
        seen = f"(power {_share(d.power_then)} to see {d.difference:g})"
        return f"undecided: needs about {seeds} {seen}{_missing(view, d)}"
    return f"{d.verdict}{_missing(view, d)}"


def _unneeded(view: AblationView, contrast: Contrast) -> str:
    """The reason that a contrast in slots that the base does not need shows nothing."""
    model = view.dead_on(contrast)[0]
    dead = [s for s in contrast.slots if s in view.dead_slots(model)]
    states = view.states(dead, model)
    said = " and ".join(
        f"slot {slots[0]} is {state}" if len(slots) == 1 else f"slots {', '.join(slots)} are {state}"
        for state, slots in states.items()
    )
    whose = "its" if len(dead) == 1 else "their"
    if set(states) == {UNDERTRAINED}:
        return f"{said}: the base is better without {whose} output, so no module can be judged there"
    return f"{said}: the base does not need {whose} output, so no module can show there"


def _missing(view: AblationView, d: Decision) -> str:
    """The part of the seeds that a verdict rests on, if some have no comparable pair."""
    asked, pairs = view.looks.seeds[d.looks - 1], d.result.n if d.result is not None else 0
    return f"; on the {pairs} of {asked} seeds that can be compared" if pairs < asked else ""


def _why_untested(view: AblationView, d: Decision) -> str:
    if d.base_failed:
        scales = (view.design.arm(name).model for name in d.contrast.arms)
        return f"the base could not be trained on {next(m for m in scales if view.base_failed(m))}"
    if d.result is None:
        return "no seed gave a comparable pair"
    if d.low:
        return f"no arm reaches {d.difference:g} mAP50-95, so none could lose it: train longer"
    if d.result.n < MIN_PAIRS:
        return f"at least {MIN_PAIRS} seeds are needed, {d.result.n} can be compared"
    return "all differences are equal, so there is no spread to compare with"


def summary(view: AblationView) -> str:
    """The result of the table against the base, in a sentence."""
    found = [d for d in view.decisions if d.contrast.family == "base"]
    parts = []
    for word, text in _COUNTED.items():
        if items := [d for d in found if shown_verdict(view, d) == word]:
            labels = [d.contrast.label for d in items]
            rest = [f"and {len(labels) - MOST_NAMES} more"] if len(labels) > MOST_NAMES else []
            names = f" ({', '.join((*labels[:MOST_NAMES], *rest))})" if word in _NAMED else ""
            parts.append(f"{len(items)} {text}{names}")
    head = f"{len(found)} comparison{'s' * (len(found) != 1)} with the base: {', '.join(parts) or 'none yet'}."
    return f"Partial: training is not finished. {head}" if view.partial else head


_NAMED = ("better", "worse")
_COUNTED = {
    "better": "better",
    "worse": "worse",
    NO_DIFFERENCE: "without a difference shown",
    UNDECIDED: "undecided",
    DEAD: "on slots that the base does not need",
    WAITING: "waiting for seeds",
    UNTESTED: "not tested",
}


def about(view: AblationView) -> str:
    """The architecture, the base, the data and the training behind all tables, in sentences."""
    c = view.header["config"]
    data = c.get("data") or "the generated data set"
    full = view.header["ablation"]["full"]
    how = f"{c['epochs']} epochs at {c['imgsz']} px, start {c['start']}"
    trained = f"Data: {data}. Each trial: {how}. Seeds: {planned_seeds(view)}."
    return f"Full architecture: {full}. Base model: {view.header['base']}. {trained}"


def method(view: AblationView, family: str) -> str:
    """The method behind the figures of a table, in sentences."""
    found = [d for d in view.decisions if d.contrast.family == family and d.verdict != DEAD]
    looks, own = view.looks, view.header["ablation"]
    over = f" ({100 * (1 - ALPHA):g} % over all looks)" if looks.count > 1 else ""
    used = "" if view.fresh else ", which the search or another ablation has used before"
    pairs = "at equal seeds" if family != "a/a" else "between other seeds"
    excluded = ""
    if any(shown_verdict(view, d) == NO_DIFFERENCE for d in found):
        excluded = (
            f' "{NO_DIFFERENCE[0].upper()}{NO_DIFFERENCE[1:]}" rests on each comparison\'s own interval, which is '
            "uncorrected for the family."
        )
    return (
        f"mAP50-95, mean ± sd over seeds from {own['seed']} on{used}; Δ: difference {pairs} with its {level(view)} "
        f"interval{over} (Student's t), seed by seed{_apart(view, found)}; p: {_tested(view, found)}; d: standardised "
        f"difference (d_z, Hedges' correction). {_chance(view, found)}{excluded} {_mattering(view)}"
    )


def _tested(view: AblationView, found: Sequence[Decision]) -> str:
    """The test behind the p-values of a table, and their correction."""
    looks = view.looks
    if not any(d.p is not None for d in found):
        return "none yet" if any(d.verdict == WAITING for d in found) else "none, as nothing could be tested"
    test = "paired t-test"
    if len(found) > 1:
        test += f", Holm-corrected over {len(found)} comparisons"
    if looks.count > 1:
        test += f" and multiplied by {looks.count} looks (at {', '.join(map(str, looks.seeds))} seeds)"
    return test


def _apart(view: AblationView, found: Sequence[Decision]) -> str:
    """The reasons that a difference may not be that of the means in the table against the base; empty if it is."""
    ended = Counter(name for name, _ in view.values)

    def seeds(d: Decision) -> int:
        return view.looks.seeds[d.looks - 1] if d.looks else min(ended[name] for name in d.contrast.arms)

    means = {base.name: ended[base.name] for base in map(view.design.base_of, view.design.models)}
    means |= {d.contrast.arms[0]: seeds(d) for d in view.decisions if d.contrast.family == "base" and d.indices}
    compared = [(d, name) for d in found if d.result is not None for name in d.contrast.arms]
    why = []
    if any(view.values.get((name, i), 0) is None for d, name in compared for i in range(seeds(d))):
        why.append("trials failed or cannot be compared")
    if any(means.get(name, seeds(d)) != seeds(d) for d, name in compared):
        why.append("comparisons went to different numbers of seeds")
    return f", so where {' or '.join(why)} it is not the difference of the means" if why else ""


def _chance(view: AblationView, found: Sequence[Decision]) -> str:
    """The rate of false claims of a table like this."""
    looks, chance = view.looks, f"{100 * ALPHA:g} %"
    later = [w for w, yes in (("seeds", looks.added), ("comparisons", looks.widened)) if yes]
    if later:
        most = f"{100 * ALPHA * looks.spent:.2g} %"
        chance += f" ({' and '.join(later)} were added after results had been seen: false claims up to {most})"
    return f"Verdicts of this table at {chance}; val decides, test is not used for anything."


def _mattering(view: AblationView) -> str:
    """The smallest difference that matters, and its earlier values if it was changed after results had been seen."""
    said = f"The smallest difference that matters was set to {float(view.settings['difference']):g}"
    earlier = [f"{float(v):g}" for v in view.settings.get(EARLIER) or ()]
    return f"{said} after results had been seen; before it was {', then '.join(earlier)}." if earlier else f"{said}."


def confidence(view: AblationView) -> float:
    """The confidence of every interval in an ablation's tables: all looks share one chance to mislead."""
    return 1 - ALPHA / view.looks.count


def level(view: AblationView) -> str:
    """The confidence in writing: `95 %`, `98.75 %`."""
    return f"{100 * confidence(view):.4g} %"


def planned_seeds(view: AblationView) -> str:
    """The planned number of seeds and the first of them, in writing."""
    seeds, first = view.looks.seeds, view.header["ablation"]["seed"]
    looks = f"{seeds[0]}" if len(seeds) == 1 else f"{', '.join(map(str, seeds))} (looked at each time)"
    return f"{looks}, from {first} on"


def ranges(numbers: tuple[int, ...]) -> str:
    """Ascending numbers in short: `0-2, 5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def _share(value: float | None) -> str:
    return "?" if value is None else "> 0.99" if value > 0.99 else f"{value:.2f}"
