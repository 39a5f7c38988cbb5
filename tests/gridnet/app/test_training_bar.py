"""The progress bar: how much is done, how fast, how long it will take; nothing where nobody looks."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from gridnet.app.training_bar import TrainingBar
from gridnet_policies.rl.pulse import TEACHING, TRAINING, Pulse


class Clock:
    """A clock that a test sets; rich asks for the time by this name."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def screen(bar: TrainingBar) -> str:
    """What the bar shows now, as plain text."""
    bar._shown.refresh()
    with bar._shown.console.capture() as captured:
        bar._shown.console.print(bar._shown.get_renderable())
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get())


def bar_on(clock: Clock, terminal: bool) -> tuple[TrainingBar, io.StringIO]:
    shown = io.StringIO()
    bar = TrainingBar(Console(file=shown, force_terminal=terminal, width=100, get_time=clock))
    bar._shown.get_time = clock
    return bar, shown


def test_the_bar_shows_share_rate_and_time_left(clock: Clock) -> None:
    bar, _ = bar_on(clock, terminal=True)
    with bar:
        assert "perfect foresight" in screen(bar)
        for seconds in range(5):
            clock.now_s = float(seconds)
            bar.feel(Pulse(TRAINING, 1000 * seconds, 64_000))
        line = screen(bar)
    assert TRAINING in line
    assert "4000/64000" in line
    assert "1,000 steps/s" in line
    assert "0:01:00" in line


def test_a_new_stage_begins_a_new_bar_with_a_pace_of_its_own(clock: Clock) -> None:
    bar, _ = bar_on(clock, terminal=True)
    with bar:
        for seconds in range(3):
            clock.now_s = float(seconds)
            bar.feel(Pulse(TEACHING, 10 * seconds, 100))
        assert "10 batches/s" in screen(bar)
        clock.now_s = 3.0
        bar.feel(Pulse(TRAINING, 5, 100))
        line = screen(bar)
    assert TEACHING not in line
    assert re.search(r"5/100\s+-", line), "no pace is known yet"


def test_outside_a_terminal_nothing_is_shown(clock: Clock) -> None:
    bar, shown = bar_on(clock, terminal=False)
    with bar:
        bar.feel(Pulse(TRAINING, 5, 10))
    assert shown.getvalue() == ""


def test_lines_told_while_it_is_open_stand_above_it_and_it_leaves_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    bar, shown = bar_on(clock, terminal=True)
    monkeypatch.setattr(sys, "stderr", shown)
    with bar:
        bar.feel(Pulse(TRAINING, 5, 10))
        sys.stderr.write("a validation\n")
    assert shown.getvalue().count("a validation") == 1
    assert sys.stderr is shown, "what was redirected is put back"
