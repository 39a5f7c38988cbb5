"""The fast engine on a horizon that rolls: made once, then moved on a step at a time by changing numbers in place.

The slots form a ring. When the horizon rolls, the slot of the step that is over becomes the slot of the step that comes into
sight; no row or column moves, so the basis of the last solution fits the next programme as it is. Every slot keeps its last
`GENERATIONS` tangents, and every limit that it has ever held up to `DIRECTIONS` cuts: the programme grows by rows for limits that
were not held before, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gridnet_policies.lp.engine import Tangent
from gridnet_policies.lp.highs import INFINITY
from gridnet_policies.lp.highs_engine import HighsEngine
from gridnet_policies.lp.margins import Cut, Key
from gridnet_policies.lp.ranges import largest_exchange_kw
from gridnet_policies.lp.reactive import REACH, SIDES_RAD
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GENERATIONS = 3
"""Tangents of the slack power that a slot keeps."""

DIRECTIONS = 4
"""Cuts of a limit that a slot keeps."""


class RollingEngine(HighsEngine):
    """A `HighsEngine` whose task is replaced by the one a step later. A key's step is a slot."""

    def __init__(self, task: Task) -> None:
        self._kept: dict[Key, list[Cut]] = {}
        self._turns: dict[Key, int] = {}
        super().__init__(task)
        self.newest = np.full(task.steps, GENERATIONS - 1)
        """(slots,) which generation is the newest."""

    def follow(self, tangent: Tangent) -> None:
        """See `Engine.follow`; called `GENERATIONS` times, before the first solution."""
        super().follow(Tangent(tangent.level, tangent.slope.copy()))

    def roll(self, task: Task) -> None:
        """Moves on to `task`, whose first step is the second of the task before."""
        before = self.slots
        self.task, self.slots = task, np.roll(before, -1)
        first, last = self.slots[0], self.slots[-1]
        fleet, stored = task.params.fleet, self.columns.stored
        for b in range(fleet.batteries) if task.steps > 1 else ():
            self.lp.set_coefficients(int(self._balance[first, b]), stored[last, b : b + 1], np.zeros(1))
            self.lp.set_coefficients(int(self._balance[last, b]), stored[before[-1], b : b + 1], np.array([-fleet.keep]))
        self.lp.set_coefficients(int(self._end[0]), stored[before[-1]], np.zeros(fleet.batteries))
        self.lp.set_coefficients(int(self._end[0]), stored[last], -np.ones(fleet.batteries))
        kept = np.zeros(stored.shape)
        kept[first] = fleet.keep * task.soc * fleet.e_kwh
        self.lp.bound_rows(self._balance.ravel(), kept.ravel(), kept.ravel())
        begun = np.array([-float(task.soc @ fleet.e_kwh)])
        self.lp.bound_rows(self._end, begun, begun)
        if task.prices.peak_eur_per_kw > 0:
            self.lp.bound_rows(self._peak, np.full(task.steps, -INFINITY), np.full(task.steps, task.reached_kw))
        self.lp.price_columns(np.arange(self.columns.count, dtype=np.int32), self._costs())
        self._bound_columns()
        self._bar_opposites()
        self._equal[self.slots] = np.minimum(task.import_eur_per_kwh, task.export_eur_per_kwh) < 0
        self._bound_reactive()

    def replace_tangents(self, slots: Ints, slope: Floats) -> None:
        """Puts new slopes (slots, controls) in the place of the oldest tangents of `slots`; levels are set by `level_tangents`."""
        self.newest[slots] = (self.newest[slots] + 1) % GENERATIONS
        moved = self._moved(slope)
        for slot, row_slope, row_moved in zip(slots.tolist(), slope, moved, strict=True):
            rows, tangent = self._tangents[self.newest[slot]]
            tangent.slope[slot] = row_slope
            entries = self._moving.shape[1] if self._shifts[slot] else self._active
            self.lp.set_coefficients(int(rows[slot]), self._moving[slot, :entries], -row_moved[:entries])

    def level_tangents(self, level: Floats) -> None:
        """Sets the levels (generations, slots) of all tangents, kW of slack power with every control at 0; NaN lets one go."""
        everywhere = np.arange(self.task.steps)
        for generation, (rows, tangent) in enumerate(self._tangents):
            bound = np.nan_to_num(level[generation], nan=-INFINITY) + self._centred(tangent.slope, everywhere)
            newest = self.newest == generation
            self.lp.bound_rows(
                rows, np.where(self._equal & ~newest, -INFINITY, bound), np.where(self._equal & newest, bound, INFINITY)
            )

    def recentre(self, q_kvar: Floats) -> None:
        """Sets the centre of reactive power (slots, devices) of a programme in use; levels and cuts must be set after it."""
        self.centred_kvar = q_kvar
        self._bound_reactive()
        reach = self.task.params.fleet.s_kva * REACH
        for (side, slot, d, sign), row in self._sides.items():
            bound = np.array([reach[d] - np.sin(SIDES_RAD[side]) * sign * q_kvar[slot, d]])
            self.lp.bound_rows(np.array([row], dtype=np.int32), np.array([-INFINITY]), bound)

    @property
    def kept(self) -> dict[Key, list[Cut]]:
        """The cuts of each limit that is held."""
        return self._kept

    def hold(self, cuts: Iterable[Cut]) -> None:
        """See `Engine.hold`. A limit keeps at most `DIRECTIONS` cuts, the first one always."""
        fresh = []
        for each in cuts:
            kept = self._kept.setdefault(each.key, [])
            if kept and each.key.kind != "loading":
                self.replace_cut(each, 0)
            elif len(kept) < DIRECTIONS:
                kept.append(each)
                fresh.append(each)
            else:
                turn = self._turns.get(each.key, 0)
                self._turns[each.key] = (turn + 1) % (DIRECTIONS - 1)
                self.replace_cut(each, 1 + turn)
        super().hold(fresh)

    def replace_cut(self, cut: Cut, number: int) -> None:
        """Puts `cut` in the place of the limit's cut of that number."""
        row = self._held[cut.key][number]
        self.lp.set_coefficients(row, self._moving[cut.key.step], self._moved(cut.slope[None])[0])
        self._kept[cut.key][number] = cut
        self.bound_cuts([cut.key])

    def bound_cuts(self, keys: Iterable[Key]) -> None:
        """Puts the cuts of limits that are held to the bounds that they have in `kept`."""
        chosen = list(keys)
        cuts = [each for key in chosen for each in self._kept[key]]
        if cuts:
            rows = np.array([row for key in chosen for row in self._held[key]], dtype=np.int32)
            offset = self._centred(np.array([each.slope for each in cuts]), np.array([each.key.step for each in cuts]))
            bound = np.array([each.bound_percent for each in cuts]) - offset
            self.lp.bound_rows(rows, np.full(len(rows), -INFINITY), bound)

    def _add_opposites(self) -> None:
        """Rows for all pairs of import and export, for prices may turn; they bind while theirs are turned. Charging and
        discharging at once is left to being barred."""
        columns, movable = self.columns, self.task.params.fleet.p_kw > 0
        self._cycling = np.stack([columns.charge[:, movable].ravel(), columns.discharge[:, movable].ravel()], axis=1)
        self._exchange = np.stack([columns.imported, columns.exported], axis=1)
        self._most = np.zeros(2)
        free = np.full(len(self._exchange), INFINITY)
        self._one_way = self.lp.add_rows(-free, free, self._exchange, np.ones(self._exchange.shape))
        self._bar_opposites()

    def _bar_opposites(self) -> None:
        task = self.task
        turned = np.zeros(task.steps, dtype=np.bool_)
        turned[self.slots] = task.import_eur_per_kwh < task.export_eur_per_kwh
        needed = np.array([float(each.max()) for each in largest_exchange_kw(task)])
        if (needed > self._most).any():
            self._most = 2.0 * needed
            for row, pair in zip(self._one_way.tolist(), self._exchange, strict=True):
                self.lp.set_coefficients(row, pair, 1.0 / self._most)
        upper = np.where(turned[:, None], self._most, INFINITY)
        self._upper[self._exchange] = upper
        self.lp.bound_columns(self._exchange.ravel(), np.zeros(upper.size), upper.ravel())
        self.lp.bound_rows(self._one_way, np.full(task.steps, -INFINITY), np.where(turned, 1.0, INFINITY))
        self._opposite = np.vstack([self._exchange[turned], self._cycling])
