"""Level 2 on arrays: what it finds, what it lets pass, what it can't see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gridnet.app.bench.fraud_trials import make_grid, wrong_impedances
from gridnet.metering.accuracy import white
from gridnet.metering.tamper import Recording, Sensed, Tamper
from gridnet.verification.balance import balance, cusum, growing, innovations, scores, unit_noise, whitened
from gridnet.verification.grid import DISPLAY_KW, NOT_TOLD, Reported
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


def test_innovations_of_honest_meters_are_white_and_of_size_one(street) -> None:
    parts: list[list[np.ndarray]] = [[], []]
    for seed in HONEST_SEEDS:
        for part, white_part in zip(
            parts, innovations(whitened(street.grid, street.grid.residual(street.reported(seed=seed)))), strict=True
        ):
            part.append(white_part[:, 0])
    for part in parts:
        series = np.array(part)
        assert 0.93 < series.std() < 1.05
        assert abs((series[:, 1:] * series[:, :-1]).mean()) < 0.05


def test_meters_whose_whole_error_is_drawn_anew_do_not_fire_and_are_white_to_a_ladder_that_knows_it(street) -> None:
    told = replace(Settings(), meter=white(Settings().meter), head=white(Settings().head))
    grid = make_grid(street.case, street.homes, told)
    for seed in HONEST_SEEDS[:4]:
        residual = grid.residual(street.reported(seed=seed, settings=told))
        assert not balance(grid, residual).fired
        assert 0.9 < innovations(whitened(grid, residual))[0][:, 0].std() < 1.1


def test_registers_that_all_start_at_a_whole_wh_do_not_fire(exact_street) -> None:
    true = exact_street.true()
    shown = [
        np.diff(np.floor(np.cumsum(each / DISPLAY_KW, axis=0)), axis=0, prepend=0.0 * each[:1]) * DISPLAY_KW
        for each in true
        if each is not true.vm_pu
    ]
    p_kw, q_kvar, head_kw, head_kvar = shown
    residual = exact_street.grid.residual(Reported(p_kw, q_kvar, true.vm_pu, head_kw, head_kvar))
    seen = balance(exact_street.grid, residual)

    assert abs(residual.off_kw[0]) > 2.0 * residual.sd_kw[0]
    assert seen.highest < 3.0
    assert seen.cusum < 0.5 * seen.cusum_limit


def test_noise_of_displays_becomes_white() -> None:
    homes, steps, sd = 5, 6, np.array([0.02, 0.03, 0.02, 0.02, 0.05, 0.02])
    step = np.array([0, 1, 2, 4, 5, 6])
    # Each register keeps back a share of a Wh, uniform: an interval shows what the one before kept, less what it keeps itself.
    kept = (homes + 1) * DISPLAY_KW**2 / 12.0
    covariance = np.diag(sd**2)
    covariance[0, 0] += (homes * DISPLAY_KW / 2.0) ** 2
    for row in (0, 1, 3, 4):
        covariance[row, row + 1] = covariance[row + 1, row] = -kept
    factor = unit_noise(np.eye(steps), sd, step, homes)

    assert factor @ covariance @ factor.T == pytest.approx(np.eye(steps), abs=1e-9)
    assert factor == pytest.approx(np.tril(factor))
    assert not unit_noise(np.ones((2, 3)), np.full(2, np.inf), step[:2], homes).any()


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


def test_the_reactive_balance_alone_sees_a_shunted_transformer_and_not_who_leaves_it_honest(street) -> None:
    shunted = street.reported(Tamper("scaled", (street.homes.name[street.largest],), 0.3))
    honest = street.reported()
    honest.p_kw[:, street.largest] *= 0.7
    heard = []
    for reported in (shunted, honest):
        residual = street.grid.residual(reported)
        deaf = replace(residual, sd_kw=np.full_like(residual.sd_kw, 1e6))
        heard.append(abs(balance(street.grid, deaf).score[street.largest]))
        without = balance(street.grid, replace(deaf, sd_kvar=np.full_like(residual.sd_kvar, np.inf)))
        assert without.highest < 1.0

    limit = balance(street.grid, residual).score_limit
    assert heard[0] > limit
    assert heard[1] < limit


def test_one_who_cheats_with_the_active_power_alone_fires_too(street) -> None:
    reported = street.reported()
    reported.p_kw[:, street.largest] *= 0.85
    assert balance(street.grid, street.grid.residual(reported)).unbalanced


def test_an_interval_whose_reactive_power_the_head_does_not_tell_counts_for_the_active_alone(street) -> None:
    reported = street.reported()
    reported.head_kvar[7:300] = np.nan
    some = whitened(street.grid, street.grid.residual(reported))
    none = whitened(street.grid, street.grid.residual(reported._replace(head_kvar=NOT_TOLD)))

    assert not some.columns[1][7:300].any()
    assert some.columns[1][:7].any()
    assert (some.z[0] == none.z[0]).all()
    assert not balance(street.grid, street.grid.residual(reported)).fired


def test_honest_meters_whose_phase_is_off_do_not_fire(street) -> None:
    rng, certain = np.random.default_rng(2), []
    for seed in range(6):
        reported = street.reported(seed=seed)
        angle = 0.004 * rng.standard_normal(len(street.homes.name))
        turned = reported._replace(q_kvar=reported.q_kvar + angle * reported.p_kw)
        residual = street.grid.residual(turned)
        assert not balance(street.grid, residual).fired
        model = whitened(street.grid, residual)
        homes = len(street.homes.name)
        model.prior[2 * homes : 3 * homes] = 1e-12
        certain.append(np.abs(scores(innovations(model))).max())

    # The angles are what makes the difference.
    assert max(certain) > balance(street.grid, residual).score_limit


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
    shuffled = Reported(*(each[:, order] for each in reported[:3]), reported.head_kw, reported.head_kvar)
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


class _Ones(np.random.Generator):
    """Draws ones, so that every impedance is wrong by the same share."""

    def standard_normal(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.ones(size)


def test_losses_of_a_branch_grow_with_its_impedance(street) -> None:
    error = 0.02
    known = wrong_impedances(street.case, error, _Ones(np.random.PCG64(0)))
    residual, off = street.grid.residual(street.true()), make_grid(known, street.homes, Settings()).residual(street.true())
    flows = street.grid.branches(residual)

    # Impedances are known too small or too large by one share, and so are all losses, but for iron and charging.
    for seen, ends in ((off.off_kw, flows.p_from + flows.p_to), (off.off_kvar, flows.q_from + flows.q_to)):
        share = seen / ends.sum(axis=1)
        assert np.abs(share).mean() == pytest.approx(error, rel=0.05)
        assert share.std() < 0.05 * error


def test_iron_is_no_part_of_what_an_impedance_loses(street) -> None:
    nothing = Reported(*(np.zeros_like(each) for each in street.true()))
    residual = street.grid.residual(nothing)
    flows = street.grid.branches(residual)

    assert (residual.loss_kw > 0.1).all()
    assert (np.abs(flows.p_from + flows.p_to).sum(axis=1) < 0.01 * residual.loss_kw).all()


def test_the_scans_limit_keeps_its_budget_and_is_not_idle() -> None:
    wide, hypotheses = Settings(false_alarms=0.25), 9
    rng, windows = np.random.default_rng(0), 2000
    walk = rng.standard_normal((windows, 7, hypotheses + 1)).cumsum(axis=1) / np.sqrt(np.arange(1, 8))[:, None]
    share = (np.abs(walk).max(axis=(1, 2)) > wide.scan_limit(hypotheses)).mean()

    # Four fifths of 25 % are budgeted; 2000 windows know 20 % to within 1.8.
    assert 0.14 < share <= 0.218


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
