"""The projection: of all setpoints that devices can do and the network can carry, those nearest to the ones asked.

    minimise   1/2 sum_d [ w_p (p - p_asked)^2 + w_q (q - q_asked)^2 ] / s_d
    subject to lowest <= p <= highest,  p^2 + q^2 <= s^2           of every device
               excess + slope (x - x_here) <= -margin              of every limit that binds (`gridnet_envs.binding`)

Kilowatts are counted per kVA of the inverter's rating, so that devices of one kind share a cut in proportion to their size.
The weights say what a deviation takes away: reactive power next to nothing, battery power a change of plan, PV energy that is
lost. The order is nearly, not strictly, one of precedence: PV counts 100 times a battery, a battery 10 times reactive power.
Reactive power is not cheaper still, because it would then circulate in order to burn in the lines what they can't carry.

The dual has one price for each limit that binds, few, and is concave and smooth: given the prices every device answers for
itself, by a projection onto its disc and range in closed form but for one scalar equation. A Newton method with bounds finds
the prices. They are capped: limits that can't all be held then keep the least sum of excesses instead of no answer at all.

The rows are linear at one operating point, the network is not: the AC power flow checks the answer, gives the next point, and
so on for a bounded number of rounds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.devices import Fleet, battery_range, clip
from gridnet.kernels import kernel
from gridnet.limits import NetworkLimits
from gridnet.simulate import Params, solve_flow
from gridnet_envs.binding import Binding, linearise, no_rows, total_excess, worst_excess

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WEIGHT_Q, WEIGHT_BATTERY, WEIGHT_PV = 1e-3, 1e-2, 1.0
ROUNDS = 10
_MARGIN = 1e-4
"""How far inside its limit a row is kept, as a share: what the linear model may still be wrong by when it has settled."""
_HIGHEST_PRICE = 1e5
_HARDLY = 1e-4
"""A device that moves a limit by less than this share of it over its whole range is not asked to."""
_NEWTON_STEPS = 40
_HALVINGS = 25
_SHRINK = 0.15
_CIRCLE_STEPS = 50
_EXACT = 1e-6
_DAMPING = 1e-9
_SETTLED = 1e-6
_TIGHT = 1e-3
"""Setpoints that hold every limit and use the most binding one to within this share of it are not refined."""
_STALE_ROUNDS = 3
"""So many rounds in a row without a better answer end the search."""


class Reach(NamedTuple):
    """What the devices can do in one step, (devices,) each, and what it costs to deviate."""

    lowest_kw: Floats
    highest_kw: Floats
    s_kva: Floats
    weight: Floats
    """(2, devices) of active and of reactive power, per kW^2."""


@kernel
def reach_of(fleet: Fleet, soc: Floats, pv_available_kw: Floats) -> Reach:
    """The reach of one feeder's devices at their state of charge (batteries,) and in this sun (pvs,)."""
    devices, batteries = fleet.s_kva.shape[0], fleet.p_kw.shape[0]
    reach = Reach(np.zeros(devices), np.zeros(devices), fleet.s_kva, np.ones((2, devices)))
    for d in range(devices):
        s_kva = fleet.s_kva[d]
        if d < batteries:
            lowest, highest = battery_range(fleet, d, soc[d])
            reach.lowest_kw[d], reach.highest_kw[d] = max(lowest, -s_kva), min(highest, s_kva)
        else:
            reach.highest_kw[d] = min(pv_available_kw[d - batteries], s_kva)
        if s_kva > 0.0:
            reach.weight[0, d] = (WEIGHT_BATTERY if d < batteries else WEIGHT_PV) / s_kva
            reach.weight[1, d] = WEIGHT_Q / s_kva
    return reach


@kernel
def distance(reach: Reach, asked: Floats, setpoint: Floats) -> float:
    """What the projection minimises, between two setpoints (2, devices)."""
    total = 0.0
    for d in range(asked.shape[1]):
        for kind in range(2):
            total += 0.5 * reach.weight[kind, d] * (setpoint[kind, d] - asked[kind, d]) ** 2
    return total


@kernel
def project(params: Params, limits: NetworkLimits, step_: Ints, soc: Floats, asked: Floats, here: Floats, flow: Floats) -> float:
    """Brings `here` (1, 2, devices) to the setpoints nearest to `asked` that hold the limits, `flow` (1, ..) to their flow.

    The rounds start at `here`, whose flow must be in `flow`. Gives the total excess that is left; where it is above 0 the
    setpoints are the least violating of all rounds, otherwise the nearest of those that hold every limit. `soc` (1, batteries).
    """
    fleet, sun = params.fleet, params.pv_p_kw[step_[0]]
    reach, rows = reach_of(fleet, soc[0], sun), no_rows(asked.shape[2])
    best, least = here.copy(), total_excess(limits, flow[0])
    anchor = np.zeros_like(here)
    clip(fleet, soc[0], sun, anchor[0], anchor[0])
    aim, bound = here.copy(), np.empty(rows.price.shape[0])
    far, stale = np.inf, 0
    for _ in range(ROUNDS):
        if not _retreat(params, step_, anchor, here, flow):
            break
        anchor[:] = here
        linearise(params, limits, step_, here, flow, rows)
        _set_bounds(reach, here[0], rows, bound)
        nearest(reach, asked[0], rows, bound, aim[0])
        clip(fleet, soc[0], sun, aim[0], here[0])
        settled = _moved(reach, anchor[0], here[0]) < _SETTLED
        solve_flow(params, step_, here, flow)
        total, away = total_excess(limits, flow[0]), distance(reach, asked[0], here[0])
        stale += 1
        if total < least or (total <= 0.0 and away < far):
            best[:] = here
            least, far, stale = total, away, 0
        if settled or stale == _STALE_ROUNDS or (total <= 0.0 and worst_excess(limits, flow[0]) > -_TIGHT):
            break
    here[:] = best
    solve_flow(params, step_, here, flow)
    return float(least)


@kernel
def _retreat(params: Params, step_: Ints, anchor: Floats, here: Floats, flow: Floats) -> bool:
    """Halves the way from `anchor` to `here` until the power flow has a solution; whether one was found."""
    for _ in range(_HALVINGS):
        if flow[0, -1] == 1.0:
            return True
        for kind in range(2):
            for d in range(here.shape[2]):
                here[0, kind, d] = 0.5 * (here[0, kind, d] + anchor[0, kind, d])
        solve_flow(params, step_, here, flow)
    return bool(flow[0, -1] == 1.0)


@kernel
def _moved(reach: Reach, before: Floats, after: Floats) -> float:
    """The largest change of a setpoint, as a share of its device's rating."""
    most = 0.0
    for d in range(before.shape[1]):
        for kind in range(2):
            most = max(most, abs(after[kind, d] - before[kind, d]) / max(reach.s_kva[d], 1e-9))
    return most


@kernel
def _set_bounds(reach: Reach, here: Floats, rows: Binding, bound: Floats) -> None:
    """Fills `bound` (ROWS,): a row holds where `slope x <= bound`. Slopes of devices that hardly matter become 0."""
    for r in range(rows.used[0]):
        bound[r] = -_MARGIN - rows.excess[r]
        for d in range(here.shape[1]):
            for kind in range(2):
                if abs(rows.slope[r, kind, d]) * reach.s_kva[d] < _HARDLY:
                    rows.slope[r, kind, d] = 0.0
                bound[r] += rows.slope[r, kind, d] * here[kind, d]


@kernel
def nearest(reach: Reach, asked: Floats, rows: Binding, bound: Floats, setpoint: Floats) -> None:
    """Fills `setpoint` (2, devices) with the solution of the programme above, and `rows.price` with its multipliers."""
    count, devices = rows.used[0], asked.shape[1]
    give, over = np.empty((3, devices)), np.empty(count)
    price = rows.price[:count].copy()
    tried, step = np.empty(count), np.empty(count)
    value = _respond(reach, asked, rows, bound, price, setpoint, give, over)
    for _ in range(_NEWTON_STEPS):
        if not _newton_step(rows, price, over, give, step):
            break
        length, better = 1.0, False
        for _ in range(_HALVINGS):
            rise = 0.0
            for r in range(count):
                tried[r] = min(max(price[r] + length * step[r], 0.0), _HIGHEST_PRICE)
                rise += over[r] * (tried[r] - price[r])
            at_tried = _value(reach, asked, rows, bound, tried, setpoint, give)
            if at_tried >= value + 1e-4 * rise:
                better = True
                break
            length *= _SHRINK
        if better:
            price[:] = tried
        value = _respond(reach, asked, rows, bound, price, setpoint, give, over)
        if not better:
            break
    rows.price[:count] = price


@kernel
def _value(reach: Reach, asked: Floats, rows: Binding, bound: Floats, price: Floats, setpoint: Floats, give: Floats) -> float:
    over = np.empty(price.shape[0])
    return float(_respond(reach, asked, rows, bound, price, setpoint, give, over))


@kernel
def _respond(
    reach: Reach, asked: Floats, rows: Binding, bound: Floats, price: Floats, setpoint: Floats, give: Floats, over: Floats
) -> float:
    """The devices' answer to the prices: `setpoint`, how far it moves with its target (`give`, pp, pq and qq of each device),
    how far each row is over its bound (`over`), and the value of the dual."""
    count = price.shape[0]
    setpoint[:] = 0.0
    for r in range(count):
        if price[r] > 0.0:
            for kind in range(2):
                for d in range(asked.shape[1]):
                    setpoint[kind, d] += price[r] * rows.slope[r, kind, d]
    for d in range(asked.shape[1]):
        p_kw = asked[0, d] - setpoint[0, d] / reach.weight[0, d]
        q_kvar = asked[1, d] - setpoint[1, d] / reach.weight[1, d]
        setpoint[0, d], setpoint[1, d] = _answer(reach, d, p_kw, q_kvar, give)
    value = distance(reach, asked, setpoint)
    for r in range(count):
        over[r] = -bound[r]
        for kind in range(2):
            for d in range(asked.shape[1]):
                over[r] += rows.slope[r, kind, d] * setpoint[kind, d]
        value += price[r] * over[r]
    return float(value)


@kernel
def _answer(reach: Reach, d: int, p_kw: float, q_kvar: float, give: Floats) -> tuple[float, float]:
    """The point of device `d`'s disc and range nearest to a target, in its weights; fills its column of `give`."""
    low, high, s_kva = reach.lowest_kw[d], reach.highest_kw[d], reach.s_kva[d]
    of_p, of_q = reach.weight[0, d], reach.weight[1, d]
    give[0, d] = give[1, d] = give[2, d] = 0.0
    p, q = min(max(p_kw, low), high), q_kvar
    if p * p + q * q <= s_kva * s_kva:
        give[0, d] = 1.0 / of_p if low < p_kw < high else 0.0
        give[2, d] = 1.0 / of_q
        return p, q
    if low < high and s_kva > 0.0:
        pull, on_p, on_q = _onto_circle(s_kva, of_p, of_q, p_kw, q_kvar)
        if low < on_p < high:
            turn = on_q * on_q * (of_p + pull) + on_p * on_p * (of_q + pull)
            give[0, d], give[1, d], give[2, d] = on_q * on_q / turn, -on_p * on_q / turn, on_p * on_p / turn
            return on_p, on_q
        p = min(max(on_p, low), high)
    room = math.sqrt(max(0.0, s_kva * s_kva - p * p))
    if -room < q < room:
        give[2, d] = 1.0 / of_q
    return p, min(max(q, -room), room)


@kernel
def _onto_circle(s_kva: float, of_p: float, of_q: float, p_kw: float, q_kvar: float) -> tuple[float, float, float]:
    """The multiplier and the point of the disc nearest to a target; multiplier 0 and the target itself where that is inside.

    Newton on the radius as a function of the multiplier, which is convex and falling: it nears the root from one side.
    """
    pull, p, q = 0.0, p_kw, q_kvar
    for _ in range(_CIRCLE_STEPS):
        size2 = p * p + q * q
        size = math.sqrt(size2)
        if size <= s_kva * (1.0 + 1e-13):
            break
        pull += (size / s_kva - 1.0) * size2 / (p * p / (of_p + pull) + q * q / (of_q + pull))
        p, q = of_p * p_kw / (of_p + pull), of_q * q_kvar / (of_q + pull)
    return pull, p, q


@kernel
def _newton_step(rows: Binding, price: Floats, over: Floats, give: Floats, step: Floats) -> bool:
    """Fills `step` with the Newton direction of the prices that are free to move; False where none has anywhere to go."""
    count = price.shape[0]
    free, members = np.empty(count, np.int64), 0
    going = False
    step[:] = 0.0
    for r in range(count):
        if (price[r] > 0.0 or over[r] > 0.0) and (price[r] < _HIGHEST_PRICE or over[r] < 0.0):
            free[members] = r
            members += 1
            going = going or abs(over[r]) > _EXACT
    if not going:
        return False
    matrix, right = np.zeros((members, members)), np.empty(members)
    for i in range(members):
        right[i] = over[free[i]]
        a = rows.slope[free[i]]
        for j in range(i + 1):
            b = rows.slope[free[j]]
            for d in range(give.shape[1]):
                matrix[i, j] += a[0, d] * (give[0, d] * b[0, d] + give[1, d] * b[1, d])
                matrix[i, j] += a[1, d] * (give[1, d] * b[0, d] + give[2, d] * b[1, d])
            matrix[j, i] = matrix[i, j]
    most = 0.0
    for i in range(members):
        most = max(most, matrix[i, i])
    for i in range(members):
        matrix[i, i] += _DAMPING * most + 1e-3 * _DAMPING
    _solve(matrix, right)
    for i in range(members):
        step[free[i]] = right[i]
    return True


@kernel
def _solve(matrix: Floats, right: Floats) -> None:
    """Solves a small positive definite system in place, by Cholesky's factors."""
    size = right.shape[0]
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = math.sqrt(max(total, 1e-300)) if i == j else total / matrix[j, j]
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]
