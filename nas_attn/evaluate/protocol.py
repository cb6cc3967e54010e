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
