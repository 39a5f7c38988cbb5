"""What energy is worth at each step, and what a run costs: one account for every policy and for the optimiser's objective.

The neighbourhood is settled as one at its connection point, the slack bus: what its members exchange among themselves is
not billed, network losses are (they are imported). Prices are in EUR per kWh, `p > 0` at the slack imports. A tariff may also
charge the highest import of a run, by the kW.

Stored energy at the end of a run counts, so that no policy gains by ending empty: what it is worth is what it will save in the
week that follows (`gridnet.foresight`). A planner that can't know that week may go by mean prices: energy missing against the
start costs what it would have saved at the run's mean import price, surplus energy earns what it would have sold for at the run's
mean export price, both after discharging loss and wear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.devices import Fleet
from gridnet.scenario import Scenario
from gridnet.series.compose import Series

Floats = NDArray[np.float64]


class Prices(NamedTuple):
    """Prices of each step, all (steps,) unless said."""

    import_eur_per_kwh: Floats
    export_eur_per_kwh: Floats
    carbon_kg_per_kwh: Floats
    co2_eur_per_kg: float
    wear_eur_per_kwh: float
    """Of each kWh moved at a battery's terminals, in or out."""
    peak_eur_per_kw: float = 0.0
    """Of the highest import of a run."""


class StoredValue(NamedTuple):
    """What a kWh in store is worth at the end of a run."""

    shortfall_eur_per_kwh: float
    """Cost of each kWh that the batteries hold less than at the start."""
    surplus_eur_per_kwh: float
    """Value of each kWh that they hold more."""

    def cost_eur(self, gained_kwh: float) -> float:
        """Cost of ending with `gained_kwh` more than at the start (negative: less)."""
        return -gained_kwh * (self.surplus_eur_per_kwh if gained_kwh > 0 else self.shortfall_eur_per_kwh)


def make_prices(scenario: Scenario, series: Series) -> Prices:
    """Prices of a scenario: import = spot + grid fee; export = spot or the fixed feed-in."""
    spot = series.price_eur_per_mwh / 1e3
    feed_in = scenario.tariff.feed_in_eur_per_mwh
    return Prices(
        import_eur_per_kwh=spot + scenario.tariff.grid_fee_eur_per_mwh / 1e3,
        export_eur_per_kwh=spot if feed_in is None else np.full_like(spot, feed_in / 1e3),
        carbon_kg_per_kwh=series.carbon_g_per_kwh / 1e3,
        co2_eur_per_kg=scenario.tariff.co2_price_eur_per_t / 1e3,
        wear_eur_per_kwh=scenario.battery.wear_eur_per_kwh,
        peak_eur_per_kw=scenario.tariff.peak_eur_per_kw,
    )


def running_cost_eur(prices: Prices, dt_h: float, start: int, slack_p_kw: Floats, battery_p_kw: Floats) -> float:
    """Energy at the connection point, its carbon and its highest import where priced, and wear, over the steps from `start` on.

    `slack_p_kw` (steps,) as solved, `battery_p_kw` (steps, batteries) as done.
    """
    here = slice(start, start + len(slack_p_kw))
    bought, sold = np.maximum(slack_p_kw, 0.0), np.maximum(-slack_p_kw, 0.0)
    carbon_eur_per_kwh = prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[here]
    energy = bought @ (prices.import_eur_per_kwh[here] + carbon_eur_per_kwh) - sold @ prices.export_eur_per_kwh[here]
    wear = float(np.abs(battery_p_kw).sum()) * prices.wear_eur_per_kwh
    peak = prices.peak_eur_per_kw * float(bought.max(initial=0.0))
    return float(energy + wear) * dt_h + peak


def mean_price_value(prices: Prices, fleet: Fleet, start: int, steps: int) -> StoredValue:
    """The value of stored energy at the end of the run over `[start, start + steps)`, by that run's mean prices."""
    discharge, run = fleet.efficiency[1], slice(start, start + steps)
    saved = discharge * (float(np.mean(prices.import_eur_per_kwh[run])) - prices.wear_eur_per_kwh)
    sold = discharge * (float(np.mean(prices.export_eur_per_kwh[run])) - prices.wear_eur_per_kwh)
    return StoredValue(shortfall_eur_per_kwh=max(saved, sold, 0.0), surplus_eur_per_kwh=max(sold, 0.0))
