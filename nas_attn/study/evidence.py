"""Trials of an earlier study as evidence in another one: `search NEW --from OLD`.

A trial counts if it would be the same run in the new study: the same base, data, recipe and fidelity, an architecture
that the new study can express, the same source of its modules, the same kind of device. Its records are copied into the
new log, and say where each trial came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas_attn.errors import StudyChanged
from nas_attn.space import NONE, Architecture
from nas_attn.study.config import MAY_CHANGE, StudyConfig
from nas_attn.study.plan import Plan
from nas_attn.study.trial import Trial
from nas_attn.study.view import StudyView

FREE = {  # fields that decide what is searched and in which order, but not what a run measures
    *MAY_CHANGE, "name", "demo", "data", "model", "weights", "space", "modules", "slots", "sampler", "seed",
    "control_seeds", "dead_slots", "live_threshold",
}  # fmt: skip
NAMES = ("data", "base", "weights", "evaluator")  # fingerprints that must be equal


@dataclass(frozen=True)
class Evidence:
    """The trials of an earlier study that count in another one.

    Attributes:
        name: the earlier study.
        trials: its trials that count, each with its architecture on the slots of the new study.
        left_out: reason -> number of trials that do not count for it.
        differs: settings in which the studies differ although their trials compare.
    """

    name: str
    trials: tuple[Trial, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    differs: tuple[str, ...] = ()

    def words(self) -> str:
        """The evidence as a sentence."""
        n = len(self.trials)
        parts = [f"{n} trial{'s' * (n != 1)} of study '{self.name}' count{'s' * (n == 1)} as evidence"]
        if self.differs:
            parts.append(f"the studies differ in {', '.join(self.differs)}")
        if self.left_out:
            parts.append("left out: " + ", ".join(f"{n} ({reason})" for reason, n in self.left_out.items()))
        return "; ".join(parts) + "."


def evidence_of(earlier: StudyView, plan: Plan, known: Sequence[Trial]) -> Evidence:
    """The trials of an earlier study that count in the study of a plan, and are not in it yet.

    Args:
        earlier: the earlier study.
        plan: the plan of the new study.
        known: the trials of the new study so far.

    Raises:
        StudyChanged: the runs of the two studies do not compare; the message lists all differences.
    """
    _check_comparable(earlier, plan)
    there = {t.origin for t in known}
    found: list[Trial] = []
    reasons: Counter[str] = Counter()
    for trial in earlier.trials:
        if (
            trial.state == "refused"
            or origin(earlier, trial) in there
            or trial.origin.startswith(f"{plan.config.name} ")
        ):
            continue
        architecture = _expressed(trial.architecture, plan)
        if (reason := _obstacle(trial, architecture, earlier, plan)) is not None:
            reasons[reason] += 1
        elif architecture is not None:
            found.append(_moved(trial, architecture, origin(earlier, trial), plan))
    return Evidence(earlier.name, tuple(found), dict(reasons), tuple(_free_differences(earlier, plan)))


def origin(earlier: StudyView, trial: Trial) -> str:
    """The text by which a record says where its trial came from."""
    return trial.origin or f"{earlier.name} {trial.number}"


def records_of(evidence: Evidence, first: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records that put the evidence into a log: kind and fields of each.

    Args:
        evidence: the evidence.
        first: number of its first trial there.
    """
    for number, t in enumerate(evidence.trials, first):
        yield (
            "started",
            {
                "number": number,
                "role": t.role,
                "architecture": str(t.architecture),
                "seed": t.seed,
                "cost": t.cost,
                "origin": t.origin,
            },
        )
        assert t.evaluation is not None
        yield "finished", {"number": number, "state": "complete", "evaluation": t.evaluation.as_dict()}


def _check_comparable(earlier: StudyView, plan: Plan) -> None:
    then, now = earlier.header["fingerprints"], plan.header["fingerprints"]
    differences = [f"the {name}" for name in NAMES if then.get(name) != now.get(name)]
    old, new = _config(earlier), plan.config.model_dump(mode="json")
    for name, value in new.items():
        if name not in FREE and old[name] != value:
            differences.append(f"{name} ({old[name]} there, {value} here)")
    if new["start"] == "base":
        differences.append("the trained base: with start `base`, each study continues from its own")
    if differences:
        raise StudyChanged(
            "evidence must come from the same base, data, recipe and epochs",
            got=f"other values of {', '.join(differences)}",
            where=f"--from {earlier.name}",
            remedy="Start the search without it, or with the settings of that study.",
        )


def _config(view: StudyView) -> dict[str, Any]:
    known = {k: v for k, v in view.header["config"].items() if k in StudyConfig.model_fields}
    return {**{n: f.get_default() for n, f in StudyConfig.model_fields.items()}, **known}


def _free_differences(earlier: StudyView, plan: Plan) -> Iterator[str]:
    old, new = _config(earlier), plan.config.model_dump(mode="json")
    for name in ("space", "modules", "slots", "max_gmacs", "max_params", "sampler", "seed", "control_seeds"):
        if old[name] != new[name]:
            yield name
    if earlier.header.get("version") != plan.header["version"]:
        yield f"the version of nas_attn ({earlier.header.get('version')} there)"


def _expressed(architecture: Architecture, plan: Plan) -> Architecture | None:
    """The architecture on the slots of the plan; None if it fills a slot that the plan lacks."""
    names = plan.space.names
    if any(gene != NONE and slot not in names for slot, gene in architecture):
        return None
    return Architecture.of({s: architecture[s] if s in architecture.slots else NONE for s in names})


def _obstacle(trial: Trial, architecture: Architecture | None, earlier: StudyView, plan: Plan) -> str | None:
    """The reason why a trial does not count; None if it does."""
    e = trial.evaluation
    if e is None or not (trial.usable or trial.stopped is not None):
        return {"running": "still running", "failed": "failed"}.get(trial.state, "not comparable")
    if architecture is None:
        return "uses a slot that this study does not search"
    costs = plan.table.cells
    if any(gene != NONE and gene not in costs[slot] for slot, gene in architecture):
        return "uses a module or setting that this study does not search"
    digests = earlier.header["fingerprints"].get("modules") or {}, plan.header["fingerprints"].get("modules") or {}
    used = {gene.module for _, gene in architecture}
    if any(digests[0].get(m) != digests[1].get(m) for m in used):
        return "the source of its module has changed"
    if (e.device == "cpu") != (plan.devices[0] == "cpu"):
        return f"trained on {e.device}"
    if plan.config.precision is not None and e.precision != plan.config.precision:
        return f"trained with {e.precision}"
    return None


def _moved(trial: Trial, architecture: Architecture, source: str, plan: Plan) -> Trial:
    return replace(
        trial,
        role="base" if architecture.is_base else "search",
        architecture=architecture,
        cost=plan.cost(architecture),
        origin=source,
        sampled={},
        delta=None,
    )
