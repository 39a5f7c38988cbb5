"""The programme of `gridnet_policies.lp.engine` as arrays in HiGHS: the fast engine."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gridnet_policies.lp.columns import Columns
from gridnet_policies.lp.deadline import Deadline
from gridnet_policies.lp.engine import AGAIN, BOTH, OUTSIDE, ShadowPrices, Solution, Tangent, netted, priced_limits
from gridnet_policies.lp.highs import INFINITY, HighsProgramme
from gridnet_policies.lp.margins import KINDS, Cut, Key
from gridnet_policies.lp.ranges import (
    EXCESS_EUR_PER_PERCENT_H,
    SHIFT_EUR_PER_KVARH,
    burning_pays_below,
    largest_exchange_kw,
    stored_coefficients,
    stored_range_kwh,
)
from gridnet_policies.lp.reactive import REACH, SIDES_RAD
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


class HighsEngine:
    """An `Engine`. A slot holds one step of the plan, `slots` (steps,) tells which; here step and slot are the same."""

    def __init__(self, task: Task) -> None:
        fleet = task.params.fleet
        self.task = task
        self.columns = Columns(task.steps, fleet.batteries, fleet.devices - fleet.batteries, task.reactive)
        self.slots = np.arange(task.steps)
        self.centred_kvar = np.zeros((task.steps, fleet.devices))
        self._moving, self._control, self._sign = self.columns.controls()
        self._active = self._moving.shape[1] - 2 * self.columns.up.shape[1]
        self._upper = np.full(self.columns.count, INFINITY)
        self._upper[self.columns.up] = self._upper[self.columns.down] = 0.0
        self._shifts = np.zeros(task.steps, dtype=np.bool_)
        self.lp = HighsProgramme(self._costs(), np.zeros(self.columns.count), self._upper)
        self._bound_columns()
        self._add_balance()
        self._add_peak()
        self._add_opposites()
        self._tangents: list[tuple[Ints, Tangent]] = []
        self._held: dict[Key, list[int]] = {}
        self._sides: dict[tuple[int, int, int, int], int] = {}
        self._equal = np.zeros(task.steps, dtype=np.bool_)
        self._equal[self.slots] = np.minimum(task.import_eur_per_kwh, task.export_eur_per_kwh) < 0

    # --- the interface of an engine --------------------------------------------------------------------------------

    def centre(self, q_kvar: Floats) -> None:
        """See `Engine.centre`; must come before the first tangent."""
        self.centred_kvar = q_kvar
        self._bound_reactive()

    def follow(self, tangent: Tangent) -> None:
        """See `Engine.follow`."""
        columns, steps = self.columns, self.task.steps
        ones = np.ones((steps, 1))
        entries = np.hstack([columns.imported[:, None], columns.exported[:, None], self._moving])
        rows = self.lp.add_rows(
            np.full(steps, -INFINITY),
            np.full(steps, INFINITY),
            entries,
            np.hstack([ones, -ones, -self._unshifted(tangent.slope)]),
        )
        self._tangents.append((rows, tangent))
        self._bound_tangents()

    def hold(self, cuts: Iterable[Cut]) -> None:
        """See `Engine.hold`."""
        new = list(cuts)
        if not new:
            return
        for each in new:
            if each.key.kind == "vm_max":
                dropped = np.array(self._held.pop(each.key, []), dtype=np.int32)
                self.lp.bound_rows(dropped, np.full(len(dropped), -INFINITY), np.full(len(dropped), INFINITY))
        slot = np.array([each.key.step for each in new])
        slope = np.array([each.slope for each in new])
        bound = np.array([each.bound_percent for each in new]) - self._centred(slope, slot)
        excess = self.columns.excess[slot, [KINDS.index(each.key.kind) for each in new]]
        rows = self.lp.add_rows(
            np.full(len(new), -INFINITY),
            bound,
            np.hstack([excess[:, None], self._moving[slot]]),
            np.hstack([-np.ones((len(new), 1)), self._moved(slope)]),
        )
        for row, each in zip(rows.tolist(), new, strict=True):
            self._held.setdefault(each.key, []).append(row)
        self._let_shift(np.unique(slot[~self._shifts[slot]]))

    @property
    def held(self) -> list[Key]:
        """The limits that have a cut."""
        return list(self._held)

    def solve(self, time_limit_s: float | None = None) -> Solution | None:
        """See `Engine.solve`."""
        barred: list[Ints] = []
        deadline = Deadline(time_limit_s)
        finished = self.lp.run(deadline.left_s())
        for _ in range(AGAIN):
            if not finished:
                break
            values = self.lp.values()
            weaker = self._weaker_directions(values)
            if not self._add_sides(values) and not len(weaker):
                break
            barred.append(weaker)
            self.lp.bound_columns(weaker, np.zeros(len(weaker)), np.zeros(len(weaker)))
            finished = self.lp.run(deadline.left_s())
        solution = self._solution() if finished else None
        self._duals = self.lp.duals()
        for columns in barred:
            self.lp.bound_columns(columns, np.zeros(len(columns)), self._upper[columns])
        return solution

    def shadow_prices(self) -> ShadowPrices:
        """See `Engine.shadow_prices`; in the order of slots."""
        duals, dt = self._duals, self.task.params.fleet.dt_h
        slack = np.sum([duals[rows] for rows, _ in self._tangents], axis=0) / dt
        peak = -duals[self._peak] if self.task.prices.peak_eur_per_kw > 0 else np.zeros(self.task.steps)
        held = ((key, duals[rows].tolist()) for key, rows in self._held.items())
        return ShadowPrices(slack, -duals[self._balance], peak, priced_limits(held))

    # --- building -----------------------------------------------------------------------------------------------------

    def _costs(self) -> Floats:
        task, columns = self.task, self.columns
        dt = task.params.fleet.dt_h
        cost = np.zeros(columns.count)
        for moved in (columns.charge, columns.discharge):
            cost[moved] = dt * task.prices.wear_eur_per_kwh
        for shifted in (columns.up, columns.down):
            cost[shifted] = dt * SHIFT_EUR_PER_KVARH
        cost[columns.excess] = dt * EXCESS_EUR_PER_PERCENT_H
        cost[columns.imported[self.slots]] = dt * task.import_eur_per_kwh
        cost[columns.exported[self.slots]] = -dt * task.export_eur_per_kwh
        cost[columns.peak] = task.prices.peak_eur_per_kw
        cost[columns.missing] = task.stored.shortfall_eur_per_kwh
        cost[columns.gained] = -task.stored.surplus_eur_per_kwh
        return cost

    def _bound_columns(self) -> None:
        """Ranges of what is stored, moved and given at each step."""
        task, columns = self.task, self.columns
        lower = np.zeros(columns.count)
        lower[columns.stored[self.slots]], self._upper[columns.stored[self.slots]] = stored_range_kwh(task)
        for moved in (columns.charge, columns.discharge):
            self._upper[moved] = task.params.fleet.p_kw
        self._upper[columns.pv[self.slots]] = task.pv_available_kw
        ranged = np.concatenate([each.ravel() for each in (columns.stored, columns.charge, columns.discharge, columns.pv)])
        self.lp.bound_columns(ranged, lower[ranged], self._upper[ranged])

    def _bound_reactive(self) -> None:
        columns, centre = self.columns, self.centred_kvar
        if not columns.up.size:
            return
        shifts = (self._shifts & ~self._equal)[:, None]
        rating = self.task.params.fleet.s_kva
        self._upper[columns.up] = np.where(shifts, rating - centre, 0.0)
        self._upper[columns.down] = np.where(shifts, rating + centre, 0.0)
        shifted = np.concatenate([columns.up.ravel(), columns.down.ravel()])
        self.lp.bound_columns(shifted, np.zeros(len(shifted)), self._upper[shifted])

    def _add_balance(self) -> None:
        task, columns = self.task, self.columns
        fleet = task.params.fleet
        filled, taken = stored_coefficients(task)
        stored = columns.stored[self.slots]
        before = np.vstack([stored[:1], stored[:-1]])
        kept = np.full(stored.shape, -fleet.keep)
        kept[0] = 0.0
        start = np.zeros(stored.shape)
        start[0] = fleet.keep * task.soc * fleet.e_kwh
        entries = np.stack([stored, before, columns.charge[self.slots], columns.discharge[self.slots]], axis=-1)
        ones = np.ones(stored.shape)
        coefficients = np.stack([ones, kept, -filled * ones, taken * ones], axis=-1)
        rows = self.lp.add_rows(start.ravel(), start.ravel(), entries.reshape(-1, 4), coefficients.reshape(-1, 4))
        self._balance = rows.reshape(stored.shape)
        begun = np.array([-float(task.soc @ fleet.e_kwh)])
        ends = np.concatenate([[columns.gained, columns.missing], stored[-1]]).astype(np.int32)
        signs = np.concatenate([[1.0, -1.0], -np.ones(fleet.batteries)])
        self._end = self.lp.add_rows(begun, begun, ends[None], signs[None])

    def _add_peak(self) -> None:
        task, columns = self.task, self.columns
        if task.prices.peak_eur_per_kw <= 0:
            return
        peak = np.full(task.steps, columns.peak)
        lowest, reached = np.full(task.steps, -INFINITY), np.full(task.steps, task.reached_kw)
        coefficients = np.broadcast_to([1.0, -1.0], (task.steps, 2))
        self._peak = self.lp.add_rows(lowest, reached, np.stack([columns.imported, peak], axis=1), coefficients)

    def _add_opposites(self) -> None:
        """Pairs of columns that do opposite things. Where prices make both pay, their shares of their ranges add up to at
        most one: true of any schedule that does one thing at a time, and it keeps the programme from running both to their
        ends."""
        task, columns = self.task, self.columns
        imports, exports = task.import_eur_per_kwh, task.export_eur_per_kwh
        turned = imports < exports
        most_in, most_out = largest_exchange_kw(task)
        exchange = np.stack([columns.imported[self.slots][turned], columns.exported[self.slots][turned]], axis=1)
        self._upper[exchange] = np.stack([most_in[turned], most_out[turned]], axis=1)
        self.lp.bound_columns(exchange.ravel(), np.zeros(exchange.size), self._upper[exchange.ravel()])
        movable = task.params.fleet.p_kw > 0
        cycling = np.stack([columns.charge[:, movable].ravel(), columns.discharge[:, movable].ravel()], axis=1)
        self._opposite = np.vstack([exchange, cycling])
        burning_pays = bool((np.minimum(imports, exports) < burning_pays_below(task)).any())
        bounded = self._opposite if burning_pays else exchange
        self.lp.add_rows(np.full(len(bounded), -INFINITY), np.ones(len(bounded)), bounded, 1.0 / self._upper[bounded])

    # --- solving ------------------------------------------------------------------------------------------------------

    def _moved(self, slope: Floats) -> Floats:
        """Slopes by control (rows, controls) as slopes by the columns that move power (rows, moving)."""
        moved: Floats = slope[:, self._control] * self._sign
        return moved

    def _centred(self, slope: Floats, slot: NDArray[np.int64]) -> Floats:
        """(rows,) what the centre of reactive power contributes to rows with `slope` (rows, controls) at `slot` (rows,)."""
        devices = self.centred_kvar.shape[1]
        reactive = slope[:, devices:]
        contributed: Floats = np.einsum("rd,rd->r", reactive, self.centred_kvar[slot][:, : reactive.shape[1]])
        return contributed

    def _bound_tangents(self) -> None:
        """All tangents hold from below; where the price may be negative the newest alone, and exactly."""
        for number, (rows, tangent) in enumerate(self._tangents):
            newest = number == len(self._tangents) - 1
            level = tangent.level + self._centred(tangent.slope, np.arange(len(rows)))
            lower = np.where(self._equal & (not newest), -INFINITY, level)
            upper = np.where(self._equal & newest, level, INFINITY)
            self.lp.bound_rows(rows, lower, upper)

    def _unshifted(self, slope: Floats) -> Floats:
        """As `_moved` for the slope of every slot, without the columns that are held at 0: the programme stays lean."""
        moved = self._moved(slope)
        moved[:, self._active :] *= self._shifts[:, None]
        return moved

    def _let_shift(self, slots: NDArray[np.int64]) -> None:
        """Frees the reactive power of `slots`, and puts it into their tangents."""
        if not len(slots):
            return
        self._shifts[slots] = True
        self._bound_reactive()
        for rows, tangent in self._tangents:
            moved = self._moved(tangent.slope[slots])
            for slot, row in zip(slots.tolist(), moved, strict=True):
                self.lp.set_coefficients(int(rows[slot]), self._moving[slot, self._active :], -row[self._active :])

    def _weaker_directions(self, values: Floats) -> Ints:
        """Of each pair of opposite columns that are both in use, the one with less."""
        both = self._opposite[(values[self._opposite] > BOTH).all(axis=1)]
        weaker: Ints = np.where(values[both[:, 0]] >= values[both[:, 1]], both[:, 1], both[:, 0])
        return weaker

    def _add_sides(self, values: Floats) -> bool:
        """Adds the sides of inverters' polygons that the solution lies outside of; False where there are none."""
        columns, fleet = self.columns, self.task.params.fleet
        if not columns.up.size:
            return False
        batteries = fleet.batteries
        q = self.centred_kvar + values[columns.up] - values[columns.down]
        p = np.hstack([values[columns.charge] + values[columns.discharge], values[columns.pv]])
        reach = fleet.s_kva * REACH
        new = []
        for side, angle in enumerate(SIDES_RAD.tolist()):
            outside = np.cos(angle) * p + np.sin(angle) * np.abs(q) > reach + OUTSIDE * fleet.s_kva
            new += [(side, slot, d, 1 if q[slot, d] > 0 else -1) for slot, d in np.argwhere(outside).tolist()]
        new = [each for each in new if each not in self._sides]
        for side, slot, d, sign in new:
            cosine, sine = np.cos(SIDES_RAD[side]), np.sin(SIDES_RAD[side])
            power = [columns.charge[slot, d], columns.discharge[slot, d]] if d < batteries else [columns.pv[slot, d - batteries]]
            entries = np.array([[*power, columns.up[slot, d], columns.down[slot, d]]], dtype=np.int32)
            coefficients = np.array([[*[cosine] * len(power), sine * sign, -sine * sign]])
            bound = np.array([reach[d] - sine * sign * self.centred_kvar[slot, d]])
            row = self.lp.add_rows(np.array([-INFINITY]), bound, entries, coefficients)
            self._sides[side, slot, d, sign] = int(row[0])
        return bool(new)

    def _solution(self) -> Solution:
        values, columns, task = self.lp.values(), self.columns, self.task
        charge, discharge = values[columns.charge], values[columns.discharge]
        pv = np.clip(values[columns.pv], 0.0, self._upper[columns.pv])
        net = netted(charge, discharge, task.params.fleet.efficiency)
        q = self.centred_kvar.copy()
        if columns.up.size:
            q += values[columns.up] - values[columns.down]
        return Solution(np.hstack([net, pv]), q, values[columns.stored], self.lp.objective)
