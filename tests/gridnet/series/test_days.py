from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from gridnet.clock import Clock
from gridnet.errors import InputError
from gridnet.series.days import DayType, day_types, days_apart, days_of_leap_year, easter_sunday, local_dates
from gridnet.series.profiles import SIMBENCH_CLOCK


@pytest.mark.parametrize(
    ("year", "easter"),
    [(2016, date(2016, 3, 27)), (2018, date(2018, 4, 1)), (2024, date(2024, 3, 31)), (2038, date(2038, 4, 25))],
)
def test_easter_falls_where_the_church_has_it(year: int, easter: date) -> None:
    assert easter_sunday(year) == easter


def test_local_dates_of_the_simbench_year_are_2016() -> None:
    dates = local_dates(SIMBENCH_CLOCK)
    assert len(dates) == 366
    assert (dates[0], dates[59], dates[-1]) == (date(2016, 1, 1), date(2016, 2, 29), date(2016, 12, 31))


@pytest.mark.parametrize(
    "clock",
    [
        Clock(start=datetime(2016, 1, 1, tzinfo=UTC), steps=96),
        Clock(start=datetime(2015, 12, 31, 23, tzinfo=UTC), steps=95),
        Clock(start=datetime(2015, 12, 31, 23, tzinfo=UTC), steps=0),
    ],
    ids=["not from midnight", "not whole days", "empty"],
)
def test_a_clock_without_whole_local_days_is_refused(clock: Clock) -> None:
    with pytest.raises(InputError, match="whole local days"):
        local_dates(clock)


def test_holidays_count_as_sundays_and_workdays_do_not() -> None:
    days = [date(2018, 4, 2), date(2018, 10, 3), date(2018, 4, 7), date(2018, 4, 8), date(2018, 4, 9)]
    assert day_types(days).tolist() == [
        DayType.SUNDAY,
        DayType.SUNDAY,
        DayType.SATURDAY,
        DayType.SUNDAY,
        DayType.WORKDAY,
    ]


def test_days_of_the_year_agree_between_leap_and_common_years() -> None:
    assert days_of_leap_year([date(2018, 2, 28), date(2016, 2, 29), date(2018, 3, 1)]).tolist() == [58, 59, 60]


def test_days_apart_goes_around_the_end_of_the_year() -> None:
    assert days_apart(np.array([0, 100]), np.array([365, 90])).tolist() == [[1, 90], [101, 10]]
