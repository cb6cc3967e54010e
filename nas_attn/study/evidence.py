"""Trials of an earlier study as evidence in another one: `search NEW --from OLD`.

A trial counts if it would be the same run in the new study: the same base, data, recipe and fidelity, an architecture
that the new study can express, the same source of its modules, the same kind of device. Its records are copied into the
new log, and say where each trial came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas_attn.errors import StudyChanged
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.score import Score
from nas_attn.lines import many
from nas_attn.space import NONE, Architecture
from nas_attn.study.config import MAY_CHANGE, StudyConfig
from nas_attn.study.plan import Plan
from nas_attn.study.trial import Trial
from nas_attn.study.trial_settings import differing
from nas_attn.study.view import StudyView

FREE = {  # fields that decide what is searched and in which order, but not what a run measures
    *MAY_CHANGE, "name", "demo", "data", "model", "weights", "space", "modules", "slots", "sampler", "seed",
    "control_seeds", "dead_slots", "live_threshold", "precision", "score",
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
        parts = [f"{many(n, 'trial')} of study '{self.name}' count{'s' * (n == 1)} as evidence"]
        if self.differs:
            parts.append(f"the studies differ in {', '.join(self.differs)}")
        if self.left_out:
            parts.append("left out: " + ", ".join(f"{n} ({reason})" for reason, n in self.left_out.items()))
        return "; ".join(parts) + "."


def evidence_of(earlier: StudyView, plan: Plan, view: StudyView) -> Evidence:
    """The trials of an earlier study that count in the study of a plan, and are not in it yet.

    Args:
        earlier: the earlier study.
        plan: the plan of the new study.
        view: the new study so far.

    Raises:
        StudyChanged: the runs of the two studies do not compare; the message lists all differences.
    """
    _check_comparable(earlier, plan)
    score = Score(plan.config.score)
    there = {t.source or _source(view, t) for t in view.trials}
    found: list[Trial] = []
    reasons: Counter[str] = Counter()
    for trial in (replace(t, scored_by=score) for t in earlier.trials):  # whatever the earlier search was by
        if trial.state == "refused":
            continue
        architecture = _expressed(trial.architecture, plan)
        if (trial.source or _source(earlier, trial)) in there:
            reasons["here already"] += 1
        elif (reason := _obstacle(trial, architecture, earlier, plan)) is not None:
            reasons[reason] += 1
        elif architecture is not None:
            found.append(_moved(trial, architecture, earlier, plan))
    return Evidence(earlier.name, tuple(found), dict(reasons), tuple(_free_differences(earlier, plan)))


def records_of(evidence: Evidence, first: int) -> Iterator[dict[str, Any]]:
    """The fields of the `evidence` records that put the trials into a log.

    Args:
        evidence: the evidence.
        first: number of its first trial there.
    """
    for number, t in enumerate(evidence.trials, first):
        assert t.evaluation is not None
        yield {
            "number": number,
            "role": t.role,
            "architecture": str(t.architecture),
            "seed": t.seed,
            "cost": t.cost,
            "origin": t.origin,
            "source": t.source,
            "evaluation": t.evaluation.as_dict(),
        }


def _check_comparable(earlier: StudyView, plan: Plan) -> None:
    then, now = earlier.header["fingerprints"], plan.header["fingerprints"]
    differences = [f"the {name}" for name in NAMES if then.get(name) != now.get(name)]
    old, new = _config(earlier), plan.config.model_dump(mode="json")
    for name, value in new.items():
        if name == "train":
            differences += differing(old[name], value, ("there", "here"))
        elif name not in FREE and old[name] != value:
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
    return {**{n: f.get_default(call_default_factory=True) for n, f in StudyConfig.model_fields.items()}, **known}


def _free_differences(earlier: StudyView, plan: Plan) -> Iterator[str]:
    old, new = _config(earlier), plan.config.model_dump(mode="json")
    for name in ("space", "modules", "slots", "max_gmacs", "max_params", "sampler", "seed", "control_seeds", "score"):
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
        told = "; ".join(f for f in trial.flags if f == trial.without_score) or "not comparable"
        return {"running": "still running", "failed": "failed"}.get(trial.state, told)
    if architecture is None:
        return "uses a slot that this study does not search"
    if (e.epochs, e.imgsz) != (plan.fidelity.epochs, plan.fidelity.imgsz):
        return f"trained for {many(e.epochs, 'epoch')} at {e.imgsz} px"
    costs = plan.table.cells
    if any(gene != NONE and gene not in costs[slot] for slot, gene in architecture):
        return "uses a module or setting that this study does not search"
    digests = earlier.header["fingerprints"].get("modules") or {}, plan.header["fingerprints"].get("modules") or {}
    used = {gene.module for _, gene in architecture}
    if any(digests[0].get(m) != digests[1].get(m) for m in used):
        return "the source of its module has changed"
    return _other_run(e, plan)


def _other_run(e: Evaluation, plan: Plan) -> str | None:
    """The difference between an evaluation and one of the plan's proxy runs; None if there is none."""
    own = plan.evaluator
    if not hasattr(own, "recipe"):  # an evaluator of the user: its name is compared
        return None
    cuda = plan.devices[0] != "cpu"
    precision = plan.config.precision or ("bf16" if cuda else "fp32")
    if e.precision != precision:
        return f"trained with {e.precision}"
    if e.device != (_cuda_name(plan.devices[0]) or e.device if cuda else "cpu"):
        return f"trained on {e.device}"
    recipe = {k: v for k, v in own.recipe.as_dict().items() if k != "fliplr"}  # flips depend on the keypoints
    if any(e.recipe.get(k) != v for k, v in recipe.items()):
        return "trained by another recipe"
    return None


def _cuda_name(device: str) -> str | None:
    """The name of a GPU as evaluations have it; None if it is not given by its index."""
    import torch

    return str(torch.cuda.get_device_name(int(device))) if device.isdecimal() else None


def _source(earlier: StudyView, trial: Trial) -> str:
    return f"{earlier.header.get('id') or earlier.header.get('name')}:{trial.number}"


def _moved(trial: Trial, architecture: Architecture, earlier: StudyView, plan: Plan) -> Trial:
    return replace(
        trial,
        role="base" if architecture.is_base else "search",
        architecture=architecture,
        cost=plan.cost(architecture),
        origin=trial.origin or f"{earlier.name} {trial.number}",
        source=trial.source or _source(earlier, trial),
        sampled={},
        delta=None,
    )
