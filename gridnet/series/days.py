"""Local days of a clock: their dates, their day types, and the day of the SimBench year that stands for each."""

from __future__ import annotations

from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from gridnet.clock import Clock
from gridnet.errors import InputError

IntArray = npt.NDArray[np.int64]

DAYS_OF_LEAP_YEAR = 366
_LEAP_YEAR = 2016


class DayType(IntEnum):
    """Days that people spend alike. Nationwide German public holidays count as Sundays."""

    WORKDAY = 0
    SATURDAY = 1
    SUNDAY = 2


def steps_per_day(clock: Clock) -> int:
    """Steps in a day of `clock`."""
    return round(24 / clock.dt_h)


def local_dates(clock: Clock) -> list[date]:
    """Dates of the local days of `clock`, in order.

    Raises `InputError` where the clock does not hold whole local days.
    """
    per_day = steps_per_day(clock)
    if clock.local_step_of_day(0) != 0 or clock.steps % per_day or clock.steps == 0:
        raise InputError(
            f"the clock from {clock.start.isoformat()} over {clock.steps} steps does not hold whole local days; "
            f"start it at local midnight (UTC{clock.utc_offset_h:+g} h) and give it a multiple of {per_day} steps"
        )
    first = (clock.start + timedelta(hours=clock.utc_offset_h)).date()
    return [first + timedelta(days=day) for day in range(clock.steps // per_day)]


def day_types(dates: list[date]) -> IntArray:
    """`DayType` of each date, `(days,)`."""
    holidays = {holiday for year in {day.year for day in dates} for holiday in public_holidays(year)}
    return np.array([_day_type(day, holidays) for day in dates], dtype=np.int64)


def days_of_leap_year(dates: list[date]) -> IntArray:
    """Index of each date's month and day within a leap year, 0 to 365, `(days,)`: 1 March is 60 in every year."""
    return np.array([(day.replace(year=_LEAP_YEAR) - date(_LEAP_YEAR, 1, 1)).days for day in dates], dtype=np.int64)


def days_apart(days: IntArray, others: IntArray) -> IntArray:
    """Days between two sets of days of the (leap) year, around the year's end, `(days, others)`."""
    apart = np.abs(days[:, None] - others[None, :])
    around: IntArray = np.minimum(apart, DAYS_OF_LEAP_YEAR - apart)
    return around


def public_holidays(year: int) -> set[date]:
    """The nine public holidays that all of Germany keeps, and the two it keeps in practice (24 and 31 December)."""
    easter = easter_sunday(year)
    movable = {easter + timedelta(days=offset) for offset in (-2, 1, 39, 50)}
    fixed = {(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)}
    return movable | {date(year, month, day) for month, day in fixed}


def easter_sunday(year: int) -> date:
    """Gregorian Easter (Meeus, Astronomical Algorithms, 2nd ed., chapter 8)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    skipped, remainder = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - skipped - correction + 15) % 30
    leaps, rest = divmod(of_century, 4)
    to_sunday = (32 + 2 * remainder + 2 * leaps - epact - rest) % 7
    late = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day = divmod(epact + to_sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _day_type(day: date, holidays: set[date]) -> DayType:
    if day.weekday() == 6 or day in holidays:
        return DayType.SUNDAY
    return DayType.SATURDAY if day.weekday() == 5 else DayType.WORKDAY
