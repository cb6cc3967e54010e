"""The liveness check: train the base on a data set, then zero one slot after the other. A search begins with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas_attn.engine import Call, Engine, Failure, awaited, check_engine
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Evaluator, check_evaluator
from nas_attn.pulse import Reached
from nas_attn.study.config import StudyConfig
from nas_attn.study.folder import RunFolder
from nas_attn.study.prepare import prepare
from nas_attn.study.slot_states import averaged


def check_slots(
    config: StudyConfig,
    folder: Path,
    progress: Callable[[str], None],
    *,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Measure the liveness of every slot, as the mean over `config.control_seeds` trained bases.

    Args:
        config: the configuration, as for a search; the sampler is not used.
        folder: folder for data caches; it may be deleted afterwards.
        progress: called with one line of text at each step.
        evaluator: scores the base; None means proxy runs.
        engine: runs the trainings; None means worker processes on this machine.

    Returns:
        `base`, `seeds`, the fields of a `slots` record (see `averaged`), and `drops`: slot -> mAP50-95 lost for each
        seed. The score of a study counts for nothing here: it is always the mAP50-95.

    Raises:
        ConfigError: settings break rules; the error lists all of them.
        EvaluationFailed: the base could not be trained.
    """
    check_evaluator(evaluator)
    check_engine(engine)
    run = RunFolder(folder)
    plan = prepare(config.model_copy(update={"storage": None}), run, progress, evaluator=evaluator)
    base = plan.space.base_architecture()
    seeds = list(range(config.seed, config.seed + config.control_seeds))
    found: dict[int, Evaluation] = {}
    waiting, calls = list(seeds), list[Call]()
    with engine or plan.engine(run.workers) as used:
        while len(found) < len(seeds):
            while waiting and used.free:
                seed = waiting.pop(0)
                file = run.progress(f"{seed:04d}")
                arguments = (base, plan.fidelity, seed)
                calls.append(Call(seed, plan.evaluator, arguments, {"liveness": True}, progress=file))
                used.submit(calls[-1])
            words = f"training the base, {len(found)} of {len(seeds)} seeds done"

            def tell(places: Mapping[Any, Reached], words: str = words) -> None:
                progress(", ".join([words, *map(str, places.values())]))

            tell({})
            outcome = awaited(used, calls, tell)
            calls.remove(outcome.call)
            if isinstance(outcome.value, Failure):
                raise EvaluationFailed(f"the base could not be trained: {outcome.value.reason}")
            assert isinstance(outcome.value, Evaluation)
            found[outcome.call.key] = outcome.value
    results = [found[s] for s in seeds]
    drops = {n: [e.map50_95 - (e.liveness or {})[n] for e in results] for n in plan.space.names}
    measured = averaged(results, config.live_threshold, plan.space.names)
    return {"base": plan.header["base"], "seeds": seeds, **measured, "drops": drops}
