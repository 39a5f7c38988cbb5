"""The spread of money over weeks and training seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.score import Weeks
from gridnet.app.bench.spread import spreads

money = st.floats(-1e3, 1e3)


def weeks(*seeds: Sequence[float]) -> Weeks:
    return Weeks([[WeekAccount(cost, 0, 1.0, 50.0, 1.0, 1.0, 1.0) for cost in seed] for seed in seeds], [0.1])


@given(st.lists(st.tuples(money, money), min_size=1, max_size=6), st.integers(0, 5))
def test_an_interval_lies_within_what_any_draw_can_give(costs: list[tuple[float, float]], seed: int) -> None:
    idle, mine = zip(*costs, strict=True)
    found = spreads({"no_battery": weeks(idle), "mine": weeks(mine)}, seed)
    saved = [one - other for one, other in costs]
    for (low, high), values in ((found["mine"].cost_eur, mine), (found["mine"].saving_eur, saved)):
        reach = len(costs) * max(map(abs, values)) * 1e-9 + 1e-9
        assert len(costs) * min(values) - reach <= low <= high <= len(costs) * max(values) + reach
    assert found["no_battery"].saving_eur == (0.0, 0.0)


def test_a_policy_that_always_saves_the_same_has_a_sure_saving_and_an_unsure_cost() -> None:
    found = spreads({"no_battery": weeks([100.0, 20.0, 60.0]), "mine": weeks([90.0, 10.0, 50.0])}, 0)["mine"]
    assert found.saving_eur == pytest.approx((30.0, 30.0))
    assert found.cost_eur[0] < 150.0 < found.cost_eur[1]


def test_training_seeds_alone_spread_a_single_week() -> None:
    idle = weeks([100.0])
    assert spreads({"no_battery": idle, "mine": weeks([80.0])}, 0)["mine"].cost_eur == (80.0, 80.0)
    low, high = spreads({"no_battery": idle, "mine": weeks([80.0], [60.0])}, 0)["mine"].cost_eur
    assert (low, high) == (60.0, 80.0)


def test_the_same_seed_gives_the_same_intervals() -> None:
    given_weeks = {"no_battery": weeks([100.0, 20.0, 60.0]), "mine": weeks([90.0, 31.0, 7.0])}
    assert spreads(given_weeks, 3) == spreads(given_weeks, 3)
