"""What a device shall do at every moment, with a link and without one.

What the service tells holds until its end, which is when the next control begins at the latest. From then on the device works it
out by itself, by the same rules (`gridnet.app.service.effective`) from the same things: what was published, and the default. The
next word of the service replaces that. So nothing has to find out that the link is lost: the running control goes on to its end,
planned intervals begin and end at their times, then the default holds.

What was taken back while the link was lost is followed until its end: that is why controls are short and the default is safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

from gridnet.app.api.schemas import DeviceOut, IntervalOut, ScheduleOut, SetpointOut
from gridnet.app.client.connection import Patience
from gridnet.app.client.errors import ClientError
from gridnet.app.service.effective import Said, effective
from gridnet.app.service.model import REST, Control, Device

_LONGEST_WAIT_S = 1.0
_PATIENCE = Patience(timeout_s=5.0, attempts=1, first_wait_s=0.5, longest_wait_s=5.0)
OVERRIDE = "override"
_OWN_UNTIL = timedelta(minutes=1)
"""How long what a device works out by itself is said to hold where nothing published ends it earlier."""


@dataclass(frozen=True)
class Told:
    """A setpoint as the service told it, with the tag by which it knows what changed."""

    setpoint: SetpointOut
    tag: str


class Teller(Protocol):
    """Whom a follower asks: a `Client`."""

    def patient(self, patience: Patience) -> Teller:
        """The same with another patience."""

    def device(self, device: str) -> DeviceOut:
        """The device's nameplate and limits."""

    def setpoint(self, device: str, known: Told | None = None, wait_s: int = 0) -> Told:
        """What it shall do now."""

    def schedule(self, device: str) -> ScheduleOut:
        """What it shall do next, and without a link."""


@dataclass(frozen=True)
class Known:
    """All that a device knows of what it shall do."""

    device: Device
    controls: tuple[Control, ...] = ()
    """Active and published ones."""
    told: Told | None = None
    """The service's last word; None where it was never reached."""

    @classmethod
    def of(cls, device: DeviceOut, schedule: ScheduleOut, told: Told) -> Self:
        """What the service's answers say."""
        default = schedule.default_control.fields()
        plain = {name: getattr(device, name) for name in _NAMEPLATE}
        made = Device(id=device.id, owner=device.owner, kind=device.kind, default=default, **plain)
        return cls(made, tuple(_control(each, device.id) for each in schedule.intervals), told)

    @property
    def opted_out(self) -> bool:
        """Whether the owner's override was the service's last word."""
        return self.told is not None and self.told.setpoint.source == OVERRIDE

    def setpoint(self, now: datetime, soc: float | None = None) -> SetpointOut:
        """What the device shall do at `now`. `soc`: its charge, where it knows that: its owner's reserve is kept without a link
        too."""
        if self.told is not None and now < self.told.setpoint.valid_until:
            return self.told.setpoint
        until = self.next_change(now) or now + _OWN_UNTIL
        said = Said(self.device, self.controls, self.device.default, until, soc=soc)
        return SetpointOut.of(effective(said, now))

    def in_force(self, now: datetime) -> tuple[Control, ...]:
        """The active controls that have a say at `now`: at least one of their fields is asked for by no stronger one."""
        if self.setpoint(now).source == OVERRIDE:
            return ()
        active = sorted((each for each in self.controls if _active(each, now)), key=lambda each: (each.primacy, each.start))
        spoken: set[str] = set()
        leading = []
        for control in active:
            if control.fields.given().keys() - spoken:
                leading.append(control)
            spoken |= control.fields.given().keys()
        return tuple(leading)

    def next_change(self, now: datetime) -> datetime | None:
        """When something begins or ends next; None where nothing does."""
        times = [each for control in self.controls for each in (control.start, control.end)]
        if self.told is not None:
            times.append(self.told.setpoint.valid_until)
        return min((each for each in times if each > now), default=None)


class Follower:
    """Keeps asking in a thread of its own; `setpoint` says at any moment what to do. A context manager."""

    def __init__(
        self, teller: Teller, device: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), wait_s: int = 30
    ) -> None:
        """`wait_s`: how often to look for what was published meanwhile, 1 to 60; what changes now comes within a second."""
        self._teller, self._device, self._clock, self._wait_s = teller.patient(_PATIENCE), device, clock, wait_s
        self._known = Known(Device(device, "nobody", "battery", discharge_kw=0.0, default=REST))
        self._linked = False
        self._news, self._stopping = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow {device}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        # Where the service holds its answer back, the thread ends when that comes; it asks nothing more.
        self._thread.join(timeout=_LONGEST_WAIT_S)

    @property
    def known(self) -> Known:
        """All that is known."""
        return self._known

    @property
    def linked(self) -> bool:
        """Whether the service answered when it was asked last."""
        return self._linked

    def setpoint(self, now: datetime, soc: float | None = None) -> SetpointOut:
        """What the device shall do at `now`, charged to `soc`."""
        return self._known.setpoint(now, soc)

    def wait(self, at_most_s: float = _LONGEST_WAIT_S) -> None:
        """Returns when there is news, when something begins or ends, or after a second."""
        now = self._clock()
        change = self._known.next_change(now)
        until_s = at_most_s if change is None else (change - now).total_seconds()
        with self._news:
            self._news.wait(max(0.0, min(at_most_s, until_s)))

    def wait_linked(self, at_most_s: float) -> bool:
        """Waits until the service has answered once; whether it did."""
        with self._news:
            return self._news.wait_for(lambda: self._linked, at_most_s)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._ask(self._wait_s if self._linked else 0)
                failures = 0
            except ClientError:
                self._linked = False
                self._stopping.wait(_PATIENCE.wait_s(min(failures, 10), None))
                failures += 1

    def _ask(self, wait_s: int) -> None:
        told = self._teller.setpoint(self._device, self._known.told, wait_s)
        schedule = self._teller.schedule(self._device)
        known = Known.of(self._teller.device(self._device), schedule, told)
        with self._news:
            self._known, self._linked = known, True
            self._news.notify_all()


_NAMEPLATE = ("discharge_kw", "charge_kw", "s_kva", "e_kwh", "soc_min", "soc_max", "reserve")


def _active(control: Control, now: datetime) -> bool:
    return control.status(now) == "active"


def _control(interval: IntervalOut, device: str) -> Control:
    return Control(
        id=interval.id,
        program=interval.program,
        device=device,
        fields=interval.fields.fields(),
        start=interval.start,
        end=interval.end,
        created=interval.start,
        source=interval.source,
        reason=interval.reason,
        primacy=interval.primacy,
        randomize_start_s=interval.randomize_start_s,
        planned=interval.planned,
    )
