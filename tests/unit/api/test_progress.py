"""The progress of a search on screen: the ETA from the first steps on, a line a minute, a bar that fits 80 columns."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from nas_attn.api import progress
from nas_attn.api.progress import Bar, Pace, TerminalBar
from nas_attn.pulse import Reached


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_first_steps_tell_when_all_will_have_ended(clock):
    pace = Pace()
    assert pace.eta(0, 10) == ""
    clock[0] += 500  # images are read and libraries are loaded only once
    assert pace.eta(0, 10, {0: Reached(1, 10, 0.01)}) == ""
    clock[0] += 6
    assert pace.eta(0, 10, {0: Reached(2, 10, 0.11)}) == "ETA 0:09:53"  # 9.89 trials of 60 s


def test_after_the_first_trial_its_whole_time_counts(clock):
    pace = Pace(before=3)
    clock[0] += 100
    assert pace.eta(4, 10) == "ETA 0:10:00"
    clock[0] += 50
    assert pace.eta(4, 10, {4: Reached(1, 2, 0.0)}) == "ETA 0:15:00"
    clock[0] += 50
    assert pace.eta(4, 10, {4: Reached(2, 2, 1.0)}) == "ETA 0:08:20"


def test_two_workers_are_twice_as_fast(clock):
    pace = Pace()
    pace.eta(0, 10, {0: Reached(1, 5, 0.0), 1: Reached(1, 5, 0.0)})
    clock[0] += 30
    assert pace.eta(0, 10, {0: Reached(3, 5, 0.5), 1: Reached(3, 5, 0.5)}) == "ETA 0:04:30"


def test_a_trial_that_goes_on_from_its_checkpoint_does_not_count_what_was_done_before(clock):
    pace = Pace()
    pace.eta(0, 2, {0: Reached(9, 10, 0.9)})
    clock[0] += 10
    assert pace.eta(0, 2, {0: Reached(10, 10, 1.0)}) == "ETA 0:01:40"


@pytest.fixture
def piped(clock):
    bar = Bar()
    bar.console, bar.live = Console(file=io.StringIO(), width=80), False
    return bar


def test_where_there_is_no_bar_a_line_a_minute_says_what_is_trained(clock, piped):
    piped._begin(0)
    for second in range(151):
        clock[0] += 1
        piped._tick(2, 24, {2: Reached(1 + second // 15, 15, second / 300), 5: Reached(1, 15, 0.0)})
    lines = piped.console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("  trial 2: epoch 4 of 15 and 1 more; 2 of 24 trials ended; ETA ")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_lines_in_a_terminal_are_broken_between_words(width):
    bar, out = Bar(), io.StringIO()
    bar.console = Console(file=out, width=width, force_terminal=True, force_interactive=True, highlight=False)
    text = "With a noise of 0.007 a run, they show a difference of 0.023: p3=acmix(head=4,kernel_att=7) [is] none " * 3
    bar.note(text.strip())
    lines = out.getvalue().splitlines()
    assert all(len(line.rstrip()) <= width and line.startswith("  ") for line in lines)
    assert " ".join(line.strip() for line in lines) == text.strip(), "no word is broken, and no mark-up is read"


def test_the_bar_fits_80_columns():
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, force_interactive=True)
    bar = TerminalBar(console)
    bar.start()
    fields = {"eta": "ETA 11:10:03", "best": "best 0.3123"}
    bar.update(description="trial 123: epoch 14 of 15", total=300, completed=123, **fields)
    with console.capture() as shown:
        console.print(bar._bar.get_renderable())
    bar.stop()
    for part in ("trial 123: epoch 14 of 15", "123/300", "0:00:0", "ETA 11:10:03", "best 0.3123"):
        assert part in shown.get(), (part, shown.get())
