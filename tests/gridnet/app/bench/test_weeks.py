"""Which weeks `--weeks` names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gridnet.app.bench.weeks import SEASONS, parse_weeks
from gridnet.clock import STEPS_PER_WEEK, Clock, split_of
from gridnet.errors import InputError

YEAR = Clock(datetime(2016, 1, 1, tzinfo=UTC), 366 * 96)


def _weeks_long(weeks: int, more: int = 0) -> Clock:
    return Clock(datetime(2018, 1, 1, tzinfo=UTC), weeks * STEPS_PER_WEEK + more)


def test_seasons_are_one_held_out_week_of_each_season() -> None:
    weeks = parse_weeks("seasons", YEAR)
    assert weeks == list(SEASONS)
    assert {split_of(week) for week in weeks} == {"held-out"}
    months = [YEAR.time_of(week * STEPS_PER_WEEK).month for week in weeks]
    seasons = [month % 12 // 3 for month in months]
    assert seasons == [0, 1, 2, 3], "winter, spring, summer, autumn"


def test_held_out_is_every_fifth_week_of_the_year() -> None:
    weeks = parse_weeks("held-out", YEAR)
    assert weeks == [4, 9, 14, 19, 24, 29, 34, 39, 44, 49]
    assert not {week for week in range(52) if split_of(week) != "held-out"} & set(weeks)


def test_a_series_too_short_for_four_seasons_gives_its_held_out_weeks() -> None:
    assert parse_weeks("seasons", _weeks_long(5)) == [4]
    assert parse_weeks("seasons", _weeks_long(20)) == [4, 9, 14, 19]


@pytest.mark.parametrize("words", ["seasons", "held-out"])
def test_a_series_without_a_held_out_week_asks_for_numbers(words: str) -> None:
    with pytest.raises(InputError, match="none is held out"):
        parse_weeks(words, _weeks_long(4))


@pytest.mark.parametrize(("words", "weeks"), [("0", [0]), ("3,1,2", [3, 1, 2]), (" 4 , 2 ", [4, 2]), ("007", [7]), ("51", [51])])
def test_numbers_are_taken_in_the_order_given(words: str, weeks: list[int]) -> None:
    assert parse_weeks(words, YEAR) == weeks


def test_a_week_named_twice_runs_once() -> None:
    assert parse_weeks("4,2,4,04", YEAR) == [4, 2]


@pytest.mark.parametrize("words", ["", ",", "4,", "52", "-1", "1.5", "SEASONS", "held-out,3", "1;2", "0x4", "²", "1e1"])
def test_what_is_no_week_of_the_series_is_refused(words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_weeks(words, YEAR)
    assert "0 to 51" in str(caught.value)


def test_all_wrong_words_are_listed_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_weeks("4,x,99,-1,3", YEAR)
    assert [fault.got for fault in caught.value.faults] == ["'x'", "'99'", "'-1'"]


def test_a_week_that_is_not_whole_is_none_of_the_series() -> None:
    clock = _weeks_long(3, more=STEPS_PER_WEEK - 1)
    assert parse_weeks("2", clock) == [2]
    with pytest.raises(InputError):
        parse_weeks("3", clock)


def test_an_absurdly_long_number_is_refused_like_any_other() -> None:
    with pytest.raises(InputError):
        parse_weeks("9" * 5000, YEAR)
