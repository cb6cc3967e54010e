"""Evaluation of architectures: the fidelity of a run, its result, and the evaluators that produce results."""

from nas_attn.evaluate.evaluation import Evaluation
from nas_attn.evaluate.fidelity import Fidelity
from nas_attn.evaluate.protocol import Evaluator, can_group, can_stop, check_evaluator, evaluator_name

__all__ = ["Evaluation", "Evaluator", "Fidelity", "can_group", "can_stop", "check_evaluator", "evaluator_name"]
