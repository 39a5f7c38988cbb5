"""What keeps one live feeder going: every quarter-hour a decision, then what the one before came to.

The present is decided first, whatever else waits: a process that takes a feeder over decides from the stored charge and setpoints
before it recalls what verification needs, and one that has a stall behind it before it settles the past. The intervals that went by
had the plan, then the default control; they are settled one after the other, and left for the next decision when that is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gridnet.app.service.caught import Caught
from gridnet.app.service.decisions import Decider, Decision
from gridnet.app.service.fencing import named
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import Setpoint
from gridnet.app.service.names import MAIN
from gridnet.app.service.service import Service
from gridnet.app.service.settling import Settler
from gridnet.app.service.store import moment
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.app.service.turns import Turns
from gridnet_policies.policy import Policy

Floats = NDArray[np.float64]
LOG = logging.getLogger("gridnet.service")
_MOST_EXPECTED = 8
_FRESH_S = 1800


@dataclass(frozen=True)
class Makings:
    """How the parts of a feeder are made, when a process begins to keep it going."""

    live: Callable[[datetime], LiveFeeder]
    """The feeder with its series over a time."""
    policies: Callable[[], Sequence[Policy]]
    """Who is asked, one after the other. Policies remember: each feeder has its own."""
    settler: Callable[[LiveFeeder], Settler]
    turns: Turns = field(default_factory=Turns)
    """At closing quarter-hours, among the feeders of this process."""


class Keeper:
    """One feeder. It remembers next to nothing until `tick` is called, and after `drop`."""

    def __init__(self, service: Service, makings: Makings, name: str = MAIN) -> None:
        self.name = name
        self._service, self._makings = service, makings
        self._live: LiveFeeder | None = None
        self._decider: Decider | None = None
        self.settler: Settler | None = None

    def drop(self) -> None:
        """Forgets all: another process keeps the feeder, or what is remembered may be half of a step."""
        self._live, self._decider, self.settler = None, None, None

    def tick(self, goes_on: Callable[[], bool] = lambda: True) -> bool:
        """What is due now: the decision of the running quarter-hour, and the closing of those before it, as long as `goes_on` says
        so and no other quarter-hour begins. Whether nothing is left to do in this one."""
        now_q = self._now_q()
        live, decider, settler = self._parts(now_q)
        self._decide(now_q, live, decider, settler)

        def in_time() -> bool:
            return goes_on() and self._now_q() == now_q

        with self._makings.turns.taken():
            if not settler.recall(in_time):
                return False
            for quarter in range(settler.settled + 1, now_q):
                if not in_time():
                    return False
                settler.close(quarter)
        return True

    def _now_q(self) -> int:
        return self._service.store.now_s() // QUARTER_S

    def _parts(self, now_q: int) -> tuple[LiveFeeder, Decider, Settler]:
        live = self._live
        if live is None or not live.holds(now_q):
            self.drop()
            live = self._live = self._makings.live(moment(now_q * QUARTER_S))
        if self._decider is None:
            self._decider = Decider(live, self._makings.policies(), self._service.config.decision_limit_s)
        if self.settler is None:
            self.settler = self._makings.settler(live)
        return live, self._decider, self.settler

    def _decide(self, now_q: int, live: LiveFeeder, decider: Decider, settler: Settler) -> None:
        start = moment(now_q * QUARTER_S)
        with self._service.store.read() as connection:
            if self._service.controls.setpoints_at(start, connection, live.meters):
                return
        soc = self._soc(now_q, live, settler)
        decision = decider.decide(live.step_of(now_q), soc)
        planned = []
        for k, ahead in enumerate(decision.planned, 1):
            planned += _setpoints(live, decision, ahead, now_q + k)
        self._service.controls.decided(_setpoints(live, decision, decision.setpoint, now_q), planned, self.name)
        LOG.info("%s: quarter-hour %s decided by %s %s", named(self.name), start.isoformat(), decision.source, decision.reasons[0])
        if self.name != MAIN:
            return
        with Caught() as caught:
            self._picture(decision, soc, decider, settler)
        if caught.words is not None:
            LOG.error("quarter-hour %s is decided, and not pictured: %s", start.isoformat(), caught.words)

    def _picture(self, decision: Decision, soc: Floats, decider: Decider, settler: Settler) -> None:
        """Keeps what is expected of a quarter-hour that is decided: for people to look at, nothing else needs it."""
        frame, outlook = settler.world.expected(decision.step, soc, decision.setpoint), decider.outlook(decision.step)
        with self._service.store.write(self.name) as connection:
            self._service.frames.put(connection, frame, outlook)

    def _soc(self, now_q: int, live: LiveFeeder, settler: Settler) -> Floats:
        """(batteries,) charge now: where the homes stood last, taken through what was asked of them since; what a device told
        itself counts more."""
        state, step = settler.state(), live.step_of(now_q)
        soc, controls = state.soc, self._service.controls
        if 0 <= step - state.step <= _MOST_EXPECTED:
            with self._service.store.read() as connection:
                for quarter in range(now_q - (step - state.step), now_q):
                    decided = controls.setpoints_at(moment(quarter * QUARTER_S), connection, live.meters)
                    soc = settler.world.expected_soc(live.step_of(quarter), soc, live.asked(decided))
        told = self._service.telemetry.told_soc(self._service.store.now_s() - _FRESH_S)
        for point in live.points:
            said = told.get(live.meter(point.name))
            if said is not None and point.device is not None and point.device < len(soc):
                soc[point.device] = said
        return np.clip(soc, 0.0, 1.0)


def _setpoints(live: LiveFeeder, decision: Decision, kw: Floats, quarter: int) -> list[Setpoint]:
    """What a decision has each meter's device do in a quarter-hour: its own, or one that it plans ahead."""
    start, planned = moment(quarter * QUARTER_S), live.step_of(quarter) != decision.step
    end = start + timedelta(seconds=QUARTER_S)
    source = "rule" if planned else decision.source
    made = []
    for point in live.points:
        device = point.device or 0
        reason = "published ahead, from forecasts; decided anew when it begins" if planned else decision.reasons[device]
        made.append(Setpoint(live.meter(point.name), start, end, float(kw[0, device]), float(kw[1, device]), source, reason))
    return made
