"""What a feeder costs: a short life, measured as a long one is."""

from __future__ import annotations

import os

import pytest

from gridnet.app.bench.capacity_feeders import feeder_figures, private_bytes


def test_private_memory_is_what_is_written_to() -> None:
    before = private_bytes()
    held = bytearray(os.urandom(16_000_000))
    assert 15_000_000 < private_bytes() - before < 20_000_000
    del held
    assert abs(private_bytes() - before) < 2_000_000


@pytest.mark.conformance
def test_a_short_life_gives_every_figure() -> None:
    figures = {each.name: each for each in feeder_figures(lambda words: None, remembered=8)}
    assert len(figures) == 9
    assert figures["a decision by rl"].value > 0.0
    assert 10.0 < figures["a quarter-hour closed"].value < 1000.0
    assert figures["a quarter-hour in the log"].value >= 2.0
    [held] = [each.value for name, each in figures.items() if name.startswith("a feeder held")]
    assert 0.1 < held < 20.0
