"""The first sentence after a search: a colleague understands it, and it claims no more than the study knows."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import pytest
from fabricated_studies import Fabricator
from simulated_studies import KINDS, simulated
from untrained_searches import make_plan, run_plan

from nas_attn.analysis import answer as words
from nas_attn.analysis.answer import answer, candidates_for, seeds_for, shows, spoken
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.view import StudyView


def test_what_a_search_can_show_follows_from_its_noise_and_its_candidates():
    # of 100 trials 95 try something: a difference of 1.5 standard deviations of a run
    assert shows(0.007, 95) == pytest.approx(1.5 * 0.007, rel=0.01)
    assert shows(0.007, 24) == pytest.approx(2 * shows(0.007, 96))
    assert shows(0.007, 0) == float("inf")
    for difference in (0.005, 0.01, 0.02):
        needed = candidates_for(0.007, difference)
        assert shows(0.007, needed) <= difference < shows(0.007, max(1, needed - 1)) or needed == 1
    assert seeds_for(0.005, 0.01) < seeds_for(0.01, 0.01) < seeds_for(0.01, 0.005)


def test_architectures_in_words():
    text = "p3=none p4=acmix(head=4,kernel_att=7) p5=lska(k_size=41)"
    assert spoken(Architecture.parse(text)) == "acmix(head=4,kernel_att=7) at p4, lska(k_size=41) at p5"
    assert spoken(Architecture.parse("p3=none p4=none")) == "the base"


def test_nothing_was_found():
    view, _ = simulated(replace(KINDS["nothing differs"], trials=16), 1)
    said = answer(view)
    assert said.startswith("Nothing tried here was shown to beat the base.")
    noise = shows(0.007, 11)  # the truth, with about 11 candidates
    shown = float(said.split("can show ")[1].split(";")[0])
    assert noise / 2 < shown < 2 * noise and "more trials" in said


def test_something_was_found():
    view, _ = simulated(replace(KINDS["planted 0.015"], trials=60, planted=0.04), 3)
    said = answer(view)
    assert "better than the base" in said and "lska" in said and " at p4" in said


def test_nothing_was_tried(tmp_path):
    controls = run_plan(make_plan(trials=3), tmp_path / "a")
    assert all(t.role != "search" for t in controls.trials), "three trials are controls"
    assert answer(controls).startswith("Nothing was tried: all 3 trials were controls.")
    assert answer(StudyView.read(Fabricator(tmp_path / "b").folder)) == "No trial has run yet."


def test_no_candidate_can_be_compared(tmp_path):
    """All candidates failed, or lie so far below the base that their runs count as collapsed."""

    def broken(architecture: Architecture, fidelity: object, seed: int, **_: object) -> Evaluation:
        if not architecture.is_base:
            raise EvaluationFailed("no score")
        return Evaluation(0.3, 0.6, (), 1.0, seed, 12, 320, liveness=dict.fromkeys(architecture.slots, 0.0))

    said = answer(run_plan(make_plan(broken, trials=9, early_stop="off"), tmp_path / "a"))
    assert said.startswith("Nothing was tried: ") and " failed, and no other has ended." in said

    def collapsed(architecture: Architecture, fidelity: object, seed: int, **_: object) -> Evaluation:
        alive, luck = dict.fromkeys(architecture.slots, 0.0), crc32(f"{seed}".encode()) / 2**32 / 100
        score = 0.3 + luck if architecture.is_base else 0.001 + luck / 1000
        return Evaluation(score, 2 * score, (), 1.0, seed, 12, 320, liveness=alive)

    said = answer(run_plan(make_plan(collapsed, trials=8, early_stop="off"), tmp_path / "b"))
    assert "better than the base" not in said


def test_a_base_that_learned_nothing_shows_nothing(tmp_path):
    def weak(architecture: Architecture, fidelity: object, seed: int, **_: object) -> Evaluation:
        score = 0.045 + 0.03 * (crc32(f"{architecture} {seed}".encode()) / 2**32 - 0.5)
        alive = dict.fromkeys(architecture.slots, 0.0)
        return Evaluation(score, 2 * score, (), 1.0, seed, 12, 320, liveness=alive)

    said = answer(run_plan(make_plan(weak, trials=16, early_stop="off"), tmp_path / "a"))
    assert said.startswith("This proxy cannot show anything yet: the base reaches only 0.0")


def test_the_factor_is_that_of_the_simulations():
    assert pytest.approx(1.5 * 95**0.5, rel=0.01) == words.FACTOR
