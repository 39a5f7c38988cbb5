"""An epoch's rewards: by hand, within the budget, and the same whoever adds them up."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.errors import KeyReused
from gridnet_contracts.rewards.epoch import LEGS, NOBODY, Rendered, open_asset, reward, reward_orders
from gridnet_contracts.rewards.programme import MILLION, SERVICES, Programme, Service
from tests.contracts.gridnet_contracts.settlement.books import balances, books, enter, faults

START = datetime(2018, 6, 1, tzinfo=UTC)


def programme(budget: int = 100, **weights: int) -> Programme:
    """One with these weights."""
    fields: dict[str, Any] = {"weights_ppm": weights or {"readings": MILLION}}
    return Programme(name="street", title="Street", unit="point", epoch_days=7, budget=budget, **fields)


def readings(*amounts: tuple[str, int, int]) -> list[Rendered]:
    """Readings delivered, as (party, amount, reputation)."""
    return [Rendered(party, "readings", amount, reputation) for party, amount, reputation in amounts]


def test_a_pot_is_shared_by_service_times_reputation() -> None:
    epoch = reward(programme(), START, readings(("bob", 100, MILLION), ("ann", 100, MILLION // 2), ("cy", -9, MILLION)))
    assert epoch.rewards == {"ann": 33, "bob": 67}
    bob = next(row for row in epoch.rows if row.party == "bob")
    assert (bob.points, bob.all_points, bob.pot) == (100 * MILLION, 150 * MILLION, 100)
    assert (bob.quotient, bob.remainder, bob.extra, bob.reward) == (66, 100 * MILLION, 1, 67)
    cy = next(row for row in epoch.rows if row.party == "cy")
    assert (cy.amount, cy.counted, cy.reward) == (-9, 0, 0)


def test_what_the_weights_leave_and_what_nobody_earned_is_not_given() -> None:
    short = programme(100, readings=500_000, availability=300_000)
    epoch = reward(short, START, readings(("ann", 1, MILLION)))
    assert epoch.pots == {"readings": 50, "availability": 30, NOBODY: 20}
    assert (epoch.given, epoch.as_json()["not_given"]) == (50, 50)


def test_without_service_or_reputation_nothing_is_given() -> None:
    for rendered in ([], readings(("ann", 0, MILLION)), readings(("ann", 5, 0))):
        epoch = reward(programme(), START, rendered)
        assert (epoch.rewards, reward_orders(epoch)) == ({}, [])


def test_every_fault_is_listed() -> None:
    wrong = [
        *readings(("ann", 1, MILLION + 1), ("bob", 1, 5), ("bob", 2, 6)),
        Rendered("cy", "curtailment", 1, 1),
    ]
    with pytest.raises(InputError) as refusal:
        reward(programme(), START.replace(tzinfo=None), wrong)
    assert [fault.where for fault in refusal.value.faults] == [
        "start",
        "ann: readings: reputation_ppm",
        "bob: readings",
        "bob: readings: reputation_ppm",
        "cy: curtailment",
    ]


def test_the_table_lets_a_participant_do_the_sum() -> None:
    table = reward(programme(readings=900_000), START, readings(("ann", 2, MILLION), ("bob", 1, MILLION))).table()
    assert "budget 100 grt, given 90, not given 10" in table
    assert "pot readings: 90 (weight 900000 ppm, in readings)" in table
    assert "pot nobody: 10 (weight 100000 ppm)" in table
    [row] = [line.split() for line in table.splitlines() if line.split()[:2] == ["readings", "ann"]]
    assert row == ["readings", "ann", "2", "2", "1000000", "2000000", "3000000", "90", "60", "0", "0", "60"]


def test_the_ledger_takes_an_epoch_once(tmp_path: Path) -> None:
    epoch = reward(programme(), START, readings(("ann", 2, MILLION), ("bob", 1, MILLION)))
    [order] = reward_orders(epoch)
    assert order.key == "reward:street:2018-06-01T00:00Z"
    assert isinstance(order.action, Move)
    assert epoch.digest() in order.action.memo
    with books(tmp_path) as ledger:
        enter(ledger, [open_asset(epoch.programme), order])
        enter(ledger, reward_orders(epoch))
        assert balances(ledger, "grt") == {"owned/ann": 67, "owned/bob": 33, "source/programme:street": -100}
        late = reward(epoch.programme, START, readings(("ann", 3, MILLION), ("bob", 1, MILLION)))
        with pytest.raises(KeyReused):
            enter(ledger, reward_orders(late))
        assert faults(ledger) == []


def test_many_participants_take_several_entries() -> None:
    many = readings(*((f"p:{number:032x}", 1, MILLION) for number in range(LEGS + 1)))
    orders = reward_orders(reward(programme(10_000), START, many))
    assert [order.key.rpartition(":")[2] for order in orders] == ["00Z", "part-2"]


@st.composite
def programmes(draw: st.DrawFn) -> Programme:
    """Any weights, those of all the budget often among them."""
    cuts = sorted(draw(st.lists(st.integers(1, MILLION - 1), min_size=1, max_size=5, unique=True)))
    weights = [after - before for before, after in zip([0, *cuts], [*cuts, MILLION], strict=True)]
    kept = dict(zip(SERVICES, weights[: draw(st.integers(1, len(weights)))], strict=False))
    return programme(draw(st.integers(1, 10_000)), **kept)


@st.composite
def epochs(draw: st.DrawFn) -> tuple[Programme, list[Rendered]]:
    """A programme and what was rendered under it."""
    drawn = draw(programmes())
    trust = {party: draw(st.sampled_from([0, 1, 500_000, MILLION])) for party in ("ann", "bob", "cy", "dee")}
    amounts = st.one_of(st.integers(-5, 5), st.integers(-(10**6), 10**9))
    services: list[Service] = list(drawn.weights_ppm)
    asked = [(party, service) for party in trust for service in services if draw(st.booleans())]
    return drawn, [Rendered(party, service, draw(amounts), trust[party]) for party, service in asked]


@given(epochs())
def test_the_budget_is_never_exceeded_and_every_pot_with_points_is_given_whole(case: tuple[Programme, list[Rendered]]) -> None:
    drawn, rendered = case
    epoch = reward(drawn, START, rendered)
    assert sum(epoch.pots.values()) == drawn.budget
    earned = {row.service for row in epoch.rows if row.points}
    assert epoch.given == sum(epoch.rewards.values()) == sum(epoch.pots[service] for service in earned) <= drawn.budget


@given(programmes(), st.integers(1, 10**6))
def test_all_weights_used_give_exactly_the_budget(drawn: Programme, amount: int) -> None:
    whole: dict[str, int] = {str(service): weight for service, weight in drawn.weights_ppm.items()}
    last = list(whole)[-1]
    whole[last] += MILLION - sum(whole.values())
    full = programme(drawn.budget, **whole)
    everyone = [Rendered(party, service, amount, 7) for service in full.weights_ppm for party in ("ann", "bob", "cy")]
    assert reward(full, START, everyone).given == drawn.budget


@given(epochs(), st.integers(1, 10**6))
def test_more_service_never_earns_less(case: tuple[Programme, list[Rendered]], more: int) -> None:
    drawn, rendered = case
    before = reward(drawn, START, rendered).rewards
    for place, each in enumerate(rendered):
        grown = [*rendered[:place], replace(each, amount=each.amount + more), *rendered[place + 1 :]]
        assert reward(drawn, START, grown).rewards.get(each.party, 0) >= before.get(each.party, 0)


@given(epochs(), st.integers(0, 9))
def test_each_row_can_be_done_again_by_hand_in_any_order(case: tuple[Programme, list[Rendered]], seed: int) -> None:
    drawn, rendered = case
    epoch = reward(drawn, START, rendered)
    assert reward(drawn, START, random.Random(seed).sample(rendered, len(rendered))) == epoch
    for row in epoch.rows:
        assert row.points == max(row.amount, 0) * row.reputation_ppm
        assert row.quotient * row.all_points + row.remainder == row.pot * row.points * (row.all_points > 0)
        assert row.reward == row.quotient + row.extra
        assert row.extra in {0, 1}
        assert row.points or not row.reward
