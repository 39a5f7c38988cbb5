"""How an action becomes setpoints: one number per device, or one price for the whole feeder.

The price is the marginal value of a kWh in store. Every battery answers it by the same rule (`answer_value`), so the action
has a meaning that is independent of how many devices there are, and a policy that learns it can run any feeder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.devices import Fleet, battery_range
from gridnet.kernels import kernel
from gridnet.simulate import Params
from gridnet.tariff import Prices

Floats = NDArray[np.float64]


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
def answer_value(params: Params, prices: Prices, step_: int, soc: Floats, value_eur_per_kwh: float, asked: Floats) -> None:
    """What the feeder does when a kWh in store is worth `value_eur_per_kwh`; fills `asked` (2, devices).

    Compares the value, efficiencies and wear included, with what energy costs and earns now: charge in full, discharge in
    full, store the surplus, cover the deficit, or rest. PV is curtailed where export would cost money.
    """
    fleet = params.fleet
    batteries = soc.shape[0]
    surplus = surplus_kw(params, step_)
    buy, sell = prices.import_eur_per_kwh[step_], prices.export_eur_per_kwh[step_]
    gain = fleet.efficiency[0] * value_eur_per_kwh - prices.wear_eur_per_kwh
    give_up = value_eur_per_kwh / fleet.efficiency[1] + prices.wear_eur_per_kwh
    target = 0.0
    if gain > buy:
        target = -np.inf
    elif sell > give_up:
        target = np.inf
    elif (surplus > 0.0 and gain > sell) or (surplus < 0.0 and buy > give_up):
        target = -surplus
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
