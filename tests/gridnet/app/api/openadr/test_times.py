"""ISO 8601 as OpenADR writes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.openadr.times import duration_of, iso_duration, iso_time, moment_of


@given(st.timedeltas(timedelta(0), timedelta(days=3000)))
def test_a_duration_comes_back(duration: timedelta) -> None:
    assert duration_of(iso_duration(duration)) == duration


@given(st.floats(0, 7e9).map(lambda at_s: datetime.fromtimestamp(at_s, UTC)))
def test_a_time_comes_back_to_the_millisecond(time: datetime) -> None:
    assert abs(moment_of(iso_time(time)) - time) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "duration"),
    [("PT15M", timedelta(minutes=15)), ("PT900S", timedelta(minutes=15)), ("P9999Y", timedelta(days=365 * 9999))],
)
def test_durations_that_clients_write(text: str, duration: timedelta) -> None:
    assert duration_of(text) == duration


@pytest.mark.parametrize("text", ["", "P", "15M", "900", "00:15:00", "-PT1S", "PT15", "P99999Y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        duration_of(text)


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-03-01T12:00:00Z", 12), ("2026-03-01T12:00:00+01:00", 11), ("2026-03-01 12:00:00", 12)]
)
def test_times_are_in_utc(text: str, hour: int) -> None:
    assert moment_of(text) == datetime(2026, 3, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "1772366400", "noon", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        moment_of(text)
