"""Level 4 at work: probes flow in the simulated grid, are judged by others' meters, and stand in the ledger."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gridnet import simulate
from gridnet.app.community import Community
from gridnet.app.probing import PER_DAY, Prober
from gridnet.case import Case, load_case
from gridnet.dispatch import idle
from gridnet.limits import make_limits
from gridnet.metering.keys import DeviceKey
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.registry import KeyRegistry
from gridnet.simulate import State
from gridnet.verification.ladder import Ladder
from gridnet.verification.reputation import NEWCOMER_DAYS, Reputation
from gridnet.verification.settings import Settings
from gridnet_envs.shield import protect

DAY = 5


class _Bench:
    """A prober of a case, and its dispatch with batteries at rest, without meters and ledger."""

    def __init__(self, case: Case, seed: int = 0) -> None:
        self.case = case
        homes = [point for point in meter_points(case) if point.kind == "home"]
        community = Community(case, "row", {home.bus: home.name for home in homes})
        registry = KeyRegistry()
        for point in (*meter_points(case), head_point(case)):
            registry = registry.enrol(point.name, DeviceKey.simulated(0, point.name).public_key, case.clock.start)
        ladder = Ladder(case, meter_points(case), registry, Settings(probe_false_alarms=0.001))
        self.prober = Prober(community, ladder, seed)
        self.beliefs = {home.name: Reputation() for home in homes}
        self.shield = partial(protect, params=case.params, limits=make_limits(case.scenario, case.feeder))

    def day(self, soc: float, wanted_kw: float = 0.0) -> np.ndarray:
        """(steps, batteries) what is issued beside `wanted_kw` from 02:00 UTC of a day on, at a charge that is kept at `soc`."""
        case, batteries = self.case, self.case.fleet.batteries
        first = DAY * 96 + round((2.0 + case.clock.utc_offset_h) * 4)
        self.prober.choose(case.clock.time_of(first), self.beliefs)
        issued = []
        for step in range(first, first + 96):
            state = State(np.array([step]), np.full((1, batteries), soc))
            asked = idle(1, batteries, case.fleet.devices)
            asked[0, 0, :batteries] = wanted_kw
            safe = self.shield(state, asked)
            issued.append((self.prober.steer(state, safe, self.shield) - safe)[0, 0, :batteries])
        return np.array(issued)


@pytest.fixture(scope="module")
def case(row: Path) -> Case:
    return load_case(row)


def test_steps_are_balanced_and_no_interval_has_two_homes(case: Case) -> None:
    bench = _Bench(case)
    steps = bench.day(soc=0.5)

    assert (np.count_nonzero(steps, axis=0) >= 8).all()
    assert (np.count_nonzero(steps, axis=1) <= 1).all()
    assert steps.sum(axis=0) == pytest.approx(0.0, abs=1e-9)
    for probe in bench.prober.under_way:
        device = probe.battery.device
        assert probe.issued_kw == steps[steps[:, device] != 0.0, device].tolist()
        assert {at.date() for at in probe.at} == {case.clock.time_of(DAY * 96 + 12).date()}


def test_the_signs_follow_from_seed_and_day(case: Case) -> None:
    signs = [_Bench(case, seed).day(soc=0.5) for seed in (0, 0, 1)]
    assert (signs[0] == signs[1]).all()
    assert (signs[0] != signs[2]).any()


@pytest.mark.parametrize(("soc", "wanted_kw"), [(0.0, 0.0), (1.0, 0.0), (0.5, 10.0), (0.5, -10.0)])
def test_no_step_where_charge_or_power_leave_room_one_way_alone(case: Case, soc: float, wanted_kw: float) -> None:
    assert not _Bench(case).day(soc, wanted_kw).any()


def test_a_step_that_the_shield_would_cut_is_not_taken(case: Case) -> None:
    bench = _Bench(case)
    limits = make_limits(case.scenario, case.feeder)
    tight = limits._replace(vm_max_pu=np.where(np.isfinite(limits.vm_max_pu), 1.001, np.inf))
    bench.shield = partial(protect, params=case.params, limits=tight)
    night = bench.day(soc=0.5)[:12]

    state = State(np.array([DAY * 96 + 12]), np.full((1, 2), 0.5))
    asked = idle(1, 2, case.fleet.devices)
    _, flow = simulate.step(state, asked, case.params)
    assert (flow.vm_pu[0, np.isfinite(limits.vm_max_pu)] <= 1.001).all(), "at rest every limit is held"
    assert not night[:, 0].any()


def test_suspects_come_first_then_the_least_known(case: Case) -> None:
    bench = _Bench(case)
    now = case.clock.time_of(DAY * 96 + 12)
    known = Reputation(good=NEWCOMER_DAYS)
    bench.beliefs |= {"home-002": Reputation(good=3), "home-003": Reputation(good=NEWCOMER_DAYS, suspicion_ppm=500_000)}
    bench.prober.choose(now, bench.beliefs)
    assert [probe.battery.name for probe in bench.prober.under_way] == ["home-003", "home-002"]

    bench.beliefs |= {"home-002": known}
    bench.prober.choose(now, bench.beliefs)
    assert [probe.battery.name for probe in bench.prober.under_way] == ["home-003"]
    assert PER_DAY >= 2, "so that the first lot shows an order"


def test_a_probe_whose_readings_never_came_accuses_nobody(case: Case) -> None:
    bench = _Bench(case)
    bench.day(soc=0.5)
    assert list(bench.prober.judge()) == []
    assert bench.prober.under_way == ()


def test_a_battery_that_moves_nobodys_voltage_is_not_probed() -> None:
    bench = _Bench(load_case("tiny"))
    bench.prober.choose(bench.case.clock.time_of(96) + timedelta(hours=2), bench.beliefs)
    assert bench.prober.under_way == ()


def test_what_found_no_room_by_midnight_is_not_made_up_for(case: Case) -> None:
    bench = _Bench(case)
    bench.day(soc=0.0)
    tomorrow = State(np.array([DAY * 96 + 100]), np.full((1, 2), 0.5))
    safe = bench.shield(tomorrow, idle(1, 2, case.fleet.devices))

    assert any(probe.wanted_kw is not None for probe in bench.prober.under_way)
    assert (bench.prober.steer(tomorrow, safe, bench.shield) == safe).all()
