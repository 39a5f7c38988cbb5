"""Level 3: whose meter explains the imbalance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridnet.app.bench.fraud_trials import make_grid, wrong_impedances
from gridnet.metering.tamper import Tamper
from gridnet.verification.findings import located_verdicts
from gridnet.verification.locate import gather, locate
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Level


@pytest.mark.parametrize("home", [0, 4, 9])
def test_the_one_that_reports_less_is_named_with_its_share(street, home: int) -> None:
    reported = street.reported(Tamper("scaled", (street.homes.name[home],), 0.3))
    suspect = locate(street.grid, street.grid.residual(reported)).suspects[0]

    assert suspect.home == home
    assert suspect.confidence > 0.9
    assert suspect.gain == pytest.approx(-0.3, abs=4 * suspect.gain_sd + 0.01)


def test_wrong_impedances_do_not_point_at_another(street) -> None:
    known = wrong_impedances(street.case, 0.05, np.random.default_rng(3))
    grid = make_grid(known, street.homes, Settings())
    reported = street.reported(Tamper("scaled", (street.homes.name[street.largest],), 0.2))

    assert locate(grid, grid.residual(reported)).suspects[0].home == street.largest


def test_honest_meters_leave_no_suspect(street) -> None:
    for seed in range(5):
        assert locate(street.grid, street.grid.residual(street.reported(seed=seed))).suspects == ()


def test_two_that_agree_are_both_named(street) -> None:
    pair = np.argsort(-np.abs(street.week.seen.p_kw).mean(axis=0))[:2]
    reported = street.reported(Tamper("agreeing", tuple(street.homes.name[home] for home in pair), 0.3))
    named = {suspect.home for suspect in locate(street.grid, street.grid.residual(reported)).suspects}

    assert set(pair.tolist()) <= named


def test_a_suspicion_names_its_assumption_and_is_held_not_rejected(street) -> None:
    name = street.homes.name[street.largest]
    found = locate(street.grid, street.grid.residual(street.reported(Tamper("scaled", (name,), 0.3))))
    start = street.case.clock.start
    verdict = next(located_verdicts(found, street.homes.name, 0.05, start))

    assert (verdict.device, verdict.level, verdict.outcome) == (name, Level.LOCATED, "hold")
    assert verdict.evidence["assumed_impedance_error_ppm"] == 50_000
    assert "5 %" in verdict.finding


@pytest.mark.parametrize(("kind", "gain"), [("active", 0.2), ("reactive", 0.2), ("angle", 0.05)])
def test_voltages_tell_by_how_much_each_thing_is_wrong(exact_street, kind: str, gain: float) -> None:
    home, homes, reported = exact_street.largest, len(exact_street.homes.name), exact_street.true()
    unknown = home + homes * ("active", "reactive", "angle").index(kind)
    # Gains are shares of what is reported.
    match kind:
        case "active":
            reported.p_kw[:, home] /= 1.0 - gain
        case "reactive":
            reported.q_kvar[:, home] /= 1.0 - gain
        case _:
            reported.q_kvar[:, home] += gain * reported.p_kw[:, home]
    residual = exact_street.grid.residual(reported)
    deaf = replace(residual, sd_kw=np.full_like(residual.sd_kw, 1e9), sd_kvar=np.full_like(residual.sd_kvar, np.inf))
    evidence = gather(exact_street.grid, deaf)

    assert evidence.pull[unknown] / evidence.gram[unknown, unknown] == pytest.approx(gain, rel=0.1)


def test_voltages_alone_name_the_right_home_too(street) -> None:
    reported = street.reported(Tamper("scaled", (street.homes.name[street.largest],), 0.5))
    residual = street.grid.residual(reported)
    deaf = replace(residual, sd_kw=np.full_like(residual.sd_kw, 1e6))

    assert [suspect.home for suspect in locate(street.grid, deaf).suspects][:1] == [street.largest]


def test_wrong_impedances_make_nobody_suspect_by_voltage_because_they_are_unknowns(street) -> None:
    certain = replace(Settings(), impedance_error=0.0)
    blamed = []
    for seed in range(6):
        known = wrong_impedances(street.case, 0.05, np.random.default_rng(seed))
        for settings in (Settings(), certain):
            grid = make_grid(known, street.homes, settings)
            residual = grid.residual(street.reported(seed=seed))
            deaf = replace(residual, sd_kw=np.full_like(residual.sd_kw, 1e6))
            blamed.append(len(locate(grid, deaf).suspects))

    assert sum(blamed[0::2]) == 0
    assert sum(blamed[1::2]) > 0
