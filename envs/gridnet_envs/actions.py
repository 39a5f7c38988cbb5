"""How an action becomes setpoints: one number per device, or what energy in store is worth to the whole feeder.

The worth is a marginal value per kWh that falls as the batteries fill. Forecasts and published prices say one
(`gridnet_envs.outlook`); the action is a belief beside them: how much sunnier the day will be, given at `KNOTS` states of
charge, and how much higher the prices that are not out yet. The batteries answer the worth by one rule (`answer_value`). So
the action has a meaning that is independent of how many devices there are, and a policy that learns it can run any feeder.
Zero believes the forecasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.devices import Fleet, battery_range
from gridnet.kernels import kernel
from gridnet.losses import Losses, least_loss_kvar
from gridnet.simulate import Params
from gridnet_envs.outlook import AS_FORECAST, BY_PRICE, BY_SUN, SEGMENTS, OneBattery, cheapest_p_kw

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

KNOTS = 5
"""States of charge, evenly spaced from empty to full, at which an action says how sunny it will be: an empty battery may hope where
a full one fears."""
BELIEFS = KNOTS + 1
"""Numbers in an action: the sun at each knot, then unpublished prices."""
REACH = 2.0
"""What an action of 1 adds, in units of the outlook's own differences."""


@kernel
def share_power(fleet: Fleet, soc: Floats, p_kw: float, asked: Floats) -> float:
    """Splits `p_kw` among the batteries in proportion to what each can do, so that full or empty ones don't hold the others
    back. Fills `asked[:batteries]` and gives the total that the fleet can do."""
    possible = 0.0
    for b in range(soc.shape[0]):
        lowest, highest = battery_range(fleet, b, soc[b])
        asked[b] = highest if p_kw > 0.0 else lowest
        possible += asked[b]
    share = min(1.0, p_kw / possible) if possible != 0.0 else 0.0
    for b in range(soc.shape[0]):
        asked[b] *= share
    return possible * share


@kernel
def surplus_kw(params: Params, step_: int) -> float:
    """What PV gives beyond the load of the feeder at `step_`, losses aside; negative in deficit."""
    surplus = 0.0
    for k in range(params.load_p_kw.shape[1]):
        surplus += params.load_p_kw[step_, k]
    for k in range(params.pv_p_kw.shape[1]):
        surplus += params.pv_p_kw[step_, k]
    return surplus


@kernel
def believe(action: Floats, outlook: Float32s, value_eur_per_kwh: Floats) -> None:
    """Fills `value_eur_per_kwh` (SEGMENTS,) with what `action` (BELIEFS,) makes of `outlook` (VIEWS, SEGMENTS); between knots the
    belief is linear."""
    for g in range(SEGMENTS):
        place = (g + 0.5) / SEGMENTS * (KNOTS - 1)
        below = min(int(place), KNOTS - 2)
        share = place - below
        sun = action[below] * (1.0 - share) + action[below + 1] * share
        changed = sun * outlook[BY_SUN, g] + action[KNOTS] * outlook[BY_PRICE, g]
        value_eur_per_kwh[g] = outlook[AS_FORECAST, g] + REACH * changed


@kernel
def answer_value(
    params: Params, battery: OneBattery, buy: float, sell: float, step_: int, soc: Floats, value_eur_per_kwh: Floats, asked: Floats
) -> None:
    """What the feeder does at `step_` of `params` when a kWh costs `buy`, earns `sell` and energy in store is worth
    `value_eur_per_kwh` (SEGMENTS,); fills `asked` (2, devices).

    The power that costs least, this step's energy and losses, wear, and what is left in store together, shared among the
    batteries by what each can do. PV is curtailed where export would cost money. No reactive power.
    """
    fleet = params.fleet
    batteries = soc.shape[0]
    surplus = surplus_kw(params, step_)
    stored_kwh = 0.0
    for b in range(batteries):
        stored_kwh += (soc[b] * fleet.keep - fleet.soc_window[0]) * fleet.e_kwh[b]
    target = cheapest_p_kw(battery, surplus, buy, sell, fleet.dt_h, stored_kwh, value_eur_per_kwh)
    asked[1, :] = 0.0
    moved = share_power(fleet, soc, target, asked[0])
    pv_share = np.inf
    if sell < 0.0 and surplus + moved > 0.0:
        available = 0.0
        for k in range(params.pv_p_kw.shape[1]):
            available += params.pv_p_kw[step_, k]
        if available > 0.0:
            pv_share = max(0.0, 1.0 - (surplus + moved) / available)
    for d in range(batteries, asked.shape[1]):
        asked[0, d] = pv_share * params.pv_p_kw[step_, d - batteries] if pv_share < np.inf else np.inf


@kernel
def add_reactive(params: Params, losses: Losses, step_: int, asked: Floats) -> None:
    """Fills `asked[1]` with the least-loss reactive power that the inverters have left beside `asked[0]` (devices,)."""
    fleet = params.fleet
    batteries = fleet.p_kw.shape[0]
    room = np.empty(asked.shape[1])
    for d in range(asked.shape[1]):
        power = asked[0, d]
        if d >= batteries:
            power = min(power, params.pv_p_kw[step_, d - batteries])
        room[d] = np.sqrt(max(0.0, fleet.s_kva[d] * fleet.s_kva[d] - power * power))
    least_loss_kvar(losses, params.load_q_kvar[step_], room, asked[1])


@kernel
def answer_setpoints(fleet: Fleet, action: Floats, curtailment: bool, reactive: bool, asked: Floats) -> None:
    """Normalised setpoints, -1..1 each, as kW and kvar; fills `asked` (2, devices).

    First one per battery (power as a share of its rating, positive discharges), then, where `curtailment`, one per PV plant
    (-1 = off, 1 = its inverter's full rating), then, where `reactive`, one per device (share of its apparent rating).
    """
    batteries, devices = fleet.p_kw.shape[0], fleet.s_kva.shape[0]
    for d in range(devices):
        if d < batteries:
            asked[0, d] = action[d] * fleet.p_kw[d]
        elif curtailment:
            asked[0, d] = 0.5 * (action[d] + 1.0) * fleet.s_kva[d]
        else:
            asked[0, d] = np.inf
        asked[1, d] = action[action.shape[0] - devices + d] * fleet.s_kva[d] if reactive else 0.0
