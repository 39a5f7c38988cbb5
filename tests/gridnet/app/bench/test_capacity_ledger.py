"""What one ledger carries of many feeders: the measuring itself, on few of them."""

from __future__ import annotations

import threading

import pytest

from gridnet.app.bench import capacity_ledger
from gridnet.app.bench.capacity_ledger import ledger_figures


def test_all_who_settle_at_once_do_so_at_once() -> None:
    meet = threading.Barrier(3, timeout=10)

    def settle(entries: int) -> tuple[int, float]:
        meet.wait()
        return entries, 0.5 * entries

    one = capacity_ledger._at_once([lambda: settle(1), lambda: settle(2), lambda: settle(3)])
    assert (one.entries, one.waited_s) == (6, (0.5, 1.0, 1.5))
    assert 0.0 < one.took_s < 10.0


@pytest.mark.parametrize(("count", "place"), [(1, 1), (3, 3), (20, 19), (100, 95), (101, 96)])
def test_the_95th_percentile_is_the_smallest_that_19_of_20_do_not_pass(count: int, place: int) -> None:
    assert capacity_ledger._p95([*range(count, 0, -1)]) == place


@pytest.mark.conformance
def test_figures_of_one_and_of_three_feeders() -> None:
    said: list[str] = []
    figures = {figure.name: figure for figure in ledger_figures(said.append, None, feeders=(1, 3))}
    assert len(figures) == 2 * 7 + 5
    assert all(figure.value > 0 for figure in figures.values())
    compared = figures["3 feeders at once, SQLite: sequenced"]
    alone = figures["3 feeders at once, SQLite: each enters and signs alone (reference)"]
    assert compared.ratio == pytest.approx(compared.value / alone.value)
    entries = figures["entries of a feeder and quarter-hour"].value
    assert 60 < entries < 90, "around noon a feeder has about 75 orders"
    assert figures["log of a feeder and quarter-hour: hashes of the tree"].value == pytest.approx(entries / 32)
    database = figures["database of a feeder and quarter-hour, SQLite: all tables and indexes"].value
    assert database > figures["log of a feeder and quarter-hour: entries"].value
    assert said
    assert all(line.startswith("ledger: ") for line in said)
