"""The base that every trial of `start: base` continues from: trained once a run folder, and not counted as a trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas_attn.engine import Engine, Failure, Task
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.study.folder import RunFolder

ANEW = "Mend what stopped it, then give the same command again: the base is tried anew."


def train_base(
    engine: Engine,
    folder: RunFolder,
    evaluator: Any,
    fidelity: Fidelity,
    seed: int,
    *,
    slots: tuple[str, ...],
    study_id: str,
    measured: bool,
    note: Callable[[str], None],
    limit: Callable[[], float | None],
) -> Evaluation | None:
    """Train the base into the run folder, unless it is there.

    Args:
        engine: where it runs.
        folder: the run folder.
        evaluator: what trains; its `base_file` is the folder's.
        fidelity: epochs, image size, data fraction.
        seed: the seed.
        slots: slots whose liveness is measured.
        study_id: what the result belongs to.
        measured: whether the slots were recorded already.
        note: told what is done.
        limit: seconds that it may take, as a task's.

    Returns:
        Its evaluation with liveness; None where nothing was to be done.

    Raises:
        EvaluationFailed: it could not be trained.
    """
    if measured and folder.base_weights.exists():
        return None
    task = Task(
        key="base",
        call=evaluator.train_base,
        arguments=(fidelity, seed, folder.base_weights),
        keywords={"checkpoint": folder.checkpoint("base"), "slots": slots},
        result=folder.result("base"),
        signature=f"{study_id}:base",
        limit=limit,
    )
    if not folder.base_weights.exists():
        folder.result("base").unlink(missing_ok=True)  # the weights are what trials need
    note("Training the base once; every trial continues from it.")
    engine.submit(task)
    outcome = engine.wait()
    assert outcome is not None
    if isinstance(outcome.value, Failure):
        raise EvaluationFailed(f"the base could not be trained: {outcome.value.reason.rstrip('.')}. {ANEW}")
    return None if measured else outcome.value
