"""Evaluations of architectures: their fidelity, their results, and the evaluators that give them."""

from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.protocol import Evaluator, evaluator_name

__all__ = ["Evaluation", "Evaluator", "Fidelity", "evaluator_name"]
