"""The state of a slot is judged relative to what the base reaches."""

from __future__ import annotations

import pytest

from nas_attn.evaluate import Evaluation
from nas_attn.study.slot_states import averaged, learned, slot_state


def base(intact: float, *lost: float) -> Evaluation:
    liveness = {f"p{i}": intact - drop for i, drop in enumerate(lost, 3)}
    return Evaluation(intact, intact, (), 1.0, seed=0, epochs=1, imgsz=64, liveness=liveness)


@pytest.mark.parametrize(
    ("intact", "lost", "state"),
    [
        (0.4, 0.0031, "live"),
        (0.4, 0.0029, "dead"),  # the setting, 0.003, is less than 2 % of the base
        (0.077, 0.0024, "live"),  # 3 % of a base that learned little
        (0.077, 0.0014, "dead"),
        (0.077, -0.0024, "undertrained"),
        (0.0029, 0.0029, "unknown"),
    ],
)
def test_a_slot_is_live_if_it_is_worth_a_share_of_the_base(intact, lost, state):
    found = averaged([base(intact, lost)], 0.003)
    assert slot_state(lost, found) == state
    assert found["live"] == (["p3"] if state == "live" else [])
    assert learned(found) == (state != "unknown")


def test_records_of_older_releases_keep_their_states():
    record = {"intact": 0.077, "threshold": 0.003, "drop": {"p3": 0.0024}}
    assert slot_state(0.0024, record) == "dead" and learned(record)


def test_without_a_base_nothing_is_known():
    found = averaged([], 0.003, ["p3"])
    assert found["live"] == [] and found["intact"] is None and not learned(found)
