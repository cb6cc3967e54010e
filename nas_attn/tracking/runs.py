"""The runs that a tracker gets, as plain values: one for each trial, and one for the whole study."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nas_attn.analysis.answer import answer
from nas_attn.analysis.figures import pareto_figure, pareto_numbers
from nas_attn.analysis.front import RULES, Picked, front, judged, pick
from nas_attn.analysis.noise import noise_figures, noise_words
from nas_attn.analysis.tables import Table, front_table, inserted, picks_table
from nas_attn.bundle.winner import yaml_maker
from nas_attn.errors import NasAttnError
from nas_attn.space import NONE, Architecture
from nas_attn.study.trial import Trial
from nas_attn.study.view import StudyView

STUDY = "study"  # id of the run of the whole study
Values = dict[str, float]
Verdicts = Mapping[Architecture, str]


@dataclass(frozen=True)
class Run:
    """One run of a tracker.

    Attributes:
        id: `trial-0003`, or `study`; the same in each tracker.
        name: the name that a tracker shows.
        group: the architecture of a trial without its empty slots, by which runs are grouped; empty for the study.
        settings: what was asked for: architecture, seed, epochs, ...
        labels: texts about the result: state, verdict, flags, ...
        rows: (step, name -> value) in the order of the steps: epochs of a trial, or the number of trials of the study.
        figures: results that have no step: cost, mAP50-95 on the test split, seconds.
        texts: file name -> content.
        failed: True for a failed trial.
        trials: number of trials that the run of the study speaks of; 0 for the run of a trial.
    """

    id: str
    name: str
    group: str
    settings: dict[str, str | int | float]
    labels: dict[str, str]
    rows: tuple[tuple[int, Values], ...]
    figures: Values
    texts: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    trials: int = 0

    @property
    def key(self) -> str:
        """The name under which a tracker remembers that it has this run; the study gets a new one as it grows."""
        return f"{self.id}-{self.trials:04d}" if self.trials else self.id


def trial_id(trial: Trial) -> str:
    """The id of a trial's run."""
    return f"trial-{trial.number:04d}"


def study_key(view: StudyView) -> str:
    """The key that the run of the study has now."""
    return f"{STUDY}-{view.counted:04d}"


def ended(view: StudyView) -> list[Trial]:
    """The trials that get a run: those of this study that have ended. Refused ones were never trained."""
    return [t for t in view.trials if t.state in ("complete", "stopped", "failed") and not t.origin]


def verdicts(view: StudyView) -> Verdicts:
    """The verdict on each candidate by all trials so far; empty if there is none, and for the base."""
    others = [c for c in view.candidates() if not c.architecture.is_base]
    return {c.architecture: str(judged(view, c)["verdict"] or "") for c in others}


def trial_run(view: StudyView, trial: Trial, said: Verdicts) -> Run:
    """The run of a trial that has ended.

    Args:
        view: the study.
        trial: the trial.
        said: the verdicts so far.
    """
    config, found = view.header["config"], trial.evaluation
    genes = {slot: str(gene) for slot, gene in trial.architecture if gene != NONE}
    group = " ".join(inserted(str(trial.architecture)))
    labels = {"state": trial.state, "verdict": said.get(trial.architecture, ""), "reason": trial.reason}
    if labels["verdict"]:
        labels["verdict_after"] = f"{view.counted} trials"
    figures = dict(trial.cost)
    if found is not None:
        labels |= {"flags": ", ".join(found.flags), "device": found.device, "precision": found.precision}
        figures |= {"seconds": found.seconds, "steps_seconds": found.steps_seconds, "val_seconds": found.val_seconds}
        if found.test_map50_95 is not None:
            figures["test_map50_95"] = found.test_map50_95
    return Run(
        id=trial_id(trial),
        name=f"trial {trial.number}, seed {trial.seed}: {group}",
        group=group,
        settings={
            "study": view.name,
            "trial": trial.number,
            "role": trial.role,
            "architecture": group,
            **{f"slot_{slot}": gene for slot, gene in genes.items()},
            "seed": trial.seed,
            "base": str(view.header["base"]),
            **{k: config[k] for k in ("epochs", "imgsz", "start", "final_imgsz") if config.get(k) is not None},
        },
        labels={k: v for k, v in labels.items() if v},
        rows=_curve(trial),
        figures=_finite(figures),
        failed=trial.state == "failed",
    )


def _curve(trial: Trial) -> tuple[tuple[int, Values], ...]:
    """The learning curve: epoch -> loss with its parts, learning rate, mAP. The last epoch always has the scores."""
    found = trial.evaluation
    if found is None:
        return ()
    rows = {int(row["epoch"]): _finite({k: v for k, v in row.items() if k != "epoch"}) for row in found.curve}
    last = rows.setdefault(max(rows, default=found.epochs), {})
    for name, value in _finite({"map50_95": found.map50_95, "map50": found.map50}).items():
        last.setdefault(name, value)
    return tuple(sorted(rows.items()))


def study_run(view: StudyView) -> Run:
    """The run of the whole study: its figures and tables, the Pareto plot, and the YAML of the pick."""
    config, states = view.header["config"], [t.state for t in ended(view)]
    chosen = offered(view)
    figures: dict[str, object] = {
        **{f"{state}_trials": states.count(state) for state in ("complete", "stopped", "failed")},
        "front": len(front(view)),
        "base_map50_95": view.reference,
        **{f"noise_{k}" if not k.startswith("p_") else k: v for k, v in noise_figures(view).items()},
        **{f"live_{slot}": drop for slot, drop in (view.slots or {}).get("drop", {}).items()},
    }
    if chosen is not None:
        told = {**judged(view, chosen.candidate), **chosen.candidate.cost}
        figures |= {f"pick_{k}": v for k, v in told.items()}
    yaml, why = _yaml(view, chosen)
    labels = {"answer": answer(view)}
    if chosen is not None:
        labels |= {"pick": f"{chosen.rule}: {' '.join(inserted(chosen.candidate.key))}", "verdict": chosen.verdict}
    texts = {"study.md": _page(view, why), "front.html": _plot(view)} | ({"pick.yaml": yaml} if yaml else {})
    return Run(
        id=STUDY,
        name=f"study {view.name}",
        group="",
        settings={
            "study": view.name,
            "base": str(view.header["base"]),
            "space_size": view.header.get("space_size", 0),
            **{k: config[k] for k in ("epochs", "imgsz", "start", "sampler", "seed") if config.get(k) is not None},
        },
        labels={k: v for k, v in labels.items() if v},
        rows=((view.counted, _finite(figures)),),
        figures={},
        texts=texts,
        trials=view.counted,
    )


def offered(view: StudyView) -> Picked | None:
    """The pick that `search` offers for export: `simplest`, or `best` if that is the unchanged base; None if none is.

    A study without a trained candidate has none.
    """
    if not front(view):
        return None
    picks = {rule: pick(view, rule) for rule in RULES}
    return picks["best"] if picks["simplest"].candidate.architecture.is_base else picks["simplest"]


def _yaml(view: StudyView, chosen: Picked | None) -> tuple[str, str]:
    """The model YAML of the pick; if it cannot be made, an empty text and the reason."""
    if chosen is None:
        return "", "No candidate is trained yet, so there is no pick."
    try:
        return yaml_maker(view)(chosen.candidate), ""
    except NasAttnError as error:  # the base has changed, or its file is gone
        return "", f"The YAML of the pick could not be made: {error}"


def _page(view: StudyView, remark: str) -> str:
    tables = [("Front and controls", front_table(view)), ("Picks", picks_table(view))]
    parts = [f"# Study {view.name}", answer(view), noise_words(view), remark]
    parts += [f"## {title}\n\n{_markdown(table)}" for title, table in tables if table is not None and table.rows]
    return "\n\n".join(p for p in parts if p) + "\n"


def _markdown(table: Table) -> str:
    rows = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def _plot(view: StudyView) -> str:
    html: str = pareto_figure(pareto_numbers(view)).to_html(include_plotlyjs="cdn")
    return html


def shortened(text: str, longest: int) -> str:
    """The text, if it is not too long; else its begin, and a digest that keeps texts with the same begin apart."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _finite(values: Mapping[str, object]) -> Values:
    """The values that are finite numbers; trackers draw no others."""
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {k: float(v) for k, v in numbers.items() if math.isfinite(v)}
