"""The evaluator: a pure, picklable function from an architecture to an evaluation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nas_attn.errors import UserError
from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.space import Architecture


class Evaluator(Protocol):
    """A pure function: all inputs are arguments, and all results are in the return value.

    An evaluator is pickled and sent to a worker, so it holds only plain data. After a crash it may be called again
    with the same arguments. If the file `checkpoint` exists then, it continues from this checkpoint.
    """

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Path | None = None,
        liveness: bool = False,
        stop_above: Mapping[int, float] | None = None,
    ) -> Evaluation:
        """Train and score one architecture.

        Args:
            architecture: the gene at each slot.
            fidelity: epochs, image size and data fraction.
            seed: determines the shared initial weights, the data order and the augmentation.
            checkpoint: file for the state from which a repeated call continues.
            liveness: also measure the scores with the output of each slot zeroed.
            stop_above: epoch -> training loss in it, as in `Evaluation.curve`, above which the training ends after it,
                with the flag `stopped after epoch N`. An evaluator without this argument is never asked to stop, see
                `can_stop`.

        Returns:
            The scores of the trained model. A study by recall or by the AP of a class needs `Evaluation.scores`, and
            for the liveness of slots by a class also `Evaluation.zeroed`.

        Raises:
            EvaluationFailed: the training gives no score; the message is the reason for the record.
        """
        ...


def check_evaluator(evaluator: object) -> None:
    """Refuse something that cannot be called, before a study begins; None means proxy runs.

    Raises:
        UserError: it cannot be called.
    """
    if evaluator is not None and (isinstance(evaluator, type) or not callable(evaluator)):
        remedy = "For example: evaluator=na.SyntheticEvaluator()."
        raise UserError(
            "`evaluator` must be a function or an object that can be called", got=repr(evaluator), remedy=remedy
        )


def can_stop(evaluator: object) -> bool:
    """True if an evaluator takes `stop_above`, so that its trials may be stopped early."""
    try:
        return "stop_above" in inspect.signature(evaluator).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a callable without a readable signature
        return False


def can_group(evaluator: object) -> bool:
    """True if an evaluator can train several architectures in one run: if it has a method `together`.

    See `nas_attn.evaluate.proxy.ProxyEvaluator.together` for its arguments.
    """
    return callable(getattr(evaluator, "together", None))


def evaluator_name(evaluator: Evaluator | None) -> str | None:
    """The name by which a study knows an evaluator that was given to it; None for proxy runs.

    It is the evaluator's `repr`, or the name of its function or class if its `repr` is not the same in each process.
    """
    if evaluator is None:
        return None
    kind = type(evaluator)
    if kind.__repr__ is not object.__repr__ and " at 0x" not in (text := repr(evaluator)):
        return text
    named = evaluator if hasattr(evaluator, "__qualname__") else kind
    return f"{named.__module__}.{named.__qualname__}"
