"""The agents of a feeder: who they are, what each one sees, does and earns, as arrays over one core.

Each battery is an agent; the first at its bus also has the bus's PV plants and loads. Where PV has something to decide
(`curtailment` or `reactive`), a plant at a bus without a battery is an agent too. The agents of a scenario are fixed:
none joins or leaves during an episode.

Every agent has the same spaces, so one network can act for all: numbers that an agent has no device for do nothing, and
its slots for such a device show 0.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.errors import Fault, InputError
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.slots import BOUND, SERIES_SLOTS, Slot, width

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Reward = Literal["shared", "own"]

REWARDS = ("shared", "own")
OWN_SLOTS = (
    Slot("own_soc", 1, "0-1", 1.0, "state of charge of its battery"),
    Slot("own_battery", 1, "fleet power", 1.0, "rated power of its battery"),
    Slot("own_hours", 1, "h", 4.0, "capacity of its battery over its power"),
    Slot("own_plants", 1, "all plants' rating", 1.0, "rating of its PV plants"),
    Slot("own_pv", 1, "own plants' rating", 1.0, "what the sun gives its PV plants now"),
    Slot("own_load", 1, "own devices' rating", 1.0, "what the loads of its bus inject now: negative where they draw"),
    Slot("own_vm", 1, "pu from 1", 0.1, "voltage of its bus in the last step"),
)
"""Slots that differ from agent to agent. Ratings are the inverters' apparent power."""

AGENT_SLOTS = SERIES_SLOTS + OWN_SLOTS
"""All that an agent sees: the feeder's calendar, forecasts and prices, then its own."""


class Roster(NamedTuple):
    """Who the agents are: batteries in the feeder's order, then PV plants without one."""

    names: tuple[str, ...]
    """The feeder's own names of battery or plant; a name that is taken gets a number."""
    bus: Ints
    """(agents,)"""
    devices: Bools
    """(agents, devices) which devices are whose; each device has one owner at most."""
    loads: Bools
    """(agents, loads) which loads are whose; each load has one owner at most."""


def make_roster(case: Case, options: Options) -> Roster:
    """The agents of `case`. Raises `InputError` where there is nothing to decide."""
    feeder, batteries = case.feeder, case.fleet.batteries
    names, buses = list(feeder.battery.name), feeder.battery_bus.tolist()
    owners = list(range(batteries))
    for name, bus in zip(feeder.pv.name, feeder.pv_bus.tolist(), strict=True):
        if bus in buses[:batteries]:
            owners.append(buses.index(bus))
        elif options.curtailment or options.reactive:
            owners.append(len(names))
            names.append(name)
            buses.append(bus)
        else:
            owners.append(-1)
    if not names:
        raise InputError(
            f"scenario {case.scenario.name} has no agent: no battery, and no PV plant that curtailment or reactive steers"
        )
    load_owners = [buses.index(bus) if bus in buses else -1 for bus in feeder.load_bus.tolist()]
    agents = np.arange(len(names))[:, None]
    return Roster(
        _distinct(names),
        np.array(buses, dtype=np.int64),
        agents == np.array(owners),
        agents == np.array(load_owners, dtype=np.int64),
    )


def option_faults(reward: str, options: Options | None) -> list[Fault]:
    """What agents can't do of what was asked for."""
    faults = []
    if reward not in REWARDS:
        faults.append(Fault("reward", repr(reward), "'shared' or 'own'"))
    if options is not None and options.action != "setpoints":
        faults.append(Fault("action", repr(options.action), "'setpoints': each agent sets its own devices"))
    return faults


class Team:
    """The agents of every feeder of a core: observations, actions and rewards as arrays (batch, agents, ..).

    An action has `numbers` numbers in -1..1: the battery's power as a share of its rating (positive discharges), then with
    `curtailment` the ceiling on its PV plants (-1 off, 1 their full rating), then with `reactive` the reactive power of its
    devices (share of their apparent rating).

    Rewards of the agents sum to the feeder's, `Core.reward`. `"shared"`: each gets an equal part. `"own"`: each gets the
    bill of its own devices and loads at the price that the feeder pays at its connection point in this step (import price
    with its carbon where the feeder imports, export price where it exports) and the wear of its own battery; what remains
    (other loads and plants, network losses, penalties, the reference of `against_idle`) is divided equally.
    """

    def __init__(self, core: Core, reward: Reward = "shared") -> None:
        faults = option_faults(reward, core.options)
        if faults:
            raise InputError("agents can't be made:", faults)
        self.core, self._reward = core, reward
        self.roster = make_roster(core.case, core.options)
        self.agents = len(self.roster.names)
        self.numbers = 1 + core.options.curtailment + core.options.reactive
        self._agent, self._number = _action_columns(core, self.roster)
        self._size = _sizes(core.case, self.roster)

    def setpoints(self, action: NDArray[np.floating]) -> NDArray[np.floating]:
        """The core's action (batch, actions) of `action` (batch, agents, numbers)."""
        return action[:, self._agent, self._number]

    def observe(self) -> Float32s:
        """What each agent sees now, (batch, agents, width of `AGENT_SLOTS`), cut to +-4."""
        core, size, roster = self.core, self._size, self.roster
        params, fleet = core.world.params, core.case.fleet
        step = np.minimum(core.step_index, len(params.pv_p_kw) - 1)
        batteries, series = fleet.batteries, width(SERIES_SLOTS)
        seen = np.empty((core.batch, self.agents, series + width(OWN_SLOTS)), dtype=np.float32)
        seen[:, :, :series] = core.observation[:, None, :series]
        own = seen[:, :, series:]
        own[:, :, 0] = core.soc @ roster.devices[:, :batteries].T
        own[:, :, 1], own[:, :, 2], own[:, :, 3] = size.battery_share, size.battery_hours, size.plants_share
        own[:, :, 4] = params.pv_p_kw[step] @ roster.devices[:, batteries:].T / size.plants_kva
        own[:, :, 5] = params.load_p_kw[step] @ roster.loads.T / size.devices_kva
        own[:, :, 6] = np.nan_to_num(core.flow[:, roster.bus], nan=1.0) - 1.0
        own /= _OWN_SCALES
        np.clip(own, -BOUND, BOUND, out=own)
        return seen

    def rewards(self) -> Floats:
        """What each agent earned in the step last done, EUR, (batch, agents)."""
        own = self._own() if self._reward == "own" else np.zeros((self.core.batch, self.agents))
        rest = (self.core.reward - own.sum(axis=1)) / self.agents
        return np.asarray(own + rest[:, None])

    def _own(self) -> Floats:
        """Each agent's bill and wear, EUR, (batch, agents); 0 where the power flow has no solution."""
        core, roster = self.core, self.roster
        prices, dt_h, batteries = core.world.prices, core.case.fleet.dt_h, core.case.fleet.batteries
        step, p_kw, slack_p_kw = core.step_index - 1, core.done[:, 0], core.flow[:, -3]
        import_eur = prices.import_eur_per_kwh[step] + prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[step]
        price = np.where(slack_p_kw > 0.0, import_eur, prices.export_eur_per_kwh[step])
        injected_kw = p_kw @ roster.devices.T + core.world.params.load_p_kw[step] @ roster.loads.T
        moved_kw = np.abs(p_kw[:, :batteries]) @ roster.devices[:, :batteries].T
        own = (price[:, None] * injected_kw - prices.wear_eur_per_kwh * moved_kw) * dt_h
        return np.asarray(np.where(core.flow[:, -1:] == 1.0, own, 0.0))


class _Sizes(NamedTuple):
    """Ratings of each agent, all (agents,); divisors are 1 where there is no device."""

    battery_share: Floats
    battery_hours: Floats
    plants_share: Floats
    plants_kva: Floats
    devices_kva: Floats


_OWN_SCALES = np.array([slot.scale for slot in OWN_SLOTS], dtype=np.float32)


def _sizes(case: Case, roster: Roster) -> _Sizes:
    fleet, batteries = case.fleet, case.fleet.batteries
    power_kw = roster.devices[:, :batteries] @ fleet.p_kw
    plants_kva = roster.devices[:, batteries:] @ fleet.s_kva[batteries:]
    return _Sizes(
        battery_share=power_kw / _divisor(fleet.p_kw.sum()),
        battery_hours=roster.devices[:, :batteries] @ fleet.e_kwh / _divisor(power_kw),
        plants_share=plants_kva / _divisor(fleet.s_kva[batteries:].sum()),
        plants_kva=_divisor(plants_kva),
        devices_kva=_divisor(roster.devices @ fleet.s_kva),
    )


def _divisor(rating: Floats) -> Floats:
    return np.where(rating > 0.0, rating, 1.0)


def _action_columns(core: Core, roster: Roster) -> tuple[Ints, Ints]:
    """Whose number, and which of its numbers, each column of the core's action is: two arrays (actions,)."""
    options, batteries = core.options, core.case.fleet.batteries
    owner = roster.devices.argmax(axis=0)
    agent, number = [owner[:batteries]], [np.zeros(batteries, dtype=np.int64)]
    if options.curtailment:
        agent.append(owner[batteries:])
        number.append(np.full(len(owner) - batteries, 1))
    if options.reactive:
        agent.append(owner)
        number.append(np.full(len(owner), 1 + options.curtailment))
    return np.concatenate(agent), np.concatenate(number)


def _distinct(names: list[str]) -> tuple[str, ...]:
    """The names, with " #2", " #3" and so on after one that is taken."""
    taken: dict[str, None] = {}
    for name in names:
        free, rank = name, 1
        while free in taken:
            rank += 1
            free = f"{name} #{rank}"
        taken[free] = None
    return tuple(taken)
