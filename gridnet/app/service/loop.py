"""The decision loop: every quarter-hour a decision, then what the one before came to. A thread beside the server's.

What fails is tried again: a database that is away, a power flow without a solution. After a stall the present is decided first;
the intervals that went by had the default control, and are then settled one after the other.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import httpx
import numpy as np
from numpy.typing import NDArray

from gridnet.app.service.caught import Caught
from gridnet.app.service.decisions import Decider, Decision
from gridnet.app.service.leader import Leadership
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import Setpoint
from gridnet.app.service.service import Service
from gridnet.app.service.settling import Settler
from gridnet.app.service.store import moment
from gridnet.app.service.telemetry import QUARTER_S
from gridnet_policies.policy import Policy

Floats = NDArray[np.float64]
LOG = logging.getLogger("gridnet.service")
_TICK_S = 1.0
_RETRY_S = 5.0
_MOST_EXPECTED = 8
_FRESH_S = 1800


class Loop:
    """Keeps one live feeder going. `make_settler` opens the ledger; it may take a while, and is called in the loop's thread."""

    def __init__(
        self, service: Service, live: LiveFeeder, policies: Sequence[Policy], make_settler: Callable[[LiveFeeder], Settler]
    ) -> None:
        self._service, self._live = service, live
        self._policies, self._make_settler = policies, make_settler
        self._leadership = Leadership(service.store.database)
        self._decider: Decider | None = None
        self._settler: Settler | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._run, self._notify)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the step that it is in, or after 10 s."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10.0)
        self._leadership.release()

    def tick(self) -> None:
        """What is due now: the decision of the running quarter-hour, and the closing of those before it."""
        now_q = self._service.store.now_s() // QUARTER_S
        if not self._live.holds(now_q):
            self._live, self._decider, self._settler = LiveFeeder.at(self._live.case, moment(now_q * QUARTER_S)), None, None
        if self._decider is None:
            self._decider = Decider(self._live, self._policies, self._service.config.decision_limit_s)
        if self._settler is None:
            self._settler = self._make_settler(self._live)
        self._decide(now_q, self._decider, self._settler)
        for quarter in range(self._settler.settled + 1, now_q):
            if self._stopping.is_set():
                return
            self._settler.close(quarter)

    def _run(self) -> None:
        done = -1
        while not self._stopping.wait(_TICK_S if done >= 0 else 0.0):
            now_q = self._service.store.now_s() // QUARTER_S
            if now_q == done:
                continue
            with Caught() as caught:
                if not self._leadership.held():
                    self._settler = None
                    self._stopping.wait(_TICK_S)
                    continue
                self.tick()
                done = now_q
            if caught.words is not None:
                LOG.error("the decision loop waits: %s", caught.words)
                # What it remembers may be half of a step: it is rebuilt from what is stored.
                self._settler = None
                self._stopping.wait(_RETRY_S)

    def _notify(self) -> None:
        trusted = ssl.create_default_context(cafile=self._service.config.webhook_ca or None)
        with httpx.Client(verify=trusted) as client:
            while not self._stopping.wait(_TICK_S):
                with Caught() as caught:
                    if self._leadership.held():
                        self._service.webhooks.send_due(client)
                if caught.words is not None:
                    LOG.error("notifications wait: %s", caught.words)

    def _decide(self, now_q: int, decider: Decider, settler: Settler) -> None:
        start = moment(now_q * QUARTER_S)
        with self._service.store.read() as connection:
            if self._service.controls.setpoints_at(start, connection):
                return
        soc = self._soc(now_q, settler)
        decision = decider.decide(self._live.step_of(now_q), soc)
        planned = []
        for k, ahead in enumerate(decision.planned, 1):
            planned += self._setpoints(decision, ahead, now_q + k, planned=True)
        self._service.controls.decided(self._setpoints(decision, decision.setpoint, now_q, planned=False), planned)
        LOG.info("quarter-hour %s decided by %s %s", start.isoformat(), decision.source, decision.reasons[0])
        with Caught() as caught:
            self._picture(decision, soc, decider, settler)
        if caught.words is not None:
            LOG.error("quarter-hour %s is decided, and not pictured: %s", start.isoformat(), caught.words)

    def _picture(self, decision: Decision, soc: Floats, decider: Decider, settler: Settler) -> None:
        """Keeps what is expected of a quarter-hour that is decided: for people to look at, nothing else needs it."""
        frame, outlook = settler.world.expected(decision.step, soc, decision.setpoint), decider.outlook(decision.step)
        with self._service.store.write() as connection:
            self._service.frames.put(connection, frame, outlook)

    def _setpoints(self, decision: Decision, kw: Floats, quarter: int, *, planned: bool) -> list[Setpoint]:
        start = moment(quarter * QUARTER_S)
        end = start + timedelta(seconds=QUARTER_S)
        source = "rule" if planned else decision.source
        made = []
        for point in self._live.points:
            device = point.device or 0
            reason = "published ahead, from forecasts; decided anew when it begins" if planned else decision.reasons[device]
            made.append(Setpoint(point.name, start, end, float(kw[0, device]), float(kw[1, device]), source, reason))
        return made

    def _soc(self, now_q: int, settler: Settler) -> Floats:
        """(batteries,) charge now: where the homes stood last, taken through what was asked of them since; what a device told
        itself counts more."""
        state, step = settler.state(), self._live.step_of(now_q)
        soc, controls = state.soc, self._service.controls
        if 0 <= step - state.step <= _MOST_EXPECTED:
            with self._service.store.read() as connection:
                for quarter in range(now_q - (step - state.step), now_q):
                    decided = controls.setpoints_at(moment(quarter * QUARTER_S), connection)
                    soc = settler.world.expected_soc(self._live.step_of(quarter), soc, self._live.asked(decided))
        told = self._service.telemetry.told_soc(self._service.store.now_s() - _FRESH_S)
        for point in self._live.points:
            if point.name in told and point.device is not None and point.device < len(soc):
                soc[point.device] = told[point.name]
        return np.clip(soc, 0.0, 1.0)
