"""Hourly matching for all is the sum of what each consumer's own report says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnet.app.service.errors import NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.matching import MatchedHour, matched_hours
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.actions.certificates import Claim
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.reports.consumer import Scope, consumer_report
from tests.gridnet.app.dashboard.lane import LANE, LENGTH, SINCE, START, UNTIL, Lane
from tests.gridnet.app.service.parts import Clock, service_on

SPAN = (instant(SINCE), instant(UNTIL))


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    """Ben claims what he bought, in one hour, and more than he drew in the next."""
    made = Lane(tmp_path)
    for number, ben_wh in ((0, 400), (1, 300), (4, 200)):
        made.settles(number, (900, 30), (0, ben_wh), pv_wh=1000)
        made.releases(number)
        sold = sum(line.bought_wh for line in made.bookings[START + number * LENGTH].settlement.lines[:]) - 30
        claim(made, number, 0, sold)
    yield made
    made.close()


def claim(lane: Lane, number: int, low: int, high: int) -> None:
    name = f"{LANE}:pv-00@{START + number * LENGTH:%Y-%m-%dT%H:%MZ}/{low}-{high}"
    ben = lane.party["ben"]
    lane.commit([Order(f"claim-{number}-{low}", Claim(certificate=name, owner=ben, beneficiary=ben, purpose="own use"))])


def test_each_consumers_hours_are_those_of_its_report(lane: Lane) -> None:
    for party in lane.party.values():
        report = consumer_report(lane.ledger.database, Scope(party, LANE, SINCE, UNTIL))
        expected = [MatchedHour(each.start[:13], each.load_wh, each.matched_wh) for each in report.hours]
        assert matched_hours(lane.view, SPAN, party) == expected
        assert expected


def test_all_together_are_the_sum_and_one_consumers_surplus_covers_nobody_else(lane: Lane) -> None:
    single = [matched_hours(lane.view, SPAN, party) for party in lane.party.values()]
    for hour in matched_hours(lane.view, SPAN):
        own = [each for found in single for each in found if each.hour == hour.hour]
        assert (hour.load_wh, hour.matched_wh) == (sum(each.load_wh for each in own), sum(each.matched_wh for each in own))
        assert 0 < hour.matched_wh < hour.load_wh
    assert [each.hour for each in matched_hours(lane.view, SPAN)] == ["2026-03-01T10", "2026-03-01T11"]


def test_hours_outside_the_span_are_left_out(lane: Lane) -> None:
    assert [each.hour for each in matched_hours(lane.view, (SPAN[0], "2026-03-01T11:00Z"))] == ["2026-03-01T10"]
    assert [each.hour for each in matched_hours(lane.view, ("2026-03-01T11:00Z", SPAN[1]))] == ["2026-03-01T11"]
    assert MatchedHour("2026-03-01T10", 0, 0).share is None


def test_without_a_ledger_there_is_nothing_to_match(tmp_path: Path) -> None:
    service = service_on(f"sqlite:///{tmp_path / 'empty.db'}", Clock(), people=False)
    with pytest.raises(NotFound):
        matched_hours(LedgerView(service.store), SPAN)
    service.store.database.close()
