"""What a trial is asked and what it answers, and the evaluators that answer."""

from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.protocol import Evaluator

__all__ = ["Evaluation", "Evaluator", "Fidelity"]
