"""The evaluator: a pure, picklable function from an architecture to an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.space import Architecture


class Evaluator(Protocol):
    """A pure function: everything it needs comes in, everything it found goes out.

    An evaluator is pickled to wherever it runs, so it holds plain data only. It may be called again for the same
    arguments after a crash; if `checkpoint` exists, it continues from there.
    """

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Path | None = None,
        liveness: bool = False,
    ) -> Evaluation:
        """Train and score one architecture.

        Args:
            architecture: the gene at each slot.
            fidelity: epochs, image size, data fraction.
            seed: fixes shared initial weights, data order and augmentation.
            checkpoint: file for the state from which a repeated call continues.
            liveness: also measure mAP with each slot's output zeroed.

        Raises:
            EvaluationFailed: training cannot give a number; the message is the reason to record.
        """
        ...


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
    return f"{named.__module__}.{named.__qualname__}"  # type: ignore[attr-defined]
