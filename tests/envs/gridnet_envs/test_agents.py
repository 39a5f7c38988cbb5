"""Who the agents are, what each one sees and earns."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet.feeder import BatteryTable
from gridnet.tariff import make_prices
from gridnet_envs.agents import AGENT_SLOTS, OWN_SLOTS, REWARDS, Team, make_roster
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.reward import TERMS
from gridnet_envs.slots import BOUND, SERIES_SLOTS, width

NOON, NIGHT = 24 * 672 + 48, 24 * 672 + 8
SUNNY = 19_630
"""A noon at which `cigre_lv` exports."""
FIRST = width(SERIES_SLOTS)


def rebuilt(case: Case, battery: BatteryTable, bus: list[int]) -> Case:
    """`case` with other batteries."""
    fleet = case.fleet._replace(
        p_kw=battery.p_kw,
        e_kwh=battery.e_kwh,
        s_kva=np.concatenate([1.1 * battery.p_kw, case.fleet.s_kva[case.fleet.batteries :]]),
    )
    bus_of = np.array(bus, dtype=np.int64)
    params = case.params._replace(fleet=fleet, device_bus=np.concatenate([bus_of, case.feeder.pv_bus]))
    return dataclasses.replace(case, feeder=dataclasses.replace(case.feeder, battery=battery, battery_bus=bus_of), params=params)


def doubled(case: Case) -> Case:
    """`tiny` with a second battery of the same name at the same bus, half as large."""
    one = case.feeder.battery
    two = BatteryTable(one.name * 2, np.append(one.p_kw, one.p_kw / 2), np.append(one.e_kwh, one.e_kwh / 2))
    return rebuilt(case, two, case.feeder.battery_bus.tolist() * 2)


def without_batteries(case: Case) -> Case:
    return rebuilt(case, BatteryTable((), np.zeros(0), np.zeros(0)), [])


def team_at(case: Case, start: int, reward: Any = "shared", **options: Any) -> Team:
    core = Core(case, Options(weeks="all", **options), batch=1)
    core.reset_at(0, start, 0.5)
    return Team(core, reward)


def acted(team: Team, action: Any) -> Team:
    team.core.step(team.setpoints(np.broadcast_to(action, (1, team.agents, team.numbers))))
    return team


@cache
def steered_core(against_idle: bool, shield: bool) -> Core:
    options = Options(against_idle=against_idle, shield=shield, weeks="all", curtailment=True, reactive=True)
    return Core(load_case("cigre_lv"), options, batch=1)


def test_each_battery_is_an_agent_and_has_the_plants_and_loads_of_its_bus() -> None:
    case = load_case("cigre_lv")
    roster = make_roster(case, Options())
    assert roster.names == case.feeder.battery.name
    plants, loads = np.array(case.feeder.pv.name), np.array(case.feeder.load.name)
    for k, name in enumerate(roster.names):
        home = name.removeprefix("Battery ")
        assert plants[roster.devices[k, 6:]].tolist() == [f"PV {home}"]
        assert loads[roster.loads[k]].tolist() == [home]
    assert roster.devices.sum(axis=0).tolist() == [1] * 6 + [0, 0, 1, 1, 1, 1, 1, 0, 1]


@pytest.mark.parametrize("option", ["curtailment", "reactive"])
def test_a_plant_without_a_battery_is_an_agent_where_it_has_something_to_decide(option: str) -> None:
    case = load_case("cigre_lv")
    roster = make_roster(case, Options.model_validate({option: True}))
    assert roster.names == (*case.feeder.battery.name, "PV Load R1", "PV Load R11", "PV Load C19")
    np.testing.assert_array_equal(roster.devices.sum(axis=0), 1)
    for k, bus in enumerate(roster.bus):
        assert set(case.params.device_bus[roster.devices[k]]) == {bus}
        assert set(case.params.load_bus[roster.loads[k]]) <= {bus}


def test_of_two_batteries_at_a_bus_the_first_has_its_plants_and_loads_and_equal_names_are_told_apart() -> None:
    roster = make_roster(doubled(load_case("tiny")), Options())
    assert roster.names == ("battery", "battery #2")
    assert roster.devices.tolist() == [[True, False, True], [False, True, False]]
    assert not roster.loads[1].any()


def test_a_feeder_where_nothing_can_be_decided_has_no_agents() -> None:
    case = without_batteries(load_case("tiny"))
    with pytest.raises(InputError, match="no agent"):
        make_roster(case, Options())
    assert make_roster(case, Options(curtailment=True)).names == ("roof",)


def test_what_agents_cannot_do_is_refused_in_one_message() -> None:
    core = Core(load_case("tiny"), Options(action="value", weeks="all"), batch=1)
    with pytest.raises(InputError) as refused:
        Team(core, "greedy")  # type: ignore[arg-type]
    assert [fault.where for fault in refused.value.faults] == ["reward", "action"]


def test_each_agent_sees_the_feeder_and_its_own_devices() -> None:
    team = team_at(load_case("cigre_lv"), NOON, curtailment=True)
    case, fleet, feeder = team.core.case, team.core.case.fleet, team.core.case.feeder
    acted(team, [0.5, 1.0])
    seen = team.observe()
    assert seen.shape == (1, 9, width(AGENT_SLOTS))
    assert seen.dtype == np.float32
    step, own = NOON + 1, {slot.name: seen[0, :, FIRST + k] for k, slot in enumerate(OWN_SLOTS)}
    np.testing.assert_array_equal(seen[0, :, :FIRST], np.tile(team.core.observation[0, :FIRST], (9, 1)))
    np.testing.assert_allclose(own["own_soc"], [*team.core.soc[0], 0, 0, 0], rtol=1e-6)
    assert own["own_soc"][0] < 0.5
    np.testing.assert_allclose(own["own_battery"], [*(fleet.p_kw / fleet.p_kw.sum()), 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(own["own_hours"], [*(fleet.e_kwh / fleet.p_kw / 4), 0, 0, 0], rtol=1e-6)
    plant = [feeder.pv.name.index(name.replace("Battery", "PV")) for name in team.roster.names]
    kva, pv_kw = fleet.s_kva[6:][plant], case.params.pv_p_kw[step, plant]
    np.testing.assert_allclose(own["own_plants"], kva / fleet.s_kva[6:].sum(), rtol=1e-6)
    np.testing.assert_allclose(own["own_pv"], pv_kw / kva, rtol=1e-6)
    assert (own["own_pv"] > 0.3).all()
    load = [feeder.load.name.index(name.split(maxsplit=1)[1]) for name in team.roster.names]
    rating = kva + np.append(fleet.s_kva[:6], np.zeros(3))
    np.testing.assert_allclose(own["own_load"], case.params.load_p_kw[step, load] / rating, rtol=1e-5)
    assert (own["own_load"] < 0).all()
    np.testing.assert_allclose(own["own_vm"], (team.core.flow[0, team.roster.bus] - 1) / 0.1, rtol=1e-5)
    assert len(set(own["own_vm"].tolist())) == 9


@settings(max_examples=25)
@given(st.integers(0, 51 * 672), st.integers(0, 2**32 - 1), st.sampled_from(REWARDS), st.booleans(), st.booleans())
def test_rewards_sum_to_the_feeder_s_and_observations_stay_in_bounds(
    start: int, seed: int, reward: str, against_idle: bool, shield: bool
) -> None:
    team = Team(steered_core(against_idle, shield), reward)  # type: ignore[arg-type]
    team.core.reset_at(0, start, 0.5)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        acted(team, rng.uniform(-1, 1, (9, 3)))
        rewards = team.rewards()
        assert rewards.shape == (1, 9)
        assert rewards.sum() == pytest.approx(team.core.reward[0], abs=1e-9)
        assert np.abs(team.observe()).max() <= BOUND
        if reward == "shared":
            np.testing.assert_array_equal(rewards, rewards[0, 0])


@pytest.mark.parametrize(("start", "imports", "carbon_eur_per_t"), [(SUNNY, False, 0.0), (NIGHT, True, 0.0), (NIGHT, True, 80.0)])
@pytest.mark.parametrize("against_idle", [False, True])
def test_an_own_reward_is_the_bill_of_own_devices_and_loads_and_a_part_of_the_rest(
    start: int, imports: bool, carbon_eur_per_t: float, against_idle: bool
) -> None:
    case = load_case("cigre_lv")
    tariff = case.scenario.tariff.model_copy(update={"co2_price_eur_per_t": carbon_eur_per_t})
    case = dataclasses.replace(case, scenario=case.scenario.model_copy(update={"tariff": tariff}))
    team = acted(team_at(case, start, "own", against_idle=against_idle), np.linspace(-0.2, 0.2, 6)[:, None])
    done, prices = team.core.done[0, 0], make_prices(case.scenario, case.series)
    assert (team.core.flow[0, -3] > 0) == imports
    price = prices.import_eur_per_kwh[start] + carbon_eur_per_t / 1e3 * prices.carbon_kg_per_kwh[start]
    price = price if imports else prices.export_eur_per_kwh[start]
    bills = []
    for k, bus in enumerate(case.feeder.battery_bus):
        p_kw = done[k] + done[6:][case.feeder.pv_bus == bus].sum() + case.params.load_p_kw[start, case.params.load_bus == bus].sum()
        bills.append(0.25 * (price * p_kw - 0.01 * abs(done[k])))
    rest = (team.core.reward[0] - sum(bills)) / 6
    np.testing.assert_allclose(team.rewards()[0], np.array(bills) + rest, rtol=1e-9, atol=1e-12)
    assert prices.wear_eur_per_kwh == 0.01
    assert np.ptp(bills) > 0.01


def test_an_agent_that_alone_moves_energy_earns_what_the_feeder_earns_by_it_but_for_losses_and_its_part_of_the_rest() -> None:
    """One kWh more from one battery: its own reward moves by the bill, everyone's by an equal part of the losses."""
    earned = {}
    for share in (0.0, 0.1):
        team = acted(team_at(load_case("cigre_lv"), NIGHT, "own"), np.array([share, 0, 0, 0, 0, 0])[:, None])
        earned[share] = (team.rewards()[0], team.core.reward[0])
    moved, feeder = earned[0.1][0] - earned[0.0][0], earned[0.1][1] - earned[0.0][1]
    np.testing.assert_allclose(moved[1:], moved[1], rtol=1e-6)
    assert moved[0] > 0.9 * feeder > 0
    assert moved[0] + 5 * moved[1] == pytest.approx(feeder, rel=1e-6)


def test_a_collapse_is_borne_equally_and_seen_without_nan_and_within_bounds() -> None:
    case = load_case("rural1")
    load = case.series.load_p_kw.copy()
    load[NOON : NOON + 2] = -1e4
    broken = dataclasses.replace(case, params=case.params._replace(load_p_kw=load))
    team = acted(team_at(broken, NOON, "own"), 0.0)
    assert team.core.terms[0, TERMS.index("collapse_eur")] == -100.0
    np.testing.assert_allclose(team.rewards(), -20.0)
    seen = team.observe()
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen[0, :, FIRST + 5], -BOUND)
    np.testing.assert_array_equal(seen[0, :, FIRST + 6], 0.0)
