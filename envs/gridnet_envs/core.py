"""The environment's core: a batch of feeders that step together, as plain arrays. Every adapter is a thin layer on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.case import Case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, split_of
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.kernels import kernel
from gridnet.limits import NetworkLimits, make_limits
from gridnet.losses import Losses, compile_losses
from gridnet.simulate import Params, advance
from gridnet.tariff import Prices
from gridnet_envs.actions import BELIEFS, KNOTS, add_reactive, answer_setpoints, answer_value, believe
from gridnet_envs.features import series_features
from gridnet_envs.kept import kept, unfilled
from gridnet_envs.options import Options
from gridnet_envs.outlook import AS_FORECAST, BY_PRICE, BY_SUN, SEGMENTS, VIEWS, Outlook, look_ahead, make_outlook
from gridnet_envs.reward import TERMS, Penalties, reward_terms
from gridnet_envs.shield import shield_rows
from gridnet_envs.slots import BOUND, SERIES_SLOTS, VALUE_SLOTS, Slot, layout, offset, width

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SEAT_STEPS = STEPS_PER_WEEK
"""For how many steps on a seat knows what it will look at."""
_SPOT_MEAN = offset(SERIES_SLOTS, "spot_mean")
_OUTLOOK_EUR_PER_KWH, _SUN_EUR_PER_KWH, _PRICE_EUR_PER_KWH = (slot.scale / 1e3 for slot in VALUE_SLOTS)
_SPOT_MEAN_EUR_PER_KWH = SERIES_SLOTS[[slot.name for slot in SERIES_SLOTS].index("spot_mean")].scale / 1e3


class World(NamedTuple):
    """All that the kernel reads."""

    params: Params
    limits: NetworkLimits
    prices: Prices
    penalties: Penalties
    features: Float32s
    losses: Losses
    outlook: Outlook
    values: Float32s
    """(steps, VIEWS, SEGMENTS) what `look_ahead` gives at each step that was looked at, NaN elsewhere: a memory, the one thing
    written."""


class _Switches(NamedTuple):
    """The options that the kernel branches on."""

    by_value: bool
    curtailment: bool
    reactive: bool
    shield: bool
    devices: bool


class Core:
    """`batch` feeders of one case, each at its own step. Arrays are overwritten by the next call: copy what you keep.

    | array | shape | meaning |
    |---|---|---|
    | `observation` | (batch, width) float32 | see `gridnet_envs.slots`, cut to +-4 |
    | `reward` | (batch,) EUR | sum of `terms`; with `against_idle` less what the step gives at rest |
    | `terms` | (batch, 6) EUR | see `gridnet_envs.reward.TERMS` |
    | `asked`, `done` | (batch, 2, devices) | setpoints as asked by the action and as done |
    | `flow` | (batch, buses + branches + 4) | solved power flow, as in `gridnet.simulate.Transition` |

    Who will look at `steps` alone has what is known at those alone in memory.
    """

    def __init__(self, case: Case, options: Options, batch: int, steps: slice = slice(None)) -> None:
        self.case, self.options, self.batch = case, options, batch
        self.slots: tuple[Slot, ...] = layout(case, options.action == "setpoints")
        self.actions = action_width(case, options)
        prices = case.prices
        by_value = options.action == "value"
        losses = compile_losses(case.power_flow, case.feeder, case.params.device_bus)
        outlook = make_outlook(case, prices, losses)
        self.world = World(
            params=case.params,
            limits=make_limits(case.scenario, case.feeder),
            prices=prices,
            penalties=options.penalties,
            features=kept(series_features(case, prices), steps),
            losses=losses,
            outlook=outlook._replace(surplus_kw=kept(outlook.surplus_kw, steps), pv_kw=kept(outlook.pv_kw, steps)),
            values=unfilled((case.clock.steps if by_value else 0, VIEWS, SEGMENTS)),
        )
        self.world.values[steps] = np.nan
        self.switches = _Switches(by_value, options.curtailment, options.reactive, options.shield, not by_value)
        self._starts = episode_starts(case, options)
        self._idle_eur = idle_reward(self.world, options.shield) if options.against_idle else None
        fleet = case.fleet
        self.step_index = np.zeros(batch, dtype=np.int64)
        self.end = np.zeros(batch, dtype=np.int64)
        self.soc = np.full((batch, fleet.batteries), case.scenario.battery.soc_start)
        self.observation = np.zeros((batch, width(self.slots)), dtype=np.float32)
        self.terms = np.zeros((batch, len(TERMS)))
        self.reward = np.zeros(batch)
        self.asked = np.zeros((batch, 2, fleet.devices))
        self.done = np.zeros((batch, 2, fleet.devices))
        self.flow = np.zeros((batch, case.params.buses + len(case.params.network.branch_node) + acflow.BALANCE))

    def reset(self, rows: Ints, rng: np.random.Generator) -> None:
        """Starts new episodes in `rows`, each on a random day of the allowed weeks."""
        low, high = self.case.fleet.soc_window
        for row in rows:
            start = int(self._starts[rng.integers(len(self._starts))])
            soc = rng.uniform(low, high) if self.options.random_soc else self.case.scenario.battery.soc_start
            self.reset_at(int(row), start, soc)

    def reset_at(self, row: int, start: int, soc: float) -> None:
        """Starts an episode in `row` at step `start` with every battery at `soc`.

        The first observation shows the power flow of that step with every device at rest. Raises `InputError` where the
        episode would leave the series.
        """
        length = self.options.days * STEPS_PER_DAY
        if not 0 <= start <= self.case.clock.steps - length:
            raise InputError(f"an episode of {length} steps can't start at step {start} of {self.case.clock.steps}")
        low, high = self.case.fleet.soc_window
        if not low <= soc <= high:
            raise InputError(f"an episode can't start at state of charge {soc}; the window is {low} to {high}")
        self.step_index[row], self.end[row] = start, start + length
        self.soc[row] = soc
        here = slice(row, row + 1)
        rest = idle(1, self.case.fleet.batteries, self.case.fleet.devices)
        advance(self.case.params, self.step_index[here], self.soc[here], rest, rest.copy(), self.soc[here].copy(), self.flow[here])
        _observe_rows(self.world, self.switches, self.step_index[here], self.soc[here], self.flow[here], self.observation[here])

    def look(self, step: Ints, soc: Floats) -> tuple[Float32s, Float32s]:
        """What a policy by `value` would see, (rows, width), and the outlook that its action is believed beside, (rows, VIEWS,
        SEGMENTS), at `step` (rows,) with every battery at `soc` (rows,)."""
        every = np.repeat(soc[:, None], self.soc.shape[1], axis=1)
        seen, flow = np.empty((len(step), self.observation.shape[1]), dtype=np.float32), np.empty((len(step), 0))
        _observe_rows(self.world, self.switches, step, every, flow, seen)
        return seen, self.world.values[step]

    def step(self, action: NDArray[np.floating]) -> tuple[Bools, Bools]:
        """Moves all rows on by one step; `action` (batch, actions) in -1..1 (cut to it).

        Gives which rows terminated (the power flow has no solution) and which were truncated (the episode's time is up).
        """
        if action.shape != (self.batch, self.actions):
            raise InputError(f"actions have shape {action.shape}, expected {(self.batch, self.actions)}: rows, numbers per action")
        batch_action = np.ascontiguousarray(np.clip(action, -1.0, 1.0), dtype=np.float64)
        if np.isnan(batch_action).any():
            raise InputError("an action is NaN; give numbers from -1 to 1")
        _step_rows(
            self.world,
            self.switches,
            self.step_index,
            self.soc,
            batch_action,
            self.asked,
            self.done,
            self.flow,
            self.terms,
            self.reward,
        )
        if self._idle_eur is not None:
            self.reward -= self._idle_eur[self.step_index - 1]
        terminated = self.flow[:, -1] != 1.0
        _observe_rows(self.world, self.switches, self.step_index, self.soc, self.flow, self.observation)
        return terminated, self.step_index >= self.end


class Seat:
    """One feeder seen and steered through actions, outside an episode: what a trained policy needs to run anywhere."""

    def __init__(self, case: Case, options: Options) -> None:
        self._case, self._options = case, options
        self._look_from(0)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The observation's layout."""
        return self._core.slots

    @property
    def actions(self) -> int:
        """How many numbers an action has."""
        return self._core.actions

    def observe(self, step: int, soc: Floats) -> Float32s:
        """The observation (width,) at `step` with batteries at `soc`; only feeder slots are meaningful."""
        if step not in self._steps:
            self._look_from(step)
        core = self._core
        core.step_index[0], core.soc[0] = step, soc
        _observe_rows(core.world, core.switches, core.step_index, core.soc, core.flow, core.observation)
        return np.asarray(core.observation[0])

    def value(self, action: Floats) -> Floats:
        """What energy in store is worth, EUR/kWh (SEGMENTS,), when `action` (BELIEFS,) is believed beside the outlook of the step
        last observed."""
        core = self._core
        worth = np.empty(SEGMENTS)
        believe(np.asarray(action, dtype=np.float64), core.world.values[core.step_index[0]], worth)
        return worth

    def answer(self, value_eur_per_kwh: Floats, soc: Floats, params: Params, step: int) -> Floats:
        """The setpoint (2, devices) that `value_eur_per_kwh` leads to at `step` of `params` with batteries at `soc`, at the
        prices of the step last observed. `params` are the case's own, or those of a finer clock."""
        core = self._core
        asked = np.empty((2, params.fleet.devices))
        answer(core.world, params, core.options.reactive, int(core.step_index[0]), step, soc, value_eur_per_kwh, asked)
        return asked

    def _look_from(self, step: int) -> None:
        self._steps = range(step, min(step + SEAT_STEPS, self._case.clock.steps))
        self._core = Core(self._case, self._options, batch=1, steps=slice(self._steps.start, self._steps.stop))


def idle_reward(world: World, shield: bool) -> Floats:
    """The reward of every step of the series without batteries, behind the shield where that is on: (steps,)."""
    params = world.params._replace(fleet=world.params.fleet.without_batteries())
    steps, devices = len(params.pv_p_kw), params.fleet.devices
    step_index, soc = np.arange(steps), np.full((steps, params.fleet.batteries), params.fleet.soc_window[0])
    asked = idle(steps, params.fleet.batteries, devices)
    safe, done, soc_after = np.empty_like(asked), np.empty_like(asked), np.empty_like(soc)
    flow = np.empty((steps, params.buses + len(params.network.branch_node) + acflow.BALANCE))
    if shield:
        shield_rows(params, world.limits, step_index, soc, asked, safe)
    else:
        safe = asked
    advance(params, step_index, soc, safe, done, soc_after, flow)
    terms = np.empty((steps, len(TERMS)))
    for step in range(steps):
        reward_terms(
            world.prices,
            world.limits,
            world.penalties,
            params.fleet.dt_h,
            step,
            done[step, 0, : soc.shape[1]],
            flow[step],
            terms[step],
        )
    return np.asarray(terms.sum(axis=1))


def action_width(case: Case, options: Options) -> int:
    """How many numbers an action has."""
    if options.action == "value":
        return BELIEFS
    fleet = case.fleet
    pvs = fleet.devices - fleet.batteries
    return fleet.batteries + (pvs if options.curtailment else 0) + (fleet.devices if options.reactive else 0)


def episode_starts(case: Case, options: Options) -> Ints:
    """Steps at which an episode may begin: local midnights from which it stays inside its week of the split."""
    weeks = [week for week in range(case.clock.weeks) if options.weeks in ("all", split_of(week))]
    if not weeks:
        raise InputError(f"scenario {case.scenario.name} has {case.clock.weeks} whole weeks and none of them is '{options.weeks}'")
    days = [week * STEPS_PER_WEEK + day * STEPS_PER_DAY for week in weeks for day in range(8 - options.days)]
    return np.array(days, dtype=np.int64)


@kernel
def values_at(world: World, step_: int) -> Float32s:
    """The outlook (VIEWS, SEGMENTS) at `step_`, remembered."""
    here: Float32s = world.values[step_]
    if np.isnan(here[0, 0]):
        value_eur_per_kwh = np.empty((VIEWS, SEGMENTS))
        look_ahead(world.outlook, world.prices, step_, value_eur_per_kwh)
        here[:] = value_eur_per_kwh
    return here


@kernel
def answer(
    world: World, params: Params, reactive: bool, priced: int, step_: int, soc: Floats, value_eur_per_kwh: Floats, asked: Floats
) -> None:
    """What the feeder does at `step_` of `params`, at the prices of step `priced`, when energy in store is worth
    `value_eur_per_kwh` (SEGMENTS,): fills `asked` (2, devices)."""
    prices = world.prices
    buy = prices.import_eur_per_kwh[priced] + prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[priced]
    answer_value(params, world.outlook.battery, buy, prices.export_eur_per_kwh[priced], step_, soc, value_eur_per_kwh, asked)
    if reactive:
        add_reactive(params, world.losses, step_, asked)


@kernel
def _step_rows(
    world: World,
    switches: _Switches,
    step_: Ints,
    soc: Floats,
    action: Floats,
    asked: Floats,
    done: Floats,
    flow: Floats,
    terms: Floats,
    reward: Floats,
) -> None:
    """The kernel of `Core.step`: moves `step_` and `soc` on in place and fills the rest."""
    params = world.params
    _ask_rows(world, switches, step_, soc, action, asked)
    to_do = asked
    if switches.shield:
        to_do = np.empty_like(asked)
        shield_rows(params, world.limits, step_, soc, asked, to_do)
    soc_after = np.empty_like(soc)
    advance(params, step_, soc, to_do, done, soc_after, flow)
    for i in range(step_.shape[0]):
        batteries = done[i, 0, : soc.shape[1]]
        reward_terms(world.prices, world.limits, world.penalties, params.fleet.dt_h, step_[i], batteries, flow[i], terms[i])
        reward[i] = terms[i].sum()
        soc[i] = soc_after[i]
        step_[i] += 1


@kernel
def _ask_rows(world: World, switches: _Switches, step_: Ints, soc: Floats, action: Floats, asked: Floats) -> None:
    """What the actions ask of the devices: fills `asked`."""
    params = world.params
    value = np.empty(SEGMENTS)
    for i in range(step_.shape[0]):
        if switches.by_value:
            believe(action[i], values_at(world, step_[i]), value)
            answer(world, params, switches.reactive, step_[i], step_[i], soc[i], value, asked[i])
        else:
            answer_setpoints(params.fleet, action[i], switches.curtailment, switches.reactive, asked[i])


@kernel
def _observe_rows(world: World, switches: _Switches, step_: Ints, soc: Floats, flow: Floats, observation: Float32s) -> None:
    """Fills `observation` for all rows."""
    params, features = world.params, world.features
    fleet = params.fleet
    for i in range(step_.shape[0]):
        t = min(step_[i], features.shape[0] - 1)
        first = features.shape[1]
        observation[i, :first] = features[t]
        stored_kwh, capacity_kwh = 0.0, 1e-9
        for b in range(soc.shape[1]):
            stored_kwh += soc[i, b] * fleet.e_kwh[b]
            capacity_kwh += fleet.e_kwh[b]
        observation[i, first] = stored_kwh / capacity_kwh
        if switches.devices:
            _observe_devices(params, t, soc[i], flow[i], observation[i, first + 1 :])
        else:
            _observe_outlook(values_at(world, t), _SPOT_MEAN_EUR_PER_KWH * features[t, _SPOT_MEAN], observation[i, first + 1 :])


@kernel
def _observe_outlook(outlook: Float32s, spot_mean_eur_per_kwh: float, slots: Float32s) -> None:
    """Fills the slots of `gridnet_envs.slots.VALUE_SLOTS`: means of the values around each knot."""
    for k in range(KNOTS):
        first = max(0, (2 * k - 1) * SEGMENTS // (2 * (KNOTS - 1)))
        last = min(SEGMENTS, (2 * k + 1) * SEGMENTS // (2 * (KNOTS - 1)))
        mean = outlook[AS_FORECAST, first:last].mean()
        slots[k] = _cut((mean - spot_mean_eur_per_kwh) / _OUTLOOK_EUR_PER_KWH)
    slots[KNOTS] = _cut(outlook[BY_SUN].mean() / _SUN_EUR_PER_KWH)
    slots[KNOTS + 1] = _cut(outlook[BY_PRICE].mean() / _PRICE_EUR_PER_KWH)


@kernel
def _observe_devices(params: Params, step_: int, soc: Floats, flow: Floats, slots: Float32s) -> None:
    """Fills the slots of `gridnet_envs.slots.device_slots` for one feeder."""
    batteries, pvs = soc.shape[0], params.pv_p_kw.shape[1]
    for b in range(batteries):
        slots[b] = soc[b]
    for k in range(pvs):
        rated_kva = params.fleet.s_kva[batteries + k]
        slots[batteries + k] = _cut(params.pv_p_kw[step_, k] / rated_kva) if rated_kva > 0.0 else 0.0
    low, high, loading = 2.0, 0.0, 0.0
    for b in range(params.buses):
        if flow[b] == flow[b]:
            low, high = min(low, flow[b]), max(high, flow[b])
    for e in range(params.buses, flow.shape[0] - 4):
        if flow[e] == flow[e]:
            loading = max(loading, flow[e])
    slots[batteries + pvs] = _cut((low - 1.0) / 0.1)
    slots[batteries + pvs + 1] = _cut((high - 1.0) / 0.1)
    slots[batteries + pvs + 2] = _cut(loading / 100.0)


@kernel
def _cut(value: float) -> float:
    return min(max(value, -BOUND), BOUND)
