"""An evaluator whose scores contradict each other: the module that raises the mAP50-95 lowers the recall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.synthetic import SyntheticEvaluator

NEEDED_BY_B = "p5"  # the only slot that class `b` needs; class `a` needs the others


class OpposedScores(SyntheticEvaluator):
    """A synthetic evaluator with recall = 0.9 - mAP50-95, and two classes: `a` follows the mAP50-95, `b` the recall."""

    def __call__(self, *arguments: Any, stop_above: Mapping[int, float] | None = None, **keywords: Any) -> Evaluation:
        found = super().__call__(*arguments, stop_above=stop_above, **keywords)
        scores = {"val": figures(found.map50_95)}
        if found.test_map50_95 is not None:
            scores["test"] = figures(found.test_map50_95)
        zeroed = None
        if found.liveness is not None:
            whole = figures(found.map50_95)["classes"]
            zeroed = {
                slot: {**figures(score), "classes": {**whole, "b" if slot == NEEDED_BY_B else "a": 0.01}}
                for slot, score in found.liveness.items()
            }
        return replace(found, scores=scores, zeroed=zeroed)


def figures(score: float) -> dict[str, Any]:
    """The figures of a split, as in `Evaluation.scores`."""
    classes = {"a": score, "b": 0.9 - score}
    return {"map50_95": score, "map50": 1.2 * score, "precision": 0.5, "recall": 0.9 - score, "classes": classes}
