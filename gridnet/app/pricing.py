"""What a simulated community settles by: its tariff, and under the rule `dlmp` the prices by bus of a day-ahead plan.

The plan is made at the last quarter-hour before the series' day, on what the mpc sees then: forecasts of load, sun and carbon,
prices as published, and the charge. So a day's prices stand before the day begins, as a day-ahead market's would, and know nothing
of it. What is asked of the batteries is the policy's matter, which need not follow that plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gridnet.app.community import Community
from gridnet.app.run import Run
from gridnet.clock import STEPS_PER_DAY
from gridnet_contracts.settlement.prices import Prices, Rule
from gridnet_policies.lp.dlmp import prices_of
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.mpc.policy import HORIZON_STEPS
from gridnet_policies.mpc.window import Windows

Floats = NDArray[np.float64]

KWH_PER_MWH = 1000.0


class Pricing:
    """The prices of each step. What was played must be told first (`follow`): a day's plan starts from it."""

    def __init__(self, community: Community, rule: Rule, start: int) -> None:
        self.rule = rule
        self._community = community
        self._tariff = community.case.prices
        self._ahead = _DayAhead(community, start) if rule == "dlmp" else None

    def follow(self, run: Run) -> None:
        """Takes in what was played."""
        if self._ahead is not None:
            self._ahead.follow(run)

    def at(self, step: int) -> Prices:
        """Prices of a step that was played. Raises `PowerFlowDiverged` where the network can't carry the day's forecasts."""
        bought, sold = (float(each[step]) for each in (self._tariff.import_eur_per_kwh, self._tariff.export_eur_per_kwh))
        return Prices.from_eur(bought, sold, None if self._ahead is None else self._ahead.at(step))


class _DayAhead:
    """Prices by party and step, planned a day at a time."""

    def __init__(self, community: Community, start: int) -> None:
        self._community = community
        self._windows = Windows(community.case, HORIZON_STEPS, perfect=False)
        self._start = start
        self._soc: dict[int, Floats] = {start: community.case.start(start).soc[0]}
        """By step: the charge at its start."""
        self._import_kw: dict[int, float] = {}
        self._days: dict[int, Floats] = {}
        """By day: (96, buses) EUR/kWh."""

    def follow(self, run: Run) -> None:
        steps = run.truth.step.tolist()
        self._soc.update({step + 1: soc for step, soc in zip(steps, run.truth.soc, strict=True)})
        self._import_kw.update(zip(steps, run.truth.head_p_kw.tolist(), strict=True))

    def at(self, step: int) -> Mapping[str, float]:
        day, row = divmod(step, STEPS_PER_DAY)
        if day not in self._days:
            self._days[day] = self._planned(day)
        return {party: float(self._days[day][row, bus]) for party, bus in self._bus_of.items()}

    @property
    def _bus_of(self) -> Mapping[str, int]:
        return {party: bus for bus, party in self._community.party_of_bus.items()}

    def _planned(self, day: int) -> Floats:
        first = day * STEPS_PER_DAY
        origin = max(first - 1, 0)
        # Of the first day nothing was played before it: the plan starts from the charge that the run starts from.
        soc = self._soc[max(origin, self._start)]
        reached_kw = max((import_kw for step, import_kw in self._import_kw.items() if step < origin), default=0.0)
        task = self._windows.at(origin, soc.copy(), max(reached_kw, 0.0))
        prices = prices_of(task, make_plan(task)).total / KWH_PER_MWH
        planned: Floats = prices[first - origin : first - origin + STEPS_PER_DAY]
        return planned
