"""`--until settled`: the words and limits of an ending, and searches that end by themselves or must not."""

from __future__ import annotations

import numpy as np
import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.known_cost.situation import Foresight
from nas_attn.study.config import StudyConfig
from nas_attn.study.observer import Silent
from nas_attn.study.settled import CHANGE, GAIN, LEAST, MORE, TRIALS, Ending, ending

SMALL = {"acmix": {"head": [2], "kernel_att": [3]}, "conv": {"groups": [1]}}


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text):
        self.said.append(text)


def foresight(after: np.ndarray, mean: np.ndarray, gain: float = 0.0) -> Foresight:
    n = len(mean)
    trained = np.arange(n) < n - 1
    return Foresight(gain, np.arange(float(n)), mean, after, 1e-6 * np.eye(n), trained)


def test_a_pick_changes_as_often_as_the_draws_say():
    mean = np.array([0.1, 0.3, 0.35, 0.0])
    after = np.tile(mean, (10, 1))
    assert ending(foresight(after, mean), 0).settled
    after[:3, 3] = 0.9  # a new architecture, in three of ten
    found = ending(foresight(after, mean), 0)
    assert found.changes["best"] == pytest.approx(0.3) and not found.settled
    assert "change the picks `best` with a probability of 30 %" in found.words()
    assert "would change no pick" in ending(foresight(np.tile(mean, (10, 1)), mean), 0).words()


@pytest.mark.parametrize(("ahead", "changed"), [(0.5, 0.0), (2.0, 1.0)])
def test_picks_that_take_turns_on_a_tie_do_not_change(ahead, changed):
    mean = np.array([0.0, 0.25, 0.3, 0.2])
    scale = ahead * GAIN * 0.3  # the front's range is 0.3 long and 2 wide
    best = np.tile(mean, (10, 1))
    best[:, 3] = 0.3 + scale
    found = foresight(best, mean)
    nearly = Foresight(0.0, np.array([0.0, 1.0, 2.0, 2.0 + 1e-9]), mean, best, found.covariance, found.trained)
    assert ending(nearly, 0).changes["best"] == changed
    knee = np.tile(mean, (10, 1))
    knee[:, 3] = 0.25 + scale
    other = Foresight(0.0, np.array([0.0, 1.0, 2.0, 1.0 + 1e-9]), mean, knee, found.covariance, found.trained)
    assert ending(other, 0).changes["knee"] == changed
    cheaper = np.tile(np.array([0.0, 0.25, 0.3, 0.3]), (10, 1))
    third = Foresight(
        0.0, np.array([0.0, 1.0, 2.0, 2.0 - 2 * ahead * GAIN]), mean, cheaper, found.covariance, found.trained
    )
    assert ending(third, 0).changes["simplest"] == changed


@pytest.mark.parametrize(
    ("gain", "change", "single", "settled"),
    [(GAIN / 2, CHANGE, 0, True), (GAIN, 0, 0, False), (0, CHANGE + 0.01, 0, False), (0, 0, 1, False)],
)
def test_each_condition_counts(gain, change, single, settled):
    assert Ending(gain, {"best": change, "knee": 0.0}, single).settled == settled


def test_a_study_without_noise_ends_by_itself_and_says_so(tmp_path):
    heard = Notes()
    plan = make_plan(SyntheticEvaluator(noise_sd=1e-5, effect_sd=0.05), modules=SMALL, until="settled", trials=300)
    view = run_plan(plan, tmp_path / "s", observer=heard)
    assert LEAST <= view.counted < 200
    ends = ("The search has settled", "so the search ends")
    assert any(end in text for text in heard.said for end in ends)
    again = Notes()
    assert run_plan(plan, tmp_path / "s", observer=again).counted == view.counted
    assert any(end in text for text in again.said for end in ends)


def test_a_study_that_noise_rules_goes_on_and_says_what_is_open(tmp_path):
    heard = Notes()
    evaluator = SyntheticEvaluator(noise_sd=0.02, effect_sd=0.01)
    view = run_plan(make_plan(evaluator, until="settled", trials=40), tmp_path / "s", observer=heard)
    assert view.counted == 40 and any("The search has not settled" in text for text in heard.said)


def test_it_also_says_so_before_the_first_look(tmp_path):
    heard = Notes()
    run_plan(make_plan(until="settled", trials=LEAST - 4), tmp_path / "s", observer=heard)
    assert any(f"not settled after {LEAST - 4} trials: {MORE} more trials" in text for text in heard.said)


def test_it_never_ends_before_its_controls(tmp_path):
    plan = make_plan(SyntheticEvaluator(noise_sd=0.0), modules=SMALL, until="settled", trials=90, control_seeds=20)
    view = run_plan(plan, tmp_path / "s")
    assert sum(t.role == "base" for t in view.trials) >= 20 and sum(t.role == "conv" for t in view.trials) >= 20


def test_alone_it_has_a_limit_of_its_own():
    given = {"name": "s", "demo": True}
    assert StudyConfig.of({**given, "until": "settled"}).trials == TRIALS
    assert StudyConfig.of({**given, "until": "settled", "trials": 50}).trials == 50
    assert StudyConfig.of(given).trials == 100


def test_an_interrupted_search_ends_at_the_same_trial(tmp_path):
    plan = make_plan(SyntheticEvaluator(noise_sd=1e-5, effect_sd=0.05), modules=SMALL, until="settled", trials=300)
    whole = run_plan(plan, tmp_path / "whole")
    lines = (tmp_path / "whole" / "records.jsonl").read_bytes().splitlines(keepends=True)
    folder = tmp_path / "cut"
    folder.mkdir()
    (folder / "records.jsonl").write_bytes(b"".join(lines[: 2 * len(lines) // 3]))
    runs = [[(str(t.architecture), t.seed) for t in v.trials] for v in (whole, run_plan(plan, folder))]
    assert runs[0] == runs[1]


def test_a_study_in_which_all_score_the_same_says_so_and_ends(tmp_path):
    evaluator = SyntheticEvaluator(noise_sd=0.0, effect_sd=0.0)
    heard = Notes()
    view = run_plan(make_plan(evaluator, modules=SMALL, until="settled", trials=60), tmp_path / "s", observer=heard)
    assert view.counted < 60 and any("enlarge the front by 0.0 %, and would change no pick" in t for t in heard.said)


def test_a_member_of_the_front_that_cannot_be_repeated_does_not_keep_it_from_ending(tmp_path):
    evaluator = SyntheticEvaluator(noise_sd=1e-5, effect_sd=0.05, planted=(("p3=conv", 0.2), ("p4=conv", 0.2)))
    modules = {"acmix": {"head": [2], "kernel_att": [3]}}  # the control's convolution is not in the space
    plan = make_plan(evaluator, modules=modules, until="settled", trials=150, control_seeds=1)
    view = run_plan(plan, tmp_path / "s")
    assert sum(t.role == "conv" for t in view.trials) == 1 and view.counted < 150
