"""The training loss as a second score: which epochs count, what stopped trials get, and when it counts at all."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.noise import noise
from nas_attn.analysis.posterior import posterior
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture
from nas_attn.study.training_loss import HUGE, final_score, last_loss, predicted, scores, with_end
from nas_attn.study.trial import Trial


def trial(
    number: int, losses: list[float], map50_95: float = 0.4, stopped: int | None = None, epochs: int = 8
) -> Trial:
    curve = tuple({"epoch": e, "loss": loss} for e, loss in enumerate(losses, 1))
    flags = (f"stopped after epoch {stopped}",) if stopped else ()
    found = Evaluation(map50_95, 0.5, curve, 1.0, 0, epochs, 64, flags=flags)
    state = "stopped" if stopped else "complete"
    return Trial(number, "search", Architecture.parse("p3=none"), 0, state, {"gmacs": 1.0}, found)


def test_the_last_quarter_counts():
    assert last_loss(trial(0, [9, 9, 9, 9, 9, 9, 3, 1])) == -2.0
    assert last_loss(trial(0, [9, 4, 2], epochs=3)) == -2.0  # the last epoch of three
    assert last_loss(trial(0, [9, 9, 9, 9], stopped=4)) is None
    assert last_loss(trial(0, [9, 9, 9, 9, 9, 9, 3, HUGE])) is None
    assert last_loss(trial(0, [9.0] * 6)) is None  # a curve that lacks epochs
    assert last_loss(replace(trial(0, []), evaluation=None)) is None


def test_a_stopped_trial_has_the_end_that_the_others_let_expect():
    rng = np.random.default_rng(0)
    whole = []
    for n in range(8):
        level = 1 + 0.1 * n
        losses = [level * 2 / e for e in range(1, 9)]
        whole.append(trial(n, losses, 0.6 - 0.1 * level + 0.001 * rng.standard_normal()))
    cut = trial(8, [1.35 * 2 / e for e in range(1, 5)], 0.1, stopped=4)
    some = [*whole, cut]
    assert with_end(some) == some
    first, second = scores(some, some), scores(some, some, last_loss)
    assert first is not None and second is not None
    assert first.values[:8] == [final_score(t) for t in whole] and first.values[8] == pytest.approx(0.465, abs=0.01)
    assert second.values[8] == pytest.approx(-1.35 * (2 / 7 + 2 / 8) / 2) and second.values[8] < 0
    assert first.extra[:8] == [0.0] * 8 and first.extra[8] == predicted(some)[8].variance > 0


def test_a_trial_without_losses_leaves_the_second_score_out():
    some = [trial(n, [5.0 - n] * 8) for n in range(4)]
    assert scores([*some, trial(4, [])], [*some, trial(4, [])], last_loss) is None


@dataclass(frozen=True)
class OtherLoss(SyntheticEvaluator):
    """Its loss tells nothing: it is drawn, or absent."""

    loss: str = "drawn"

    def __call__(self, architecture, fidelity, seed, **keywords):
        found = super().__call__(architecture, fidelity, seed, **keywords)
        draw = 0.1 * np.random.default_rng(zlib.crc32(f"{architecture} {seed}".encode())).standard_normal()
        rows = [{**row, "loss": 2.0 + draw} for row in found.curve]
        if self.loss == "absent":
            rows = [{k: v for k, v in row.items() if k != "loss"} for row in rows]
        return replace(found, curve=tuple(rows))


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The same trials with three losses: one that tells, one that does not, none."""
    folder = tmp_path_factory.mktemp("losses")
    kinds = {"tells": SyntheticEvaluator, "drawn": OtherLoss, "absent": lambda **k: OtherLoss(loss="absent", **k)}
    found = {}
    for name, kind in kinds.items():
        evaluator = kind(noise_sd=0.01, effect_sd=0.008)
        plan = make_plan(evaluator, trials=100, sampler="random", early_stop="off", control_seeds=6)
        found[name] = run_plan(plan, folder / name)
    return found


def test_a_loss_that_tells_makes_intervals_narrower_and_is_named(studies):
    told, absent = posterior(studies["tells"]), posterior(studies["absent"])
    assert told is not None and absent is not None
    assert absent.loss_tells is None and told.loss_tells is not None and told.loss_tells > 0.95
    widths = [np.median([d.high - d.low for d in p.differences if d.high > d.low]) for p in (told, absent)]
    assert widths[0] < 0.85 * widths[1]
    assert told.nothing == absent.nothing and told.noise == absent.noise  # they are those of the mAP
    found = noise(studies["tells"])
    assert found is not None and "The training loss tells something about the score" in found.sentence()
    bare = noise(studies["absent"])
    assert bare is not None and "training loss" not in bare.sentence()


def test_a_loss_that_tells_nothing_changes_nothing(studies):
    drawn, absent = posterior(studies["drawn"]), posterior(studies["absent"])
    assert drawn is not None and absent is not None
    assert drawn.loss_tells is not None and drawn.loss_tells < 0.7
    for a, b in zip(drawn.differences, absent.differences, strict=True):
        assert a.mean == pytest.approx(b.mean, abs=0.25 * max(b.high - b.low, 1e-6))
    assert np.count_nonzero(drawn.signs != absent.signs) <= 1
