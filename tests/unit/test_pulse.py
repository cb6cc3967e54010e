"""The place in a training: told, written to a file, read by the supervisor."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nas_attn import pulse
from nas_attn.pulse import Reached


def test_without_a_listener_a_beat_does_nothing(tmp_path):
    pulse.beat(1, 2, 0.5)
    with pulse.written(None):
        pulse.beat(1, 2, 0.5)
    assert not [*tmp_path.iterdir()]


def test_a_beat_is_read_while_the_training_runs_and_gone_afterwards(tmp_path, monkeypatch):
    file, now = tmp_path / "trials" / "0001" / "progress.json", [100.0]
    monkeypatch.setattr(pulse, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with pytest.raises(RuntimeError), pulse.written(file):
        assert pulse.read(file) is None
        pulse.beat(1, 12, 0.01)
        assert pulse.read(file) == Reached(1, 12, 0.01)
        pulse.beat(1, 12, 0.02)
        assert pulse.read(file) == Reached(1, 12, 0.01), "at most once a second"
        now[0] += pulse.LEAST_SECONDS
        pulse.beat(2, 12, 0.1)
        assert pulse.read(file) == Reached(2, 12, 0.1)
        raise RuntimeError
    assert pulse.read(file) is None and not file.exists()


def test_a_file_that_cannot_be_written_stops_no_training(tmp_path):
    (tmp_path / "file").touch()
    with pulse.written(tmp_path / "file" / "progress.json"):
        pulse.beat(1, 2, 0.5)


@pytest.mark.parametrize("text", ["", '{"epoch": 1', "[]", "7", '{"epoch": 1}', '{"epoch":1,"epochs":2,"share":7}'])
def test_half_a_file_is_no_place(tmp_path, text):
    (tmp_path / "p").write_text(text, encoding="utf-8")
    assert pulse.read(tmp_path / "p") is None
