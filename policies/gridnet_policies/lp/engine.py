"""What an engine is: one task's programme, kept between rounds so that each round only adds rows.

minimise   sum over steps of dt * (import price * imported - export price * exported + wear * (charge + discharge))
           + peak charge * peak + value of stored energy missing or gained at the end + price * limit excess
subject to stored' = keep * stored + dt * (eta_c * charge - discharge / eta_d), inside the window
           0 <= charge, discharge <= power limit;  0 <= pv <= what the sun gives;  q inside a polygon in the inverter's circle
           imported - exported >= tangent of the AC slack power, at every operating point visited
           slope * controls - excess <= bound, for the limits found broken;  peak >= imported - reached

The controls of a step are the devices' active powers, then, in a reactive task, their reactive powers. Slack power is convex
in them (losses are), so its tangents are added up, not replaced: the programme then settles instead of swinging between
vertices (Kelley, "The cutting-plane method for solving convex programs", 1960). Where a kWh at the slack has a negative price
the programme would rather invent losses than keep to `>=`; there the newest tangent alone holds, as an equality.

Opposite things done at once can pay in a linear programme: charging and discharging, which burns energy (where a price is
so negative that it beats the wear, where a full store stands in the way of negative prices to come, or where a limit can't
be kept otherwise); importing and exporting, where energy is dearer to sell than to buy (a fixed feed-in above a negative
spot price). Where a solution does so, the direction that outweighs is kept, the other barred, and the programme solved
again. That is a good schedule rather than a proven optimum; integer variables would prove it, at minutes instead of
seconds.

Reactive power stays at its centre, where losses are least, but for steps at which a limit is held. At negative prices it
stays there too: the programme would move it only to make losses.

Two engines solve the same programme: `PyomoEngine` is the readable one and the one to extend, `HighsEngine` the fast one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gridnet_policies.lp.margins import Cut, Key

Floats = NDArray[np.float64]

AGAIN = 6
"""Times that directions are barred or sides of the polygon added and the programme solved again, at most; what is left of two
opposite directions is netted."""

BOTH = 1e-6
"""Above this, kW or kWh, a direction is in use."""

OUTSIDE = 2e-3
"""Share of an inverter's rating beyond a side of the polygon that calls for that side as a row."""


NEGLIGIBLE = 1e-7
"""A coefficient below this, in kW or percent per kW or kvar, is taken for 0."""


class Tangent(NamedTuple):
    """Slack power from below: `level + slope @ controls`; `level` (steps,) kW, `slope` (steps, controls) kW per kW or kvar."""

    level: Floats
    slope: Floats


class Solution(NamedTuple):
    """`p_kw`, `q_kvar` (steps, devices); `stored_kwh` (steps, batteries) after each step; `objective_eur` prices excess."""

    p_kw: Floats
    q_kvar: Floats
    stored_kwh: Floats
    objective_eur: float

    @property
    def controls(self) -> Floats:
        """(steps, 2 * devices)"""
        return np.hstack([self.p_kw, self.q_kvar])


class ShadowPrices(NamedTuple):
    """What the last programme's cost gains when a right side moves: its dual prices."""

    slack_eur_per_kwh: Floats
    """(steps,) of a kWh more to be drawn through the slack."""
    stored_eur_per_kwh: Floats
    """(steps, batteries) worth of a kWh more in store after each step."""
    peak_eur_per_kw: Floats
    """(steps,) each step's part in the charge on the peak."""
    limits_eur_per_percent: dict[Key, float]
    """Of each limit that costs something: by how much a percent more of voltage or loading would raise the cost of its step;
    negative where it would lower it."""


class Engine(Protocol):
    """One task's programme. Centre, add tangents and cuts, solve, repeat."""

    def centre(self, q_kvar: Floats) -> None:
        """Reactive power (steps, devices) that moves free of charge: what costs the least losses."""

    def follow(self, tangent: Tangent) -> None:
        """Adds a tangent of the slack power."""

    def hold(self, cuts: Iterable[Cut]) -> None:
        """Adds cuts. Those on an upper voltage take the place of their predecessor: voltage is concave in power, so an
        old tangent there forbids what is allowed, while old tangents of the others stay true."""

    @property
    def held(self) -> list[Key]:
        """The limits that have a cut."""
        ...

    def solve(self, time_limit_s: float | None = None) -> Solution | None:
        """The cheapest schedule, or None where the time did not suffice.

        Raises `Infeasible` where there is none, which the soft limits rule out.
        """
        ...

    def shadow_prices(self) -> ShadowPrices:
        """The dual prices of the last solution."""
        ...


def priced_limits(held: Iterable[tuple[Key, list[float]]]) -> dict[Key, float]:
    """The price of each limit from the duals of its cuts; 0 is left out. A cut of a loading binds only where the current has the
    cut's direction, so all of them price the current's magnitude."""
    prices = {}
    for key, duals in held:
        price = sum(duals) if key.kind == "vm_min" else -sum(duals)
        if abs(price) > 1e-12:
            prices[key] = price
    return prices


def netted(charge: Floats, discharge: Floats, efficiency: Floats) -> Floats:
    """One power per battery that stores exactly what charge and discharge together store: the charge follows the plan.

    Both are above zero only where burning energy paid and `AGAIN` did not suffice to choose a direction.
    """
    gain = efficiency[0] * charge - discharge / efficiency[1]
    net: Floats = np.where(gain > 0, -gain / efficiency[0], -gain * efficiency[1])
    return net
