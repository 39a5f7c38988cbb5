"""Level 4: did the battery move, as far as the neighbours can see?"""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.errors import InputError
from gridnet.metering.tamper import Sensed
from gridnet.verification.probes import Answer, Probe, draw_probe, judge_probe, probe_verdict, slots_needed

HOME, POWER_KW = 4, 3.0


def _answer(street, share: float, slots: int, seed: int) -> Answer:
    """A probe in which `share` of the power truly flowed and all of it was reported."""
    rng = np.random.default_rng(seed)
    probe = draw_probe(HOME, POWER_KW, slots, rng)
    true = [each[:slots].copy() for each in street.week.seen]
    true[0][:, HOME] += share * probe.asked_kw
    at_bus = [np.zeros((slots, street.case.params.buses)) for _ in range(2)]
    for target, values in zip(at_bus, true[:2], strict=True):
        target[:, street.homes.bus] = values
    flow = street.case.power_flow.solve(*at_bus)
    seen = Sensed(true[0], true[1], flow.vm_pu[:, street.homes.bus])
    week = type(street.week)(seen, flow.slack_p_kw)
    reported = type(street)(street.case, street.homes, week, street.grid).reported(seed=seed)
    reported.p_kw[:, HOME] += (1.0 - share) * probe.asked_kw
    return judge_probe(street.grid, probe, reported)


def test_honest_and_resting_batteries_are_told_apart(street) -> None:
    slots = slots_needed(street.grid, HOME, POWER_KW)
    honest = [_answer(street, 1.0, slots, seed) for seed in range(40)]
    resting = [_answer(street, 0.0, slots, seed) for seed in range(40)]

    assert all(answer.decides for answer in honest)
    assert sum(not answer.passed for answer in honest) <= 3
    assert sum(answer.passed for answer in resting) <= 2
    assert np.mean([answer.share for answer in honest]) == pytest.approx(1.0, abs=0.1)
    assert np.mean([answer.share for answer in resting]) == pytest.approx(0.0, abs=0.1)


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
