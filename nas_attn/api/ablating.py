"""`ablate`: the function that runs an ablation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.api.ablation import Ablation
from nas_attn.api.keywords import with_keywords
from nas_attn.api.options import AblationOptions
from nas_attn.api.study import Study
from nas_attn.errors import UnknownName
from nas_attn.space import Architecture
from nas_attn.statistics.paired import MIN_PAIRS
from nas_attn.study import RUNS
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig
from nas_attn.study.trial import Candidate

if TYPE_CHECKING:
    from typing import Unpack

    from nas_attn.ablation.plan.settings import Request
    from nas_attn.ablation.run import AblationObserver
    from nas_attn.engine import Engine
    from nas_attn.evaluate import Evaluator

REUSED = (
    "the search or another ablation has used these seeds before; seeds that chose an architecture cannot confirm it"
)
TOO_FEW = f"no test is possible with fewer than {MIN_PAIRS} seeds: the table will have no p-values"


@with_keywords(AblationOptions, AblationConfig, StudyConfig)
def ablate(
    study: Study | str | Path | None = None,
    *,
    name: str | None = None,
    runs: str | Path | None = None,
    progress: bool = True,
    observer: AblationObserver | None = None,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
    **options: Unpack[AblationOptions],
) -> Ablation:
    """Test which parts of an architecture help, with fresh paired seeds and corrected p-values.

    This function does the same as `python -m nas_attn ablate`. Call it again to continue an ablation.

    Args:
        study: a study, its name, or the path of a study YAML. None without a study: then give `base=` and `data=`.
        name: name of the ablation within the study. [ablation]
        runs: the folder of all run folders. [the parent folder of the study, or `runs`]
        progress: show a line for each trial, and a bar. It has no effect if an observer is given.
        observer: is told about each event; None means that the lines and the bar are shown.
        evaluator: scores architectures; None means proxy runs. It must be the evaluator of the study.
        engine: runs the trials; None means worker processes on this machine.
        options: fields of `AblationConfig`, e.g. `seeds=5, pick="knee"`; without a study also fields of `StudyConfig`.

    Returns:
        The ablation with its tables; it is partial if `hours` ended it.

    Raises:
        UserError: the input breaks a rule; nothing was trained.
        EvaluationFailed: the base cannot be trained.
        StudyLocked: another process works on the ablation.
    """
    from nas_attn.ablation.run import run_ablation
    from nas_attn.api.ablation_progress import AblationReporter
    from nas_attn.api.progress import shown
    from nas_attn.study.observer import Silent

    request = ablation_request(study, dict(options), runs=runs, name=name)
    with shown(observer, AblationReporter if progress else Silent) as heard:
        if not request.fresh:
            heard.note(f"warning: {REUSED}")
        if request.settings.seeds < MIN_PAIRS and not request.settings.sequential:
            heard.note(f"warning: {TOO_FEW}")
        return Ablation(run_ablation(request, observer=heard, evaluator=evaluator, engine=engine))


def ablation_request(
    study: Study | str | Path | None,
    options: Mapping[str, Any],
    *,
    runs: str | Path | None = None,
    name: str | None = None,
) -> Request:
    """The request that the arguments of `ablate` make. It reads records, but no data.

    Raises:
        UserError: there is nothing to ablate, or two options contradict each other.
    """
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.environment import prepare

    prepare()
    folder = Path(runs) if runs is not None else study.folder.parent if isinstance(study, Study) else RUNS
    which = study.folder.name if isinstance(study, Study) else None if study is None else str(study)
    if unknown := sorted(options.keys() - AblationOptions.__annotations__.keys()):
        raise UnknownName("keyword", unknown[0], AblationOptions.__annotations__, where="ablate()")
    own = {k: _plain(k, v) for k, v in options.items() if k in AblationConfig.model_fields}
    rest = {k: v for k, v in options.items() if k not in own}
    return load_request(which, own, rest, runs=folder, name=name)


def _plain(name: str, value: Any) -> Any:
    """The value as a study file holds it: architectures and candidates as text, comma-separated names as a list."""
    if name in ("kinds", "scales") and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        return [_plain("", v) for v in value]
    return value.key if isinstance(value, Candidate) else str(value) if isinstance(value, Architecture) else value
