"""Readings as measurements: no direction is assumed, and generation is positive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gridnet.app.api.sep.incoming import INT48, parse
from gridnet.app.api.sep.readings import Type, Value, is_site, values_of
from gridnet.app.service.model import Measurement
from gridnet.errors import InputError
from tests.gridnet.app.api.sep.parties import START

DER, SITE = 0x49, 0x03


@pytest.mark.parametrize(
    ("flow", "site", "channel", "number"),
    [
        (1, False, "p_kw", 2.5),
        (4, False, "p_kw", 2.5),
        (19, False, "p_kw", -2.5),
        (1, True, "site.p_kw", -2.5),
        (4, True, "site.p_kw", -2.5),
        (19, True, "site.p_kw", 2.5),
        (0, False, "p_kw.undirected", 2.5),
        (0, True, "site.p_kw.undirected", 2.5),
    ],
)
def test_a_direction_gives_the_sign(flow: int, site: bool, channel: str, number: float) -> None:
    kind = Type(uom=38, flow=flow)

    assert (kind.channel(site=site), kind.number(2500, site=site)) == (channel, number)


@pytest.mark.parametrize(
    ("kind", "value", "channel", "number"),
    [
        (Type(uom=63, flow=19, multiplier=1), 150, "q_kvar", -1.5),
        (Type(uom=29, multiplier=-1), 2304, "vm_v", 230.4),
        (Type(uom=33, multiplier=-2, flow=19), 5001, "hz", 50.01),
        (Type(uom=29, phase=64, qualifier=8), 231, "vm_v.phase64.max", 231.0),
        (Type(uom=38, flow=1, qualifier=9), 0, "p_kw.min", 0.0),
        (Type(uom=72), 12, "uom72", 12.0),
    ],
)
def test_a_unit_gives_the_channel(kind: Type, value: int, channel: str, number: float) -> None:
    assert kind.channel(site=False) == channel
    assert kind.number(value, site=False) == pytest.approx(number, rel=1e-12)


def test_the_role_says_what_a_usage_point_is() -> None:
    assert not is_site(DER)
    assert is_site(SITE)
    assert not is_site(SITE | DER)


def test_single_readings_and_sets_are_read() -> None:
    reader = parse(
        b"<MirrorMeterReading><mRID>A1</mRID><lastUpdateTime>900</lastUpdateTime>"
        b"<Reading><value>1</value></Reading>"
        b"<Reading><timePeriod><duration>60</duration><start>300</start></timePeriod><value>2</value></Reading>"
        b"<MirrorReadingSet><timePeriod><duration>120</duration><start>600</start></timePeriod>"
        b"<Reading><value>3</value></Reading><Reading><value>4</value></Reading></MirrorReadingSet>"
        b"</MirrorMeterReading>",
        32,
    )

    assert list(values_of(reader)) == [Value(900, 0, 1), Value(300, 60, 2), Value(600, 60, 3), Value(660, 60, 4)]
    reader.done()


def test_a_reading_without_a_time_was_taken_now() -> None:
    made = Value(None, 0, 2500).measured(Type(uom=38, flow=1), START, site=False)

    assert made == Measurement("p_kw", START, 2.5)


def test_a_reading_keeps_its_interval() -> None:
    made = Value(600, 60, 2500).measured(Type(uom=38, flow=1), START, site=False)

    assert made == Measurement("p_kw", datetime(1970, 1, 1, 0, 10, tzinfo=UTC), 2.5, timedelta(seconds=60))


@pytest.mark.parametrize(("value", "fine"), [(INT48 - 1, True), (-INT48, True), (INT48, False), (-INT48 - 1, False)])
def test_a_value_has_48_bits(value: int, fine: bool) -> None:
    reader = parse(f"<MirrorMeterReading><Reading><value>{value}</value></Reading></MirrorMeterReading>".encode(), 32)

    assert [each.value for each in values_of(reader)] == ([value] if fine else [])
    if not fine:
        with pytest.raises(InputError, match="whole number"):
            reader.done()
