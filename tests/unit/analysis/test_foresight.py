"""The foresight of a search: the controls are counted, and too few trials are said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from simulated_studies import KINDS, simulated

from nas_attn.analysis.answer import candidates_for, shows
from nas_attn.analysis.foresight import foresight

CONFIG = {"control_seeds": 2}
USUAL = 0.007  # mAP50-95


def test_a_new_search():
    found = foresight(CONFIG, 24)
    assert (found.controls, found.candidates, found.noise, found.measured) == (4, 20, USUAL, False)
    words = found.words()
    assert "24 trials: 4 controls, 20 try something" in words and "a usual value" in words
    assert f"can show a difference of {shows(USUAL, 20):.3f} mAP50-95" in words
    assert f"To see 0.01 takes about {4 + candidates_for(USUAL, 0.01)} trials, or `ablate` of one idea" in words
    assert found.as_dict()["shows"] == found.shows


@pytest.mark.parametrize("trials", [1, 3, 4])
def test_a_search_that_tries_nothing_says_so(trials):
    found = foresight(CONFIG, trials)
    assert found.candidates == 0 and found.as_dict()["shows"] is None
    assert f"All {trials} trials will be controls, so nothing will be tried" in found.words()


def test_many_trials_need_no_advice():
    assert "To see" not in foresight(CONFIG, 1000).words()


def test_a_search_that_goes_on_knows_its_noise():
    view, _ = simulated(replace(KINDS["bccd"], trials=24), 1)
    found = foresight(view.header["config"], 60, view)
    controls = sum(t.role in ("base", "conv") for t in view.trials)
    assert found.measured and found.controls >= controls and 0.002 < found.noise < 0.03
    assert "usual" not in found.words()


def test_without_a_convolution_the_base_is_the_only_control():
    view, _ = simulated(replace(KINDS["bccd"], trials=24), 1)
    alone = replace(view, slots={**view.slots, "control": "p3=none p4=none p5=none"})
    assert foresight({"control_seeds": 50}, 400, alone).controls == 50
