"""What is to be planned: a stretch of time, the series believed in, prices, and the charge at its start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.errors import InputError
from gridnet.foresight import worth_after
from gridnet.limits import NetworkLimits, make_limits
from gridnet.simulate import Params
from gridnet.tariff import Prices, StoredValue, running_cost_eur

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A planning task over the steps `[start, start + steps)` of `params` and `prices`.

    With the case's own series it is perfect foresight; a planner that forecasts replaces the series in `params`.
    """

    case: Case
    params: Params
    prices: Prices
    stored: StoredValue
    start: int
    steps: int
    soc: Floats
    """(batteries,) state of charge 0-1 at the start."""
    reactive: bool = True
    """Whether inverters may give and take reactive power."""
    reached_kw: float = 0.0
    """Highest import of the run before `start`: a charge on the peak counts what lies above it."""

    @property
    def run(self) -> slice:
        """The steps of the task within the series."""
        return slice(self.start, self.start + self.steps)

    @cached_property
    def limits(self) -> NetworkLimits:
        """Limits of every bus and branch."""
        return make_limits(self.case.scenario, self.case.feeder)

    @cached_property
    def pv_available_kw(self) -> Floats:
        """(steps, pvs) what each plant can give: the sun, cut to the inverter."""
        fleet = self.params.fleet
        available: Floats = np.clip(self.params.pv_p_kw[self.run], 0.0, fleet.s_kva[fleet.batteries :])
        return available

    @cached_property
    def import_eur_per_kwh(self) -> Floats:
        """(steps,) price of imported energy with the price on its carbon."""
        prices = self.prices
        carbon: Floats = prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[self.run]
        return prices.import_eur_per_kwh[self.run] + carbon

    @cached_property
    def export_eur_per_kwh(self) -> Floats:
        """(steps,) price of exported energy."""
        return self.prices.export_eur_per_kwh[self.run]

    @cached_property
    def idle_p_kw(self) -> Floats:
        """(steps, devices) batteries rest, PV gives all it can."""
        return np.hstack([np.zeros((self.steps, self.params.fleet.batteries)), self.pv_available_kw])

    def of_steps(self, steps: NDArray[np.int64]) -> Task:
        """The same devices and network at some steps of the plan, (steps,), in the order given: for what looks at each
        alone (the charge and its worth are still those of the whole plan)."""
        here, params = self.start + steps, self.params
        some = params._replace(load_p_kw=params.load_p_kw[here], load_q_kvar=params.load_q_kvar[here], pv_p_kw=params.pv_p_kw[here])
        priced = self.prices._replace(
            import_eur_per_kwh=self.prices.import_eur_per_kwh[here],
            export_eur_per_kwh=self.prices.export_eur_per_kwh[here],
            carbon_kg_per_kwh=self.prices.carbon_kg_per_kwh[here],
        )
        return replace(self, params=some, prices=priced, start=0, steps=len(steps))

    def injections(self, p_kw: Floats, q_kvar: Floats) -> tuple[Floats, Floats]:
        """Power at buses, p and q (steps, buses), with devices at `p_kw` and `q_kvar` (steps, devices)."""
        params = self.params
        p_bus, q_bus = np.zeros((params.buses, self.steps)), np.zeros((params.buses, self.steps))
        np.add.at(p_bus, params.load_bus, params.load_p_kw[self.run].T)
        np.add.at(q_bus, params.load_bus, params.load_q_kvar[self.run].T)
        np.add.at(p_bus, params.device_bus, p_kw.T)
        np.add.at(q_bus, params.device_bus, q_kvar.T)
        return np.ascontiguousarray(p_bus.T), np.ascontiguousarray(q_bus.T)

    def cost_eur(self, slack_p_kw: Floats, p_kw: Floats, soc_end: Floats) -> float:
        """The account of `gridnet.tariff`: energy at the slack, its carbon, wear, and the worth of the charge at the end.

        `slack_p_kw` (steps,) as solved, `p_kw` (steps, devices) as done, `soc_end` (batteries,).
        """
        fleet = self.params.fleet
        gained_kwh = float((soc_end - self.soc) @ fleet.e_kwh)
        running = running_cost_eur(self.prices, fleet.dt_h, self.start, slack_p_kw, p_kw[:, : fleet.batteries])
        below_kw = max(0.0, self.reached_kw - float(slack_p_kw.max(initial=0.0)))
        return running + self.prices.peak_eur_per_kw * below_kw + self.stored.cost_eur(gained_kwh)


def make_task(case: Case, start: int, steps: int) -> Task:
    """Perfect foresight over `[start, start + steps)`, batteries at the scenario's starting charge.

    Raises `InputError` for an empty run or one that leaves the series.
    """
    if steps < 1 or start < 0 or start + steps > case.clock.steps:
        raise InputError(
            f"a plan over steps [{start}, {start + steps}) leaves the series of scenario {case.scenario.name}, "
            f"which has steps [0, {case.clock.steps}); choose at least one step inside it"
        )
    prices = case.prices
    return Task(
        case=case,
        params=case.params,
        prices=prices,
        stored=worth_after(case, start + steps),
        start=start,
        steps=steps,
        soc=np.full(case.fleet.batteries, case.scenario.battery.soc_start),
    )
