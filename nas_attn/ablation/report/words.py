"""Sentences on an ablation: verdicts, the summary, the method of each table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nas_attn.ablation.decide import DEAD, NO_DIFFERENCE, UNDECIDED, UNTESTED, WAITING, Decision
from nas_attn.ablation.design import Contrast
from nas_attn.ablation.view import EARLIER, AblationView
from nas_attn.lines import many
from nas_attn.statistics.paired import ALPHA, MIN_PAIRS
from nas_attn.study.slot_states import UNDERTRAINED
from nas_attn.study.trial_settings import trained_with

PARTIAL = "PARTIAL: training is not finished"
MOST_NAMES = 8  # names in a sentence
MANY_SEEDS = 1000  # nobody trains more, so the exact number does not help


def shown_verdict(view: AblationView, decision: Decision) -> str:
    """The verdict in tables: `dead` if only dead slots differ, unless a difference was shown."""
    kept = decision.contrast in view.in_dead_slots and decision.verdict in (NO_DIFFERENCE, UNDECIDED, UNTESTED)
    return DEAD if kept else decision.verdict


def words(view: AblationView, decision: Decision) -> str:
    """The verdict in words."""
    d = decision
    if shown_verdict(view, d) == DEAD:
        tail = "left out" if d.verdict == DEAD else "trained nevertheless"
        return f"{_unneeded(view, d.contrast)} ({tail})"
    if d.verdict == WAITING:
        ended = d.result.n if d.result is not None else 0
        return f"waiting: {ended} of {view.looks.seeds[0]} seeds have ended"
    if d.verdict == UNTESTED:
        return f"not tested: {_why_untested(view, d)}"
    if d.verdict == NO_DIFFERENCE:
        return f"no difference shown: a difference of {d.difference:g} or more is excluded{_missing(view, d)}"
    if d.verdict == UNDECIDED:
        if not d.final and view.looks.sequential:
            return f"undecided so far: training continues to {view.looks.seeds[d.looks]} seeds{_missing(view, d)}"
        if d.more is None or d.more >= MANY_SEEDS:
            return f"undecided: more than {MANY_SEEDS} seeds are needed to detect {d.difference:g}{_missing(view, d)}"
        seeds = f"{d.more} more seed{'s are' if d.more != 1 else ' is'}"
        seen = f"to detect {d.difference:g} (power {_share(d.power_then)})"
        return f"undecided: about {seeds} needed {seen}{_missing(view, d)}"
    return f"{d.verdict}{_missing(view, d)}"


def _unneeded(view: AblationView, contrast: Contrast) -> str:
    """The reason why a contrast in dead slots cannot show a difference."""
    model = view.dead_on(contrast)[0]
    dead = [s for s in contrast.slots if s in view.dead_slots(model)]
    return "; ".join(_state_words(state, slots) for state, slots in view.states(dead, model).items())


def _state_words(state: str, slots: Sequence[str]) -> str:
    """Slots of one state, and the reason why no module can be judged there."""
    one = len(slots) == 1
    said = f"slot {slots[0]} is {state}" if one else f"slots {', '.join(slots)} are {state}"
    whose = "its" if one else "their"
    if state == UNDERTRAINED:
        return f"{said}: the base scores higher without {whose} output, so no module can be judged there"
    return f"{said}: the base does not need {whose} output, so no module can make a difference there"


def _missing(view: AblationView, d: Decision) -> str:
    """The number of compared seeds, if some seeds have no comparable pair; otherwise empty."""
    asked, pairs = view.looks.seeds[d.looks - 1], d.result.n if d.result is not None else 0
    return f"; only {pairs} of {asked} seeds can be compared" if pairs < asked else ""


def _why_untested(view: AblationView, d: Decision) -> str:
    if d.base_failed:
        scales = (view.design.arm(name).model for name in d.contrast.arms)
        return f"the base could not be trained on {next(m for m in scales if view.base_failed(m))}"
    if d.result is None:
        return "no seed gave a comparable pair"
    if d.low:
        return f"no arm reaches {d.difference:g} {view.score.words}, so no arm can lose that much: train longer"
    if d.result.n < MIN_PAIRS:
        return f"at least {MIN_PAIRS} seeds are needed, but only {d.result.n} can be compared"
    return "all differences are equal, so their standard deviation is 0"


def summary(view: AblationView) -> str:
    """A sentence on the results of the table against the base."""
    found = [d for d in view.decisions if d.contrast.family == "base"]
    parts = []
    for word, text in _COUNTED.items():
        if items := [d for d in found if shown_verdict(view, d) == word]:
            labels = [d.contrast.label for d in items]
            rest = [f"and {len(labels) - MOST_NAMES} more"] if len(labels) > MOST_NAMES else []
            names = f" ({', '.join((*labels[:MOST_NAMES], *rest))})" if word in _NAMED else ""
            parts.append(f"{len(items)} {text}{names}")
    head = f"{many(len(found), 'comparison')} with the base: {', '.join(parts) or 'none yet'}."
    return f"Partial: training is not finished. {head}" if view.partial else head


_NAMED = ("better", "worse")
_COUNTED = {
    "better": "better",
    "worse": "worse",
    NO_DIFFERENCE: NO_DIFFERENCE,
    UNDECIDED: "undecided",
    DEAD: "in dead slots",
    WAITING: "waiting for seeds",
    UNTESTED: "not tested",
}


def about(view: AblationView) -> str:
    """Sentences on the architecture, the base, the data and the training behind all tables."""
    c = view.header["config"]
    data = c.get("data") or "the generated data set"
    full = view.header["ablation"]["full"]
    how = trained_with(f"{many(c['epochs'], 'epoch')} at {c['imgsz']} px, start {c['start']}", c)
    trained = f"Data: {data}. Each trial: {how}. Seeds: {planned_seeds(view)}."
    return f"Full architecture: {full}. Base model: {view.header['base']}. {trained}"


def method(view: AblationView, family: str) -> str:
    """Sentences on the method behind the figures of a table."""
    found = [d for d in view.decisions if d.contrast.family == family and d.verdict != DEAD]
    looks, own = view.looks, view.header["ablation"]
    over = f" ({100 * (1 - ALPHA):g} % for all looks together)" if looks.count > 1 else ""
    used = "" if view.fresh else " (the search or another ablation has used these seeds before)"
    pairs = "at equal seeds" if family != "a/a" else "between different seeds"
    excluded = ""
    if any(shown_verdict(view, d) == NO_DIFFERENCE for d in found):
        excluded = (
            f' The verdict "{NO_DIFFERENCE}" comes from the interval of each comparison, which is not corrected for '
            "the number of comparisons."
        )
    return (
        f"{view.score.words}: mean ± standard deviation over seeds, from seed {own['seed']} on{used}. "
        f"Δ: mean of the differences {pairs}, with its {level(view)} confidence interval{over}, by Student's t. "
        f"{_apart(view, found)}"
        f"p: {_tested(view, found)}. d: standardised difference (d_z with Hedges' correction). "
        f"{_chance(view, found)}{excluded} {_mattering(view)}"
    )


def _tested(view: AblationView, found: Sequence[Decision]) -> str:
    """The test and the correction behind the p-values of a table."""
    looks = view.looks
    if not any(d.p is not None for d in found):
        return "none yet" if any(d.verdict == WAITING for d in found) else "none, because no test was possible"
    test = "paired t-test"
    if len(found) > 1:
        test += f", Holm-corrected for {len(found)} comparisons"
    if looks.count > 1:
        test += (
            f" and multiplied by {looks.count}, the number of looks (tests at {', '.join(map(str, looks.seeds))} seeds)"
        )
    return test


def _apart(view: AblationView, found: Sequence[Decision]) -> str:
    """A sentence if a Δ can differ from the difference of the means in the table against the base; otherwise empty."""
    ended = Counter(name for name, _ in view.values)

    def seeds(d: Decision) -> int:
        return view.looks.seeds[d.looks - 1] if d.looks else min(ended[name] for name in d.contrast.arms)

    means = {base.name: ended[base.name] for base in map(view.design.base_of, view.design.models)}
    means |= {d.contrast.arms[0]: seeds(d) for d in view.decisions if d.contrast.family == "base" and d.indices}
    compared = [(d, name) for d in found if d.result is not None for name in d.contrast.arms]
    why = []
    if any(view.values.get((name, i), 0) is None for d, name in compared for i in range(seeds(d))):
        why.append("some trials failed or cannot be compared")
    if any(means.get(name, seeds(d)) != seeds(d) for d, name in compared):
        why.append("comparisons have different numbers of seeds")
    return f"Δ can differ from the difference of the means, because {' and '.join(why)}. " if why else ""


def _chance(view: AblationView, found: Sequence[Decision]) -> str:
    """A sentence on the rate of false claims in this table."""
    looks, chance = view.looks, f"{100 * ALPHA:g} %"
    later = [w for w, yes in (("seeds", looks.added), ("comparisons", looks.widened)) if yes]
    if later:
        most = f"{100 * ALPHA * looks.spent:.2g} %"
        chance += f"; {' and '.join(later)} were added after results had been seen, which raises it to {most}"
    return (
        f"Chance of any false claim in this table: at most {chance}. Only val decides; test is shown for information."
    )


def _mattering(view: AblationView) -> str:
    """A sentence on the smallest difference that matters, with former values if it was changed after first results."""
    said = f"Smallest difference that matters: {float(view.settings['difference']):g}"
    earlier = [f"{float(v):g}" for v in view.settings.get(EARLIER) or ()]
    return (
        f"{said}, set after results had been seen; before, it was {', then '.join(earlier)}." if earlier else f"{said}."
    )


def confidence(view: AblationView) -> float:
    """The confidence of each interval in an ablation's tables; the level is divided by the number of looks."""
    return 1 - ALPHA / view.looks.count


def level(view: AblationView) -> str:
    """The confidence as text, e.g. `95 %` or `98.75 %`."""
    return f"{100 * confidence(view):.4g} %"


def planned_seeds(view: AblationView) -> str:
    """The planned numbers of seeds and the first seed, as text."""
    seeds, first = view.looks.seeds, view.header["ablation"]["seed"]
    looks = f"{seeds[0]}" if len(seeds) == 1 else f"{', then '.join(map(str, seeds))} (tested each time)"
    return f"{looks}, from seed {first} on"


def ranges(numbers: tuple[int, ...]) -> str:
    """Ascending numbers as short text, e.g. `0-2, 5`."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def _share(value: float | None) -> str:
    return "?" if value is None else "> 0.99" if value > 0.99 else f"{value:.2f}"
