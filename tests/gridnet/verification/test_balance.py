"""Level 2 on arrays: what it finds, what it lets pass, what it can't see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gridnet.app.bench.fraud_trials import make_grid, wrong_impedances
from gridnet.metering.tamper import Recording, Sensed, Tamper
from gridnet.verification.balance import balance, cusum, growing
from gridnet.verification.grid import Reported
from gridnet.verification.settings import Settings

HONEST_SEEDS = range(8)


def test_honest_meters_of_their_class_do_not_fire(street) -> None:
    for seed in HONEST_SEEDS:
        assert not balance(street.grid, street.grid.residual(street.reported(seed=seed))).fired


def test_honest_meters_do_not_fire_under_impedances_that_are_wrong_as_assumed(street) -> None:
    for seed in HONEST_SEEDS:
        known = wrong_impedances(street.case, 0.05, np.random.default_rng(seed))
        grid = make_grid(known, street.homes, Settings())
        assert not balance(grid, grid.residual(street.reported(seed=seed))).fired


def test_exact_meters_leave_nothing(exact_street) -> None:
    residual = exact_street.grid.residual(exact_street.true())
    seen = balance(exact_street.grid, residual)

    assert np.abs(residual.off_kw).max() < 1e-4
    assert np.abs(residual.off_pu).max() < 1e-7
    assert not seen.fired
    assert seen.highest < 0.1


@pytest.mark.parametrize("seed", range(20))
def test_no_gap_makes_exact_meters_suspect(exact_street, seed: int) -> None:
    rng, reported = np.random.default_rng(seed), exact_street.true()
    home, step, steps = rng.integers(13), rng.integers(672), rng.integers(1, 96)
    for each in reported[:3]:
        each[step : step + steps, home] = np.nan

    assert not balance(exact_street.grid, exact_street.grid.residual(reported)).fired


def _one(model: str, size: float) -> Callable[..., Tamper]:
    def make(street) -> Tamper:
        past = Recording(0, Sensed(*(each[:96, street.largest] for each in street.week.seen)))
        return Tamper(model, (street.homes.name[street.largest],), size, recording=past)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(("model", "size"), [("scaled", 0.1), ("scaled", 0.5), ("shifted", 0.5), ("replayed", 0.0), ("stuck", 0.0)])
def test_a_fraud_of_the_largest_home_fires(street, model: str, size: float) -> None:
    assert balance(street.grid, street.grid.residual(street.reported(_one(model, size)(street)))).fired


def test_two_homes_that_agree_fire(street) -> None:
    pair = tuple(street.homes.name[home] for home in np.argsort(-np.abs(street.week.seen.p_kw).mean(axis=0))[:2])
    assert balance(street.grid, street.grid.residual(street.reported(Tamper("agreeing", pair, 0.2)))).unbalanced


def test_two_opposite_cheats_of_one_size_go_unseen_by_the_head(exact_street) -> None:
    """A blind spot: what one hides the other shows, and only the losses differ."""
    reported = exact_street.true()
    one, other = np.argsort(-np.abs(reported.p_kw).mean(axis=0))[:2]
    moved = 0.01 * np.abs(reported.p_kw[:, one])
    reported.p_kw[:, one] += moved
    reported.p_kw[:, other] -= moved
    honest = exact_street.true()
    honest.p_kw[:, one] += moved
    grid = exact_street.grid
    off = [np.abs(grid.residual(each).off_kw).sum() for each in (reported, honest)]

    assert off[0] < 0.1 * off[1]


def test_a_bad_head_meter_looks_like_fraud_and_names_nobody(street) -> None:
    """A blind spot: the head is one meter, and everything is weighed against it."""
    reported = street.reported()
    seen = balance(street.grid, street.grid.residual(reported._replace(head_kw=reported.head_kw + 2.0)))

    assert seen.unbalanced
    assert abs(seen.shift_score) == seen.highest


def test_a_head_meter_that_is_off_by_what_its_class_allows_does_not_fire(street) -> None:
    reported = street.true()
    reported = reported._replace(head_kw=1.003 * reported.head_kw)
    assert not balance(street.grid, street.grid.residual(reported)).fired


def test_either_test_of_the_head_is_enough(street) -> None:
    calm = balance(street.grid, street.grid.residual(street.reported()))

    assert not calm.unbalanced
    assert replace(calm, cusum=calm.cusum_limit + 0.1).unbalanced
    assert replace(calm, shift_score=-calm.score_limit - 0.1).unbalanced
    assert replace(calm, score=calm.score + calm.score_limit + 1.0).unbalanced


def test_a_single_interval_allows_for_impedances(street) -> None:
    residual = street.grid.residual(street.reported())
    wide = make_grid(street.case, street.homes, replace(street.grid.settings, impedance_error=10.0))

    assert (wide.lasting_sd(residual) >= 10.0 * residual.loss_kw).all()


def test_a_change_in_mid_week_is_dated(street) -> None:
    reported = street.reported()
    reported.p_kw[400:, street.largest] *= 0.5
    seen = balance(street.grid, street.grid.residual(reported))

    assert seen.cusum > seen.cusum_limit
    assert 350 <= seen.since <= 450


def test_a_voltage_that_does_not_follow_the_grid_is_its_own_meters(street) -> None:
    reported = street.reported()
    reported.vm_pu[:, 3] = 1.02
    seen = balance(street.grid, street.grid.residual(reported))

    assert np.flatnonzero(seen.follows > seen.follows_limit).tolist() == [3]
    assert not seen.unbalanced


def test_the_order_of_the_homes_does_not_matter(street) -> None:
    order = np.random.default_rng(1).permutation(len(street.homes.name))
    reported = street.reported(Tamper("scaled", (street.homes.name[street.largest],), 0.2))
    shuffled = Reported(*(each[:, order] for each in reported[:3]), reported.head_kw)
    homes = replace(street.homes, bus=street.homes.bus[order], capacity_kw=street.homes.capacity_kw[order])
    grid = make_grid(street.case, homes, street.grid.settings)
    straight, turned = balance(street.grid, street.grid.residual(reported)), balance(grid, grid.residual(shuffled))

    assert turned.score == pytest.approx(straight.score[order], abs=1e-6)
    assert turned.cusum == pytest.approx(straight.cusum, abs=1e-6)


def test_a_growing_window_says_what_each_window_alone_says(street) -> None:
    reported = street.reported()
    first = Reported(*(each[:192] for each in reported))
    [growing_one, _] = growing(street.grid, street.grid.residual(reported), [192, 672])
    alone = balance(street.grid, street.grid.residual(first))

    assert growing_one.score == pytest.approx(alone.score, abs=1e-9)
    assert growing_one.cusum == pytest.approx(alone.cusum, abs=1e-9)


def test_an_interval_without_head_is_left_out(street) -> None:
    reported = street.reported()
    reported.head_kw[5] = np.nan
    assert 5 not in street.grid.residual(reported).step


def test_a_cusum_by_hand() -> None:
    assert cusum(np.array([0.0, 1.0, 2.0, -1.0]), 0.5) == (2.0, 1)
    assert cusum(np.array([0.0, -1.0, -2.0, 9.0])[:3], 0.5) == (2.0, 1)
    assert cusum(np.zeros(4), 0.5) == (0.0, 0)


def test_the_cusums_limit_keeps_its_budget_and_is_not_idle() -> None:
    wide = Settings(false_alarms=0.25)
    rng, windows = np.random.default_rng(0), 600
    heights = [cusum(rng.standard_normal(672), wide.cusum_slack)[0] for _ in range(windows)]
    share = np.mean(np.array(heights) > wide.cusum_limit())

    # A fifth of 25 % is budgeted; 600 windows know 5 % to within 2.
    assert 0.01 < share <= 0.07
