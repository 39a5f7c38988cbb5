"""What the devices of the live feeder shall do: a policy's setpoints behind the AC safety check, and what to ask where it fails.

Policies are asked in turn: one that raises, is late or answers with what is no setpoint is passed over, and the reason kept with
every setpoint. Where all fail the default control stays. A policy that hangs is left alone until it answers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, Queue

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.service.caught import Caught
from gridnet.app.service.frames import OUTLOOK_STEPS, Outlook
from gridnet.app.service.live import LiveFeeder
from gridnet.forecast.forecaster import Forecaster, make_forecaster
from gridnet.simulate import State
from gridnet_envs.shield import protect
from gridnet_policies.policy import Policy
from gridnet_policies.rule import Rule

Floats = NDArray[np.float64]
PLANNED_STEPS = 4
"""Published ahead: an hour for a device that loses the link."""
DEFAULT = "default"
_CUT_KW = 1e-3


@dataclass(frozen=True)
class Decision:
    """Setpoints (2, devices) of one step, p kW and q kvar; of PV p is a ceiling."""

    step: int
    setpoint: Floats
    source: str
    reasons: tuple[str, ...]
    """(devices,)"""
    planned: tuple[Floats, ...]
    """Of the steps after it, as far as forecasts tell."""


class Decider:
    """Asks policies, in the order given. `limit_s`: how long each may think."""

    def __init__(self, live: LiveFeeder, policies: Sequence[Policy], limit_s: float) -> None:
        self._live = live
        self._limit_s = limit_s
        self._askers = [_Asker(policy, live) for policy in policies]
        self._forecaster: Forecaster = make_forecaster(live.case)

    def decide(self, step: int, soc: Floats) -> Decision:
        """The setpoints of `step` with batteries at `soc` (batteries,). Never raises for what a policy does."""
        failures: list[str] = []
        for asker in self._askers:
            try:
                asked = self._checked(asker.ask(step, soc, self._limit_s))
            except _Failed as error:
                failures.append(f"{asker.name} {error}")
                continue
            return self._decision(step, soc, asked, asker.name, "; ".join(failures))
        words = "; ".join((*failures, "nobody is left to ask"))
        return self._decision(step, soc, self._live.default_kw(), DEFAULT, words)

    def outlook(self, step: int) -> Outlook:
        """What is known of the day ahead at the start of `step`."""
        totals, prices = self._forecaster.bands(step, OUTLOOK_STEPS), self._live.prices
        known = slice(step, step + min(self._live.known_steps(step), OUTLOOK_STEPS))
        return Outlook(
            levels=totals.levels,
            load_kw=tuple(tuple(row) for row in totals.load_p_kw.tolist()),
            pv_kw=tuple(tuple(row) for row in totals.pv_p_kw.tolist()),
            import_eur_per_kwh=tuple(prices.import_eur_per_kwh[known].tolist()),
            export_eur_per_kwh=tuple(prices.export_eur_per_kwh[known].tolist()),
            carbon_g_per_kwh=tuple(self._live.case.series.carbon_g_per_kwh[known].tolist()),
        )

    def _checked(self, asked: Floats) -> Floats:
        devices = self._live.case.fleet.devices
        if not isinstance(asked, np.ndarray) or asked.shape != (2, devices) or asked.dtype.kind not in "fiu":
            raise _Failed("answered with what is no setpoint")
        asked = asked.astype(np.float64)
        if np.isnan(asked).any() or np.isneginf(asked).any() or np.isinf(asked[1]).any():
            raise _Failed("answered with what is no number")
        return asked

    def _decision(self, step: int, soc: Floats, asked: Floats, source: str, failures: str) -> Decision:
        case = self._live.case
        batteries = case.fleet.batteries
        safe = protect(State(np.array([step]), soc[None]), asked[None], case.params, self._live.limits)[0]
        issued = safe.copy()
        # A plant that gives all of its sun shall not be held to what the sun is expected to give.
        sun = np.minimum(case.params.pv_p_kw[step], case.fleet.s_kva[batteries:])
        free = (safe[0, batteries:] >= sun - 1e-9) & np.isinf(asked[0, batteries:])
        issued[0, batteries:][free] = case.fleet.s_kva[batteries:][free]
        wanted = np.minimum(asked[0], case.fleet.s_kva)
        cut = np.abs(issued[0] - wanted) > _CUT_KW
        reasons = tuple(
            "; ".join(each for each in (failures, _cut_words(wanted[device], issued[0, device]) if cut[device] else "") if each)
            for device in range(case.fleet.devices)
        )
        return Decision(step, issued, source, reasons, self._planned(step, soc, safe))

    def _planned(self, step: int, soc: Floats, safe: Floats) -> tuple[Floats, ...]:
        """What self-consumption asks for in the steps to come, on forecasts, behind the same check."""
        params, steps = self._live.case.params, PLANNED_STEPS + 1
        ahead = self._forecaster.ahead(step, steps)
        expected = params._replace(load_p_kw=ahead.load_p_kw, load_q_kvar=ahead.load_q_kvar, pv_p_kw=ahead.pv_p_kw)
        rule, planned = Rule(), []
        rule.prepare(self._live.case, step, steps)
        state, asked = State(np.array([0]), soc[None]), safe
        for k in range(1, steps):
            state, _ = simulate.step(state, asked[None], expected)
            asked = rule.decide_within(step + k, state.soc[0], expected, k)
            asked = protect(state, asked[None], expected, self._live.limits)[0]
            planned.append(asked)
        return tuple(planned)


class _Failed(Exception):
    """A policy that gave no setpoint; the words say how."""


class _Asker:
    """One policy and its thread. A thread that is not back is not asked again until it is."""

    def __init__(self, policy: Policy, live: LiveFeeder) -> None:
        self.name = policy.name
        self._policy, self._live = policy, live
        self._answers: Queue[Floats | str] = Queue()
        self._thread: threading.Thread | None = None
        self._next = -1

    def ask(self, step: int, soc: Floats, limit_s: float) -> Floats:
        if self._thread is not None and self._thread.is_alive():
            raise _Failed("is still thinking about an earlier step")
        self._answers = Queue()
        self._thread = threading.Thread(target=self._think, args=(step, soc.copy(), self._answers), daemon=True)
        self._thread.start()
        try:
            answer = self._answers.get(timeout=limit_s)
        except Empty:
            self._next = -1
            raise _Failed(f"took more than {limit_s:g} s") from None
        if isinstance(answer, str):
            self._next = -1
            raise _Failed(answer)
        self._next = step + 1
        return answer

    def _think(self, step: int, soc: Floats, answers: Queue[Floats | str]) -> None:
        with Caught() as caught:
            if step != self._next:
                self._policy.prepare(self._live.case, step, self._live.case.clock.steps - step)
            answers.put(self._policy.decide(step, soc))
        if caught.words is not None:
            answers.put(f"failed: {caught.words}")


def _cut_words(wanted_kw: float, given_kw: float) -> str:
    return f"{wanted_kw:.2f} kW was asked; the device and the network allow {given_kw:.2f} kW"
