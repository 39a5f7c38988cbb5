from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions import certificates
from gridnet_contracts.ledger.report_queries import ClaimedWh
from gridnet_contracts.ledger.rows import Consumption, Factor
from gridnet_contracts.reports.consumer import ConsumerReport, Facts, Scope, assess, consumer_report

World = Any
"""`conftest.World`, which a test gets through its fixtures alone."""
DAY = datetime(2018, 6, 1, tzinfo=UTC)
SCOPE = Scope("bob", "de", DAY, DAY + timedelta(days=1))
TEN, ELEVEN, TWELVE = (f"2018-06-01T{hour}:00Z" for hour in (10, 11, 12))


def report_of(world: World, scope: Scope = SCOPE) -> ConsumerReport:
    return consumer_report(world.database, scope)


def figures_of(report: ConsumerReport) -> dict[str, str]:
    """The lines of the table with a figure, by label."""
    lines = [re.split(r"  +", line) for line in report.table().splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2 and line[0]}


def two_hours(world: World) -> None:
    """10:00: 1000 Wh drawn, 400 claimed at 50 mg; 11:00: 500 Wh drawn, 700 claimed at 20 mg. Beside it, another consumer's."""
    world.consume(TEN, 5000, consumer="cem")
    world.consume(TEN, 600, 30)
    world.consume("2018-06-01T10:30Z", 400, 30)
    world.consume(ELEVEN, 500)
    world.claim(world.issue(TEN, 400, emissions_mg_per_kwh=50))
    world.claim(world.issue(ELEVEN, 700, emissions_mg_per_kwh=20))
    world.factor(TEN, 300_000, 500_000, free=400_000)
    world.factor(ELEVEN, 200_000, 600_000, free=500_000)


def test_a_period_computed_by_hand(world: World) -> None:
    two_hours(world)
    report = report_of(world)

    ten, eleven = report.hours
    assert (ten.start, ten.load_wh, ten.claimed_wh, ten.matched_wh, ten.surplus_wh) == (TEN, 1000, 400, 400, 0)
    assert (eleven.start, eleven.load_wh, eleven.claimed_wh, eleven.matched_wh, eleven.surplus_wh) == (ELEVEN, 500, 700, 500, 200)
    assert (ten.share, eleven.share) == (Fraction(2, 5), 1)
    assert (ten.location_ug, eleven.location_ug) == (300_000_000, 100_000_000)
    assert (ten.market_ug, eleven.market_ug) == (400 * 50 + 600 * 500_000, 500 * 20)
    assert report.score == Fraction(900, 1500)
    assert report.with_grid is not None
    assert report.with_grid.score == Fraction(400 + 240 + 500, 1500)
    assert (report.with_grid.location_ug, report.with_grid.market_ug) == (400_000_000, 300_030_000)
    assert report.unrecorded_quarters == 96 - 8


def test_nothing_claimed_is_the_residual_mix_and_score_0(world: World) -> None:
    world.consume(TEN, 1000)
    world.issue(TEN, 1000)
    world.factor(TEN, 300_000, 500_000, free=250_000)
    report = report_of(world)

    assert report.score == 0
    assert report.with_grid is not None
    assert (report.with_grid.market_ug, report.with_grid.score) == (500_000_000, Fraction(1, 4))


@pytest.mark.parametrize(
    "status", ["transferred", "reserved", "locked", "cancelled", "another beneficiary", "not for disclosure", "self-consumed"]
)
def test_only_what_was_claimed_for_the_consumer_and_for_disclosure_counts(world: World, status: str) -> None:
    world.consume(TEN, 1000)
    world.claim(world.issue(TEN, 300, device="pv"))
    assert report_of(world).score == Fraction(3, 10)

    world.device("roof")
    dissemination = "self-consumed" if status == "self-consumed" else "public grid"
    other = world.issue(TEN, 500, device="roof", disclosure=status != "not for disclosure", dissemination=dissemination)
    one = {"certificate": other, "owner": "ann"}
    match status:
        case "transferred":
            world.do(certificates.Transfer(**one, to="bob"))
        case "reserved":
            world.do(certificates.Reserve(**one, beneficiary="bob"))
        case "locked":
            world.do(certificates.Lock(**one, reason="on a chain"))
        case "cancelled":
            world.do(certificates.Cancel(**one, reason="no use"))
        case "another beneficiary":
            world.claim(other, beneficiary="cem")
        case _:
            world.claim(other)
    report = report_of(world)
    assert (report.score, report.claimed_wh) == (Fraction(3, 10), 300)
    assert report.undisclosed_wh == (500 if status in {"not for disclosure", "self-consumed"} else 0)


def test_beyond_the_load_the_mean_of_all_claimed_holds_not_the_cleanest(world: World) -> None:
    world.device("biogas")
    world.consume(TEN, 100)
    world.factor(TEN, 0, 0)
    world.claim(world.issue(TEN, 100, emissions_mg_per_kwh=0))
    world.claim(world.issue(TEN, 200, device="biogas", emissions_mg_per_kwh=100))

    [hour] = report_of(world).hours
    assert hour.claimed_ug == 20_000
    assert hour.matched_ug == 6667, "100 of 300 Wh that carry 20,000 ug together, rounded up"


def test_the_clock_hour_decides_not_the_quarter(world: World) -> None:
    world.consume("2018-06-01T10:45Z", 100, 15)
    world.claim(world.issue(TEN, 60, minutes=15))
    world.claim(world.issue(ELEVEN, 40, minutes=15))

    assert [(hour.start, hour.matched_wh, hour.surplus_wh) for hour in report_of(world).hours] == [(TEN, 60, 0), (ELEVEN, 0, 40)]


def test_a_period_is_half_open(world: World) -> None:
    two_hours(world)
    at_ten, at_eleven, at_twelve = (DAY + timedelta(hours=hour) for hour in (10, 11, 12))
    assert [hour.start for hour in report_of(world, Scope("bob", "de", at_ten, at_eleven)).hours] == [TEN]
    assert [hour.start for hour in report_of(world, Scope("bob", "de", at_eleven, at_twelve)).hours] == [ELEVEN]
    assert report_of(world, Scope("bob", "de", at_twelve, DAY + timedelta(days=1))).hours == ()


def test_without_load_there_is_no_score_and_nothing_is_missing(world: World) -> None:
    world.claim(world.issue(TEN, 60))
    report = report_of(world)
    assert (report.score, report.surplus_wh, report.missing) == (None, 60, ())
    assert report.with_grid is not None
    assert (report.with_grid.score, report.with_grid.location_ug, report.with_grid.market_ug) == (None, 0, 0)
    assert figures_of(report)["CFE score, without the grid"] == "-"


@pytest.mark.parametrize("recorded", ["none", "another zone", "three quarters"])
def test_one_missing_factor_leaves_everything_of_the_grid_unstated(world: World, recorded: str) -> None:
    two_hours(world)
    world.consume(TWELVE, 100)
    if recorded == "another zone":
        world.factor(TWELVE, 1, 1, zone="fr")
    if recorded == "three quarters":
        world.factor(TWELVE, 1, 1, minutes=45)
    report = report_of(world)

    assert report.missing == (TWELVE,)
    assert report.with_grid is None
    assert report.score == Fraction(900, 1600)
    shown = report.as_json()
    figures = ("cfe_score_with_grid", "location_based_ug", "market_based_hourly_ug")
    assert [shown[name] for name in figures] == [None, None, None]
    assert shown["missing_grid_factors"] == [TWELVE]
    assert report.table().count("not stated") == 4
    assert f"from {TWELVE} until 2018-06-01T13:00Z" in report.table()
    assert "missing" in report.hour_table()


def test_a_complete_period_states_everything(world: World) -> None:
    two_hours(world)
    report = report_of(world)
    assert "not stated" not in report.table()
    assert "missing" not in report.table() + report.hour_table()
    assert list(figures_of(report).values()) == [
        *("1.500 kWh", "1.100 kWh", "0.900 kWh", "0.200 kWh", "0.000 kWh"),
        *("60.0 %", "76.0 %", "0.400 kg", "0.301 kg", "88"),
    ]


def test_hours_that_follow_one_another_are_listed_as_one_gap(world: World) -> None:
    for start in (TEN, ELEVEN, "2018-06-01T14:00Z"):
        world.consume(start, 10)
    lines = report_of(world).table().splitlines()
    assert "not stated, since hours with load have no grid factor: 3" in lines
    assert [line for line in lines if line.startswith("  from")] == [
        f"  from {TEN} until {TWELVE}",
        "  from 2018-06-01T14:00Z until 2018-06-01T15:00Z",
    ]


def test_factors_by_the_quarter_hour_are_averaged_against_the_consumer(world: World) -> None:
    world.consume(TEN, 1000)
    world.factor(TEN, 100, 200, minutes=45, free=500_000)
    world.factor("2018-06-01T10:45Z", 103, 201, minutes=15, free=499_999)
    [hour] = report_of(world).hours
    assert hour.factor is not None
    assert (hour.factor.emissions_mg_per_kwh, hour.factor.residual_mg_per_kwh, hour.factor.carbon_free_ppm) == (101, 201, 499_999)


def test_what_is_shown_never_rounds_up_a_score_or_down_an_emission() -> None:
    almost = assess(SCOPE, Facts([load(10, 10**7)], [claim(10, 10**7 - 1)], [grid(10, (1, 1, 0))]))
    assert almost.as_json()["cfe_score"] == 0.999999
    shown = figures_of(almost)
    assert shown["CFE score, without the grid"] == shown["CFE score, with the grid"] == "99.9 %"
    assert shown["location-based, CO2e"] == "0.010 kg"
    assert shown["market-based hourly, CO2e"] == "0.001 kg", "one microgram"


def test_the_json_form_is_json_and_whole(world: World) -> None:
    two_hours(world)
    shown = report_of(world).as_json()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["cfe_score"] == 0.6
    assert shown["market_based_hourly_ug"] == sum(hour["market_based_hourly_ug"] for hour in shown["hours"])
    assert shown["hours"][1]["surplus_wh"] == 200


def test_a_period_that_is_none_is_refused_with_all_its_faults() -> None:
    with pytest.raises(InputError) as refused:
        Scope("bob", "de", datetime(2018, 6, 1), DAY + timedelta(minutes=15))  # noqa: DTZ001
    assert [fault.where for fault in refused.value.faults] == ["start", "end"]
    for start, end in ((DAY, DAY), (DAY + timedelta(hours=1), DAY)):
        with pytest.raises(InputError, match="after the start"):
            Scope("bob", "de", start, end)


def test_another_time_zone_is_taken_as_utc() -> None:
    summer = timezone(timedelta(hours=2))
    scope = Scope("bob", "de", datetime(2018, 6, 1, tzinfo=summer), datetime(2018, 6, 2, tzinfo=summer))
    assert scope.span == ("2018-05-31T22:00Z", "2018-06-01T22:00Z")
    half = timezone(timedelta(hours=5, minutes=30))
    with pytest.raises(InputError, match="full clock hour"):
        Scope("bob", "de", datetime(2018, 6, 1, tzinfo=half), DAY + timedelta(days=2))


# Properties, on facts that need no database.


def load(hour: int, wh: int, quarter: int = 0) -> Consumption:
    minute = 15 * quarter
    end = f"{hour:02}:{minute + 15:02}" if minute < 45 else f"{hour + 1:02}:00"
    return Consumption("bob", f"2018-06-01T{hour:02}:{minute:02}Z", f"2018-06-01T{end}Z", wh, "", 0)


def claim(hour: int, wh: int, emissions: int = 0) -> ClaimedWh:
    return ClaimedWh(f"2018-06-01T{hour:02}", 1, emissions, wh)


def grid(hour: int, values: tuple[int, int, int]) -> Factor:
    return Factor("de", f"2018-06-01T{hour:02}:00Z", f"2018-06-01T{hour + 1:02}:00Z", *values, "", 0)


hours = st.integers(8, 12)
amounts = st.integers(1, 5000)
emissions = st.integers(0, 900_000)
loads = st.lists(st.builds(load, hours, amounts, st.integers(0, 3)), max_size=12, unique_by=lambda one: one.start)
claims = st.lists(st.builds(claim, hours, amounts, emissions), max_size=12)
grids = st.fixed_dictionaries({hour: st.tuples(emissions, emissions, st.integers(0, 1_000_000)) for hour in range(8, 13)}).map(
    lambda values: [grid(hour, value) for hour, value in values.items()]
)


@given(loads, claims, grids)
def test_scores_and_hours_keep_their_bounds(consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor]) -> None:
    report = assess(SCOPE, Facts(consumed, claimed, factors))
    figures = report.with_grid
    assert figures is not None
    if report.score is None:
        assert not consumed
    else:
        assert figures.score is not None
        assert 0 <= report.score <= figures.score <= 1
    for hour in report.hours:
        assert 0 <= hour.matched_wh <= hour.load_wh
        assert hour.matched_wh + hour.surplus_wh == hour.claimed_wh
        assert hour.matched_wh + hour.unmatched_wh == hour.load_wh
        assert not (hour.surplus_wh and hour.unmatched_wh)
    assert report.load_wh == sum(one.wh for one in consumed)
    assert report.claimed_wh == sum(one.wh for one in claimed)


@given(loads, claims, grids, st.randoms(use_true_random=False))
def test_the_order_of_facts_changes_nothing(
    consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor], random: Any
) -> None:
    before = assess(SCOPE, Facts(consumed, claimed, factors))
    for facts in (consumed, claimed, factors):
        random.shuffle(facts)
    assert assess(SCOPE, Facts(consumed, claimed, factors)) == before


@given(loads, claims, grids, st.integers(0, 11), st.integers(1, 4999))
def test_pieces_of_a_claim_are_the_claim(
    consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor], which: int, cut: int
) -> None:
    whole = assess(SCOPE, Facts(consumed, claimed, factors))
    pieces = list(claimed)
    if which < len(pieces) and cut < pieces[which].wh:
        one = pieces.pop(which)
        hour = int(one.hour[11:])
        pieces += [claim(hour, cut, one.emissions_mg_per_kwh), claim(hour, one.wh - cut, one.emissions_mg_per_kwh)]
    assert assess(SCOPE, Facts(consumed, pieces, factors)) == whole


@given(loads, claims, grids, hours, amounts)
def test_a_claim_acts_in_its_hour_alone(
    consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor], hour: int, wh: int
) -> None:
    start = f"2018-06-01T{hour:02}:00Z"
    before = assess(SCOPE, Facts(consumed, claimed, factors))
    after = assess(SCOPE, Facts(consumed, [*claimed, claim(hour, wh)], factors))
    assert [one for one in after.hours if one.start != start] == [one for one in before.hours if one.start != start]
    there = next((one for one in before.hours if one.start == start), None)
    gained = after.matched_wh - before.matched_wh
    assert gained == min(wh, 0 if there is None else there.unmatched_wh)


@given(loads, grids)
def test_without_claims_the_market_is_the_residual(consumed: list[Consumption], factors: list[Factor]) -> None:
    figures = assess(SCOPE, Facts(consumed, [], factors)).with_grid
    assert figures is not None
    residual = {factor.start[:13]: factor.residual_mg_per_kwh for factor in factors}
    average = {factor.start[:13]: factor.emissions_mg_per_kwh for factor in factors}
    assert figures.market_ug == sum(one.wh * residual[one.start[:13]] for one in consumed)
    assert figures.location_ug == sum(one.wh * average[one.start[:13]] for one in consumed)


@given(loads, claims, grids)
def test_matched_energy_is_as_clean_as_what_was_claimed_and_no_cleaner(
    consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor]
) -> None:
    for hour in assess(SCOPE, Facts(consumed, claimed, factors)).hours:
        exact = Fraction(hour.matched_wh * hour.claimed_ug, hour.claimed_wh or 1)
        assert exact <= hour.matched_ug < exact + 1
        here = [one.emissions_mg_per_kwh for one in claimed if one.hour == hour.start[:13]]
        if hour.matched_wh:
            assert min(here) * hour.matched_wh <= hour.matched_ug <= max(here) * hour.matched_wh


@given(loads, claims, grids, st.sets(hours))
def test_the_report_states_the_grids_part_just_where_every_needed_factor_is_there(
    consumed: list[Consumption], claimed: list[ClaimedWh], factors: list[Factor], lost: set[int]
) -> None:
    left = [factor for factor in factors if int(factor.start[11:13]) not in lost]
    report = assess(SCOPE, Facts(consumed, claimed, left))
    needed = {one.start[:13] for one in consumed} & {f"2018-06-01T{hour:02}" for hour in lost}
    assert {start[:13] for start in report.missing} == needed
    assert (report.with_grid is None) == bool(needed)
    assert report.score == assess(SCOPE, Facts(consumed, claimed, factors)).score


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400), st.booleans()), max_size=6))
def test_splits_and_transfers_before_the_claim_change_nothing(
    new_world: Callable[[], World], steps: list[tuple[int, int, bool]]
) -> None:
    world = new_world()
    world.consume(TEN, 450)
    world.factor(TEN, 300_000, 500_000, free=400_000)
    world.device("roof")
    held = [
        (world.issue(TEN, 400, emissions_mg_per_kwh=70), "ann"),
        (world.issue(TEN, 200, device="roof", emissions_mg_per_kwh=30), "ann"),
    ]
    for which, wh, split in steps:
        name, owner = held.pop(which % len(held))
        issuance, _, span = name.rpartition("/")
        lo, hi = map(int, span.split("-"))
        if split and wh < hi - lo:
            world.do(certificates.Split(certificate=name, owner=owner, wh=wh))
            held += [(f"{issuance}/{lo}-{lo + wh}", owner), (f"{issuance}/{lo + wh}-{hi}", owner)]
        else:
            to = "cem" if owner == "ann" else "ann"
            world.do(certificates.Transfer(certificate=name, owner=owner, to=to))
            held.append((name, to))
    for name, owner in held:
        world.claim(name, owner)

    [hour] = report_of(world).hours
    assert (hour.load_wh, hour.claimed_wh, hour.claimed_ug) == (450, 600, 400 * 70 + 200 * 30)
    assert hour.market_ug == 25_500
