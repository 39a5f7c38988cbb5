"""The plan of the hours ahead, kept up to date: one programme in a `RollingEngine`, moved on and solved again every step.

What changes from step to step is little, and only that is done again:

1. the horizon rolls, the forecasts, prices and charge are put in;
2. the steps whose plan has moved since they were linearised, the nearest first, are linearised anew where the plan is now;
3. all tangents and limits are put to where the AC power flow of today's forecast has them, their slopes being those of their
   linearisation;
4. the programme is solved from its last basis, and again while the sensitivities see a limit broken that it does not know.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import PowerFlowDiverged
from gridnet.powerflow import Flow
from gridnet_policies.lp.margins import Key, broken_limits, cuts_of, margins, predicted
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

MOVED = 0.02
"""Share of a device's rating by which a plan has to move for a new linearisation."""

PASSES = 2
"""Times that limits are added and the programme solved again, at most."""


class Controller:
    """Plans the task it was made with; `advance` plans the one a step later. Arrays are in the order of slots."""

    def __init__(self, task: Task, time_limit_s: float | None) -> None:
        self.time_limit_s = time_limit_s
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
        self._turned: set[int] = set()
        for _ in range(GENERATIONS):
            self._engine.follow(tangent_at(around, controls))
        self._solve(task)
        for _ in range(FIRST_ROUNDS - 1):
            self._renew(task, self._moved_slots(np.arange(task.steps)))
            self._level(task)
            self._solve(task)

    @property
    def setpoint(self) -> Floats:
        """(2, devices) p kW and q kvar planned for the first step."""
        planned: Floats = self._controls[self._engine.slots[0]].reshape(2, -1)
        return planned

    def advance(self, task: Task) -> None:
        """Plans `task`, the one a step after the last. Raises `PowerFlowDiverged` where a step has no power flow at the plan."""
        self._engine.roll(task)
        self._carry_over(task)
        slots = self._engine.slots
        nearest = self._moved_slots(slots[:-1])[:RENEWED]
        self._renew(task, np.append(nearest, slots[-1]))
        self._level(task)
        self._solve(task)

    def _carry_over(self, task: Task) -> None:
        """The last plan under today's forecast: PV that was not curtailed gives what the sun gives; the new step is idle."""
        slots, batteries, devices = self._engine.slots, task.params.fleet.batteries, task.params.fleet.devices
        available = np.empty_like(self._available)
        available[slots] = task.pv_available_kw
        pv = self._controls[:, batteries:devices]
        curtailed = pv < self._available - 1e-9
        self._controls[:, batteries:devices] = np.where(curtailed, np.minimum(pv, available), available)
        self._controls[slots[-1], :batteries] = 0.0
        self._controls[slots[-1], batteries:devices] = available[slots[-1]]
        self._available = available

    def _moved_slots(self, slots: Ints) -> Ints:
        """Those of `slots` whose plan has moved from where they were linearised."""
        rating = np.tile(np.maximum(self._engine.task.params.fleet.s_kva, 1e-9), 2)
        there = self._points[self._engine.newest[slots], slots]
        moved: Ints = slots[(np.abs(self._controls[slots] - there) > MOVED * rating).any(axis=1)]
        return moved

    def _renew(self, task: Task, slots: Ints) -> None:
        """Linearises `slots` at the plan."""
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
        self._engine.replace_tangents(slots, around.d_slack_p)
        generation = self._engine.newest[slots]
        self._points[generation, slots], self._slopes[generation, slots] = controls, around.d_slack_p
        self._turned = set(slots.tolist())

    def _level(self, task: Task) -> None:
        """Puts tangents and held limits to where the AC power flow of the task's loads has them."""
        slots, everywhere = self._engine.slots, np.arange(task.steps)
        flow = self._flow(task)
        slack = np.empty((GENERATIONS, task.steps))
        slack[:, slots] = flow.slack_p_kw.reshape(GENERATIONS, -1)
        controls = self._slopes.shape[-1]
        self._engine.level_tangents(slack - np.einsum("gtc,gtc->gt", self._slopes, self._points[..., :controls]))
        newest = self._engine.newest[slots] * task.steps + everywhere
        vm, loading = np.empty_like(self._around.vm_pu), np.empty_like(self._around.loading_percent)
        vm[slots], loading[slots] = flow.vm_pu[newest], flow.branch_percent[newest]
        self._around = self._around._replace(vm_pu=vm, loading_percent=loading)
        points = self._points[self._engine.newest, everywhere][:, :controls]
        for key in self._engine.held:
            self._engine.hold_again(key, cuts_of(task.limits, self._around, points, key), key.step in self._turned)
        self._turned = set()

    def _flow(self, task: Task) -> Flow:
        """The AC power flow at the points of all tangents, generation by generation, in the order of time."""
        devices = task.params.fleet.devices
        p_load, q_load = task.injections(np.zeros((task.steps, devices)), np.zeros((task.steps, devices)))
        points = self._points[:, self._engine.slots]
        p_bus, q_bus = points[..., :devices] @ self._at_bus + p_load, points[..., devices:] @ self._at_bus + q_load
        flow = task.case.power_flow.solve(p_bus.reshape(-1, task.params.buses), q_bus.reshape(-1, task.params.buses))
        if not flow.converged.all():
            ahead = int(np.argmin(flow.converged)) % task.steps
            raise PowerFlowDiverged(f"the plan {ahead} steps ahead has no power flow: the network can't carry it", step=ahead)
        return flow

    def _solve(self, task: Task) -> None:
        """Solves, adding the limits that the sensitivities see broken. Keeps the last plan where the time did not suffice."""
        limits, everywhere = task.limits, np.arange(task.steps)
        points = self._points[self._engine.newest, everywhere][:, : self._slopes.shape[-1]]
        new = set(broken_limits(limits, margins(limits, self._around.vm_pu, self._around.loading_percent)))
        for _ in range(PASSES):
            fresh: list[Key] = sorted(new - set(self._engine.held))
            self._engine.hold(cut for key in fresh for cut in cuts_of(limits, self._around, points, key))
            solution = self._engine.solve(self.time_limit_s)
            if solution is None:
                return
            self._controls = solution.controls
            moved = self._controls[:, : points.shape[1]] - points
            new = set(broken_limits(limits, predicted(limits, self._around, moved)))
            if not new - set(self._engine.held):
                return
