"""The plan of the hours ahead, kept up to date: one programme in a `RollingEngine`, moved on and solved again every step.

What changes from step to step is little, and only that is done again:

1. the horizon rolls, the forecasts, prices and charge are put in;
2. the steps whose plan has moved since they were linearised, the nearest first, are linearised anew where the plan is now;
3. all tangents and limits are put to where the AC power flow of today's forecast has them, their slopes being those of their
   linearisation;
4. the programme is solved from its last basis, and again while the sensitivities see a limit broken that it does not know;
5. the first step, the one that will be done, is put through the AC power flow; while it breaks a limit, it is linearised
   where it is planned now and the programme solved again, at most four times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import PowerFlowDiverged
from gridnet.powerflow import Flow
from gridnet_policies.lp.deadline import Deadline
from gridnet_policies.lp.margins import (
    broken_limits,
    cut_at,
    cuts_of,
    margins,
    moved_cut,
    predicted,
    tolerances,
    turned_rad,
)
from gridnet_policies.lp.reactive import least_losses_kvar
from gridnet_policies.lp.rolling_engine import GENERATIONS, RollingEngine
from gridnet_policies.lp.rounds import operating_point, tangent_at
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_ROUNDS = 4
"""Times that the first programme is linearised and solved."""

RENEWED = 16
"""Steps linearised anew at most before a solution, but for the last step, which always is."""

UNMOVED = 1e-6
"""kW or kvar that a plan may differ from where it was linearised and still count as there."""

MOVED = 0.05
"""Share of a device's rating by which a plan has to move for a new linearisation."""

PASSES = 4
"""Times that limits are added and the programme solved again, at most."""

CORRECTIONS = 4
"""Times that a first step which breaks a limit is linearised anew and the programme solved again, at most."""


class Controller:
    """Plans the task it was made with; `advance` plans the one a step later. Arrays are in the order of slots."""

    def __init__(self, task: Task, time_limit_s: float | None) -> None:
        self.time_limit_s, self._deadline = time_limit_s, Deadline(time_limit_s)
        fleet, params = task.params.fleet, task.params
        self._engine = RollingEngine(task)
        self._at_bus = np.zeros((fleet.devices, params.buses))
        self._at_bus[np.arange(fleet.devices), params.device_bus] = 1.0
        controls = np.hstack([task.idle_p_kw, np.zeros_like(task.idle_p_kw)])
        around = operating_point(task, controls)
        if task.reactive:
            controls[:, fleet.devices :] = least_losses_kvar(task, around, controls[:, fleet.devices :])
            self._engine.centre(controls[:, fleet.devices :].copy())
            around = operating_point(task, controls)
        self._available = task.pv_available_kw
        self._points = np.repeat(controls[None], GENERATIONS, axis=0)
        self._around, self._slopes = around, np.repeat(around.d_slack_p[None], GENERATIONS, axis=0)
        self._controls = controls
        for _ in range(GENERATIONS):
            self._engine.follow(tangent_at(around, controls))
        self._solve(task)
        for _ in range(FIRST_ROUNDS - 1):
            self._renew(task, self._moved_slots(np.arange(task.steps)))
            self._level(task)
            self._solve(task)
        self._correct(task)

    @property
    def setpoint(self) -> Floats:
        """(2, devices) p kW and q kvar planned for the first step."""
        planned: Floats = self._controls[self._engine.slots[0]].reshape(2, -1)
        return planned

    def advance(self, task: Task) -> None:
        """Plans `task`, the one a step after the last. Raises `PowerFlowDiverged` where a step has no power flow at the plan."""
        self._deadline = Deadline(self.time_limit_s)
        self._engine.roll(task)
        self._carry_over(task)
        slots = self._engine.slots
        self._renew(task, self._moved_slots(slots[:-1])[:RENEWED])
        # What the slot knew of the hour that is over says nothing of the one that comes into sight.
        self._renew(task, slots[-1:], GENERATIONS)
        self._level(task)
        self._solve(task)
        self._correct(task)

    def _correct(self, task: Task) -> None:
        """Until the first step keeps its limits under the AC power flow, or what breaks them is not a matter of slopes."""
        first = self._engine.slots[:1]
        for _ in range(CORRECTIONS):
            here = self._controls[first]
            around = operating_point(task.of_steps(np.zeros(1, dtype=np.int64)), here)
            beyond = margins(task.limits, around.vm_pu, around.loading_percent)
            settled = np.abs(here - self._points[self._engine.newest[first], first]).max(initial=0.0) < UNMOVED
            if settled or (beyond <= tolerances(task.limits)).all():
                return
            self._renew(task, first)
            self._level(task)
            if not self._solve(task):
                return

    def _carry_over(self, task: Task) -> None:
        """The last plan under today's forecast: PV that was not curtailed gives what the sun gives; in the new step batteries rest
        and reactive power is where losses are least."""
        slots, batteries, devices = self._engine.slots, task.params.fleet.batteries, task.params.fleet.devices
        available = np.empty_like(self._available)
        available[slots] = task.pv_available_kw
        pv = self._controls[:, batteries:devices]
        curtailed = pv < self._available - 1e-9
        self._controls[:, batteries:devices] = np.where(curtailed, np.minimum(pv, available), available)
        self._controls[slots[-1], :batteries] = 0.0
        self._controls[slots[-1], batteries:devices] = available[slots[-1]]
        self._controls[slots[-1], devices:] = 0.0
        if task.reactive:
            last, here = task.of_steps(np.array([task.steps - 1])), self._controls[slots[-1:]]
            self._controls[slots[-1], devices:] = least_losses_kvar(last, operating_point(last, here), here[:, devices:])[0]
        self._available = available

    def _moved_slots(self, slots: Ints) -> Ints:
        """Those of `slots` whose plan has moved from where they were linearised."""
        rating = np.tile(np.maximum(self._engine.task.params.fleet.s_kva, 1e-9), 2)
        there = self._points[self._engine.newest[slots], slots]
        moved: Ints = slots[(np.abs(self._controls[slots] - there) > MOVED * rating).any(axis=1)]
        return moved

    def _renew(self, task: Task, slots: Ints, generations: int = 1) -> None:
        """Linearises `slots` at the plan, in the place of their oldest `generations`."""
        if not len(slots):
            return
        devices = task.params.fleet.devices
        time = np.argsort(self._engine.slots)[slots]
        some = task.of_steps(time)
        controls = self._controls[slots]
        around = operating_point(some, controls)
        if task.reactive:
            centre = self._engine.centred_kvar.copy()
            centre[slots] = least_losses_kvar(some, around, controls[:, devices:])
            self._engine.recentre(centre)
        for whole, part in zip(self._around, around, strict=True):
            whole[slots] = part
        for _ in range(generations):
            self._engine.replace_tangents(slots, around.d_slack_p)
            generation = self._engine.newest[slots]
            self._points[generation, slots], self._slopes[generation, slots] = controls, around.d_slack_p
        renewed, points = set(slots.tolist()), self._newest_points()
        for key, cuts in self._engine.kept.items():
            if key.step in renewed:
                for number, each in enumerate(cuts):
                    self._engine.replace_cut(cut_at(task.limits, self._around, points, key, each.turn_rad), number)

    def _newest_points(self) -> Floats:
        """(slots, controls) where the slots were linearised last."""
        newest = (self._engine.newest, np.arange(len(self._engine.newest)))
        points: Floats = self._points[newest][:, : self._slopes.shape[-1]]
        return points

    def _level(self, task: Task) -> None:
        """Puts tangents and held limits to where the AC power flow of the task's loads has them."""
        engine, everywhere = self._engine, np.arange(task.steps)
        flow, controls = self._flow(task), self._slopes.shape[-1]
        by_slot = np.argsort(engine.slots)
        shape = (GENERATIONS, task.steps, -1)
        slack = flow.slack_p_kw.reshape(GENERATIONS, -1)[:, by_slot]
        vm, loading = flow.vm_pu.reshape(shape)[:, by_slot], flow.branch_percent.reshape(shape)[:, by_slot]
        newest = (engine.newest, everywhere)
        self._around = self._around._replace(vm_pu=vm[newest], loading_percent=loading[newest])
        engine.level_tangents(slack - np.einsum("gtc,gtc->gt", self._slopes, self._points[..., :controls]))
        points = self._newest_points()
        for key, cuts in engine.kept.items():
            seen = self._around.loading_percent if key.kind == "loading" else self._around.vm_pu
            there = float(seen[key.step, key.column])
            cuts[:] = [moved_cut(task.limits, each, there, points[key.step]) for each in cuts]
        engine.bound_cuts(engine.kept)

    def _flow(self, task: Task) -> Flow:
        """The AC power flow at the points of all tangents, generation by generation, in the order of time; NaN where an old
        point has none under today's forecast."""
        devices = task.params.fleet.devices
        p_load, q_load = task.injections(np.zeros((task.steps, devices)), np.zeros((task.steps, devices)))
        points = self._points[:, self._engine.slots]
        p_bus, q_bus = points[..., :devices] @ self._at_bus + p_load, points[..., devices:] @ self._at_bus + q_load
        flow = task.case.power_flow.solve(p_bus.reshape(-1, task.params.buses), q_bus.reshape(-1, task.params.buses))
        slots = self._engine.slots
        solved = flow.converged.reshape(GENERATIONS, -1)[self._engine.newest[slots], np.arange(task.steps)]
        if not solved.all():
            ahead = int(np.argmin(solved))
            raise PowerFlowDiverged(f"the plan {ahead} steps ahead has no power flow: the network can't carry it", step=ahead)
        return flow

    def _solve(self, task: Task) -> bool:
        """Solves, adding the limits that the sensitivities see broken. Where the time did not suffice the last plan stays, and
        the answer is False."""
        limits, around, points, engine = task.limits, self._around, self._newest_points(), self._engine
        new = set(broken_limits(limits, margins(limits, around.vm_pu, around.loading_percent))) - set(engine.held)
        engine.hold(each for key in sorted(new) for each in cuts_of(limits, around, points, key))
        for number in range(1, PASSES + 1):
            solution = engine.solve(self._deadline.left_s())
            if solution is None:
                return False
            self._controls = solution.controls
            moved = self._controls[:, : points.shape[1]] - points
            broken = set(broken_limits(limits, predicted(limits, around, moved)))
            new = {key for key in broken if key.kind == "loading" or key not in engine.kept}
            if not new or number == PASSES:
                break
            engine.hold([cut_at(limits, around, points, key, turned_rad(around, moved, key)) for key in sorted(new)])
        return True
