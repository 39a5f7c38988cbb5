"""Level 4: did the battery move, as far as the neighbours can see?"""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.errors import InputError
from gridnet.metering.tamper import Sensed
from gridnet.verification.probes import Answer, Probe, draw_probe, judge_probe, probe_verdict, slots_needed

HOME, OTHER, POWER_KW = 4, 7, 3.0


def _answer(street, share: float, slots: int, seed: int, beside_kw: float = 0.0, unseen_kw: float = 0.0) -> Answer:
    """A probe in which `share` of the power truly flowed and all of it was reported, so also of setpoints of `beside_kw`, deviation
    over the intervals, that it stood beside. Another home moves `unseen_kw`, deviation, that it does not report."""
    rng = np.random.default_rng(seed)
    drawn = draw_probe(HOME, POWER_KW, slots, rng)
    probe = Probe(HOME, drawn.asked_kw, beside_kw * rng.standard_normal(slots))
    true = [each[:slots].copy() for each in street.week.seen]
    whole = probe.asked_kw + probe.beside_kw
    true[0][:, HOME] += share * whole
    unseen = unseen_kw * rng.standard_normal(slots)
    true[0][:, OTHER] += unseen
    at_bus = [np.zeros((slots, street.case.params.buses)) for _ in range(2)]
    for target, values in zip(at_bus, true[:2], strict=True):
        target[:, street.homes.bus] = values
    flow = street.case.power_flow.solve(*at_bus)
    seen = Sensed(true[0], true[1], flow.vm_pu[:, street.homes.bus])
    week = type(street.week)(seen, flow.slack_p_kw, flow.slack_q_kvar)
    reported = type(street)(street.case, street.homes, week, street.grid).reported(seed=seed)
    reported.p_kw[:, HOME] += (1.0 - share) * whole
    reported.p_kw[:, OTHER] -= unseen
    return judge_probe(street.grid, probe, reported)


def test_honest_and_resting_batteries_are_told_apart(street) -> None:
    slots = 2 * slots_needed(street.grid, HOME, POWER_KW)
    honest = [_answer(street, 1.0, slots, seed) for seed in range(40)]
    resting = [_answer(street, 0.0, slots, seed) for seed in range(40)]

    assert sum(answer.decides for answer in honest) >= 37
    assert sum(not answer.passed for answer in honest) <= 3
    assert sum(answer.passed for answer in resting) <= 2
    assert np.mean([answer.share for answer in honest]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([answer.share for answer in resting]) == pytest.approx(0.0, abs=0.1)


def test_what_a_resting_battery_kept_back_beside_the_steps_does_not_help_it(street) -> None:
    answers = [_answer(street, 0.0, 12, seed, beside_kw=20.0) for seed in range(20)]

    assert not any(answer.passed for answer in answers if answer.decides)
    assert sum(answer.decides for answer in answers) >= 15


def test_beside_somebody_elses_fraud_nobody_is_accused(street) -> None:
    calm = [_answer(street, 1.0, 12, seed) for seed in range(20)]
    disturbed = [_answer(street, 1.0, 12, seed, unseen_kw=15.0) for seed in range(20)]

    assert not any(answer.decides and not answer.passed for answer in disturbed)
    assert sum(answer.decides for answer in disturbed) < sum(answer.decides for answer in calm)


def test_half_of_the_power_is_enough_however_long_the_probe(street) -> None:
    assert _answer(street, 1.0, 48, 0).limit == 0.5


def test_too_few_intervals_are_refused(street) -> None:
    rows = type(street.reported())(*(each[:4].copy() for each in street.reported()))
    with pytest.raises(InputError, match="4 intervals"):
        judge_probe(street.grid, Probe(HOME, np.array([3.0, -3.0, 3.0, -3.0])), rows)


def test_the_homes_own_voltage_is_not_looked_at(street) -> None:
    rng = np.random.default_rng(0)
    probe, reported = draw_probe(HOME, POWER_KW, 12, rng), street.reported()
    rows = type(reported)(*(each[:12].copy() for each in reported))
    before = judge_probe(street.grid, probe, rows)
    rows.vm_pu[:, HOME] += 0.05 * np.sign(probe.asked_kw)

    assert judge_probe(street.grid, probe, rows) == before


def test_a_short_probe_fails_nobody(street) -> None:
    answer = Answer(share=-0.5, share_sd=0.6, limit=1.0 - 2.3263 * 0.6)
    verdict = probe_verdict(answer, "home-001", street.case.clock.start)

    assert not answer.decides
    assert (verdict.outcome, verdict.evidence["decided"]) == ("pass", 0)


@pytest.mark.parametrize(("share", "outcome"), [(0.95, "pass"), (0.2, "hold")])
def test_a_probe_that_decides_is_held_where_too_little_flowed(street, share: float, outcome: str) -> None:
    assert probe_verdict(Answer(share, 0.1, 0.77), "home-001", street.case.clock.start).outcome == outcome


@pytest.mark.parametrize(("power_kw", "slots"), [(3.0, 3), (3.0, 0), (0.0, 2), (-1.0, 2)])
def test_a_probe_that_can_say_nothing_is_refused(power_kw: float, slots: int) -> None:
    with pytest.raises(InputError):
        draw_probe(HOME, power_kw, slots, np.random.default_rng(0))


def test_a_probe_is_balanced_and_random() -> None:
    probes = [draw_probe(HOME, POWER_KW, 12, np.random.default_rng(seed)).asked_kw for seed in range(8)]

    assert all(each.sum() == 0.0 and (np.abs(each) == POWER_KW).all() for each in probes)
    assert len({tuple(each) for each in probes}) > 4


def test_rows_that_are_not_the_probes_are_refused(street) -> None:
    with pytest.raises(InputError, match="12 intervals"):
        judge_probe(street.grid, Probe(HOME, np.ones(12)), street.reported())
