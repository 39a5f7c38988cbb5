"""The device's link to the service: follows its setpoints into the registers, acknowledges, reports. Physics never waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gridnet.app.api.schemas import DeviceBody, MeasurementBody, SetpointOut
from gridnet.app.client.client import Client
from gridnet.app.client.connection import Patience
from gridnet.app.client.errors import ClientError, Refused
from gridnet.app.client.follow import Follower
from gridnet.app.device.acknowledging import Acknowledger, Due
from gridnet.app.device.inverter import Inverter
from gridnet.app.service.model import AckStatus

_TICK_S = 0.2
_ROUND_S = 1.0
_PATIENCE = Patience(timeout_s=5.0, attempts=1, first_wait_s=_ROUND_S, longest_wait_s=5.0)
_MOST_DUE = 1000
_MOST_READINGS = 100
_ENDS: dict[str, AckStatus] = {"cancelled": "cancelled", "superseded": "superseded", "completed": "completed"}


@dataclass(frozen=True)
class Pace:
    """How often it reports, and looks for what was published ahead."""

    report_s: float = 60.0
    look_s: int = 30


class Agent:
    """Runs one inverter for one registered device. `say` is for a person."""

    def __init__(
        self, client: Client, device: str, inverter: Inverter, say: Callable[[str], None], pace: Pace | None = None
    ) -> None:
        self._client, self._device, self._inverter, self._say = client.patient(_PATIENCE), device, inverter, say
        self._pace = pace or Pace()
        self._due: deque[Due] = deque(maxlen=_MOST_DUE)
        self._last: tuple[object, ...] = ()
        self._said = ""
        self._registered = False

    def run(self, stopping: threading.Event, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Works until it is told to stop."""
        acknowledger = Acknowledger()
        reporting = threading.Thread(target=self._report_on, args=(stopping, clock), name="report", daemon=True)
        with Follower(self._client, self._device, clock, self._pace.look_s) as follower:
            reporting.start()
            while not stopping.wait(_TICK_S):
                now = clock()
                self._inverter.advance(now)
                self._apply(follower.setpoint(now, self._inverter.done.soc))
                self._due.extend(acknowledger.see(follower.known, now))
        reporting.join(_PATIENCE.timeout_s)

    def _apply(self, setpoint: SetpointOut) -> None:
        asked = (setpoint.p_kw, setpoint.q_kvar, setpoint.connect)
        self._inverter.registers.ask(setpoint.p_kw, setpoint.q_kvar, connect=setpoint.connect)
        if (setpoint.id, *asked) != self._last:
            self._last = (setpoint.id, *asked)
            words = f"{setpoint.p_kw:+.2f} kW {setpoint.q_kvar:+.2f} kvar until {setpoint.valid_until.isoformat()}"
            self._say(f"{words} ({setpoint.source}: {setpoint.reason})")

    def _report_on(self, stopping: threading.Event, clock: Callable[[], datetime]) -> None:
        reported: datetime | None = None
        failures = 0
        while not stopping.wait(_PATIENCE.wait_s(min(failures, 10), None)):
            now = clock()
            try:
                if not self._registered:
                    self._register()
                self._acknowledge()
                if reported is None or (now - reported).total_seconds() >= self._pace.report_s:
                    self._report(now)
                    reported = now
                failures = 0
            except ClientError as error:
                failures += 1
                self._say_once(str(error))

    def _register(self) -> None:
        plate = self._inverter.plate
        try:
            self._client.device(self._device)
        except Refused as error:
            if error.status != 404:
                raise
            self._client.register(
                DeviceBody(
                    id=self._device,
                    discharge_kw=plate.p_kw,
                    charge_kw=plate.p_kw,
                    s_kva=plate.s_kva,
                    e_kwh=plate.e_kwh,
                    soc_min=plate.battery.soc_min,
                    soc_max=plate.battery.soc_max,
                )
            )
        self._registered = True
        self._say(f"registered with the service as {self._device}")

    def _acknowledge(self) -> None:
        while self._due:
            due = self._due[0]
            try:
                status = due.status or _ENDS.get(self._client.control(due.control).status, "superseded")
                self._client.acknowledge(self._device, due.control, status, due.at)
            except Refused as error:
                # What the service does not know any more needs no acknowledgement; what it is too busy for comes again.
                if error.status not in (404, 409, 422):
                    raise
            self._due.popleft()

    def _report(self, now: datetime) -> None:
        readings = self._inverter.waiting[:_MOST_READINGS] if self._bound() else ()
        done = self._inverter.done
        values = {"p_kw": done.p_kw, "q_kvar": done.q_kvar, "soc": done.soc}
        told = [MeasurementBody(channel=name, start=now, value=value) for name, value in values.items()]
        answer = self._client.report(self._device, readings, told)
        for received in answer.readings:
            if received.problem is not None:
                self._say_once(f"a reading was refused: {received.problem}")
        if readings:
            self._inverter.received(readings)

    def _bound(self) -> bool:
        """Whether the service takes the meter's readings: an operator has to bind the meter first."""
        meter = self._inverter.meter
        if meter is None or not self._inverter.waiting:
            return False
        known, own = self._client.device(self._device), meter.key.public_key.encode()
        if (known.meter, known.meter_key) == (meter.name, own):
            return True
        self._say_once(f"readings wait until an operator binds {self._device} to meter {meter.name} and key {own}")
        return False

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say(words)
