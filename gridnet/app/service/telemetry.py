"""What devices report: signed readings, which are verified and settled, and unsigned measurements, which inform alone.

A signed reading is on disk when `report` returns. It counts as arrived in the quarter-hour in which it came, or in the first that
is not closed yet: so a restart that goes through the quarter-hours again meets the same messages in the same places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from gridnet.app.service import marks, queries
from gridnet.app.service.devices import Devices
from gridnet.app.service.model import Device, Measurement, Principal
from gridnet.app.service.schema import measurements, messages
from gridnet.app.service.store import Store, moment, seconds, upsert
from gridnet.errors import Fault, InputError, VerificationError
from gridnet.metering.cose import open_message
from gridnet.metering.keys import PublicKey
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyEntry, KeyRegistry

QUARTER_S = 900
CLOSED = "closed quarter"
MOST_MESSAGES = 200
MOST_VALUES = 1000
MOST_VALUE = 1e15
EARLY = timedelta(minutes=5)
"""How far ahead a device's clock may be."""
_FIRST = moment(0)


@dataclass(frozen=True)
class Received:
    """What became of one message: kept, kept before, or refused for a reason."""

    sequence: int | None
    repeated: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Arrived:
    """A signed message that counts as arrived in a quarter-hour."""

    meter: str
    raw: bytes


class Telemetry:
    """Readings and measurements of devices."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._store = store
        self._devices = devices

    def report(self, by: Principal, device: str, raws: Sequence[bytes]) -> list[Received]:
        """Keeps signed readings of the device's meter; those that it did not sign are refused one by one. Raises `NotFound`, and
        `InputError` where it has no meter or sends too many at once."""
        if len(raws) > MOST_MESSAGES:
            raise InputError("too many readings:", [Fault("readings", str(len(raws)), f"{MOST_MESSAGES} at most")])
        now = self._store.clock()
        with self._store.read() as connection:
            owned = self._devices.owned(connection, by, device)
        opened = [self._opened(owned, raw, now) for raw in raws]
        good = [(each, raw) for each, raw in zip(opened, raws, strict=True) if isinstance(each, Reading)]
        with self._store.write() as connection:
            repeated = self._keep(connection, good)
        return [
            Received(each.sequence, repeated=sha256(raw).hexdigest() in repeated) if isinstance(each, Reading) else each
            for each, raw in zip(opened, raws, strict=True)
        ]

    def keep(self, connection: Connection, readings: Sequence[tuple[Reading, bytes]], quarter: int) -> None:
        """Keeps readings of meters that the service reads itself, as arrived in a quarter-hour (its number since 1970)."""
        digests = {sha256(raw).hexdigest(): (reading, raw) for reading, raw in readings}
        upsert(connection, messages, self._rows(digests, quarter), replace=False)

    def _opened(self, device: Device, raw: bytes, now: datetime) -> Reading | Received:
        if device.meter is None or device.meter_key is None:
            raise InputError(
                f"{device.id} can't report readings:", [Fault("meter and meter_key", "none", "both, set by the operator")]
            )
        registry = KeyRegistry((KeyEntry(device.meter, PublicKey.decode(device.meter_key), _FIRST),))
        try:
            return open_message(raw, registry, now)
        except VerificationError as error:
            return Received(None, problem=str(error))

    def _keep(self, connection: Connection, readings: Sequence[tuple[Reading, bytes]]) -> set[str]:
        """Digests of those that were there before."""
        digests = {sha256(raw).hexdigest(): (reading, raw) for reading, raw in readings}
        known: set[str] = set()
        for meter in {reading.device for reading, _ in readings}:
            known.update(connection.execute(queries.KNOWN, {"meter": meter, "digests": list(digests)}).scalars())
        closed = marks.marked(connection, CLOSED)
        now_s = self._store.now_s()
        quarter = now_s // QUARTER_S if closed is None else max(now_s // QUARTER_S, int(closed) + 1)
        rows = self._rows({digest: each for digest, each in digests.items() if digest not in known}, quarter)
        upsert(connection, messages, rows, replace=False)
        return known

    def _rows(self, digests: Mapping[str, tuple[Reading, bytes]], quarter: int) -> list[dict[str, Any]]:
        now_s = self._store.now_s()
        return [
            {
                "meter": reading.device,
                "sequence": reading.sequence,
                "digest": digest,
                "raw": raw,
                "received_s": now_s,
                "quarter": quarter,
            }
            for digest, (reading, raw) in digests.items()
        ]

    def arrived(self, connection: Connection, quarter: int) -> list[Arrived]:
        """Signed messages that count as arrived in a quarter-hour (its number since 1970), in one order."""
        query = select(messages.c.meter, messages.c.raw).where(messages.c.quarter == quarter)
        order = (messages.c.meter, messages.c.sequence, messages.c.digest)
        return [Arrived(row.meter, row.raw) for row in connection.execute(query.order_by(*order))]

    def measure(self, by: Principal, device: str, values: Sequence[Measurement]) -> None:
        """Keeps measurements; a later one replaces one of the same channel and start. Raises `NotFound`, `InputError`."""
        latest = self._store.clock() + EARLY
        faults = [fault for each in values for fault in _faults(each, latest)]
        if len(values) > MOST_VALUES:
            faults.append(Fault("measurements", str(len(values)), f"{MOST_VALUES} at most"))
        if faults:
            raise InputError("these can't be measurements:", faults)
        with self._store.write() as connection:
            self._devices.owned(connection, by, device)
            unique = {(each.channel, seconds(each.start)): each for each in values}
            rows = [
                {
                    "device": device,
                    "channel": channel,
                    "start_s": start_s,
                    "duration_s": round(each.duration.total_seconds()),
                    "value": each.value,
                }
                for (channel, start_s), each in unique.items()
            ]
            upsert(connection, measurements, rows)

    def measurements(self, by: Principal, device: str, channel: str, since: datetime, limit: int = 1000) -> list[Measurement]:
        """Those of a channel that began at `since` or later, oldest first. Raises `NotFound`."""
        which = (measurements.c.device == device) & (measurements.c.channel == channel)
        query = select(measurements).where(which, measurements.c.start_s >= seconds(since)).order_by(measurements.c.start_s)
        with self._store.read() as connection:
            self._devices.owned(connection, by, device)
            found = connection.execute(query.limit(limit))
            return [Measurement(channel, moment(row.start_s), row.value, timedelta(seconds=row.duration_s)) for row in found]

    def told_soc(self, since_s: int) -> dict[str, float]:
        """By meter: the charge that its device told last, where that is not older than `since_s`."""
        which = (measurements.c.channel == "soc") & (measurements.c.start_s >= since_s)
        with self._store.read() as connection:
            meters = {device.id: device.meter for device in self._devices.metered(connection)}
            found = connection.execute(select(measurements).where(which).order_by(measurements.c.start_s))
            return {str(meters[row.device]): row.value for row in found if row.device in meters}

    def latest(self, by: Principal, device: str, channel: str) -> Measurement | None:
        """The last one of a channel, None where there is none. Raises `NotFound`."""
        which = (measurements.c.device == device) & (measurements.c.channel == channel)
        query = select(measurements).where(which).order_by(measurements.c.start_s.desc()).limit(1)
        with self._store.read() as connection:
            self._devices.owned(connection, by, device)
            row = connection.execute(query).first()
        return None if row is None else Measurement(channel, moment(row.start_s), row.value, timedelta(seconds=row.duration_s))


def _faults(value: Measurement, latest: datetime) -> Iterator[Fault]:
    where = f"measurement {value.channel[:64]!r}"
    if not 1 <= len(value.channel) <= 64:
        yield Fault(where, f"{len(value.channel)} characters", "1 to 64")
    most = 1.0 if value.channel == "soc" else MOST_VALUE
    if not (0.0 if value.channel == "soc" else -most) <= value.value <= most:
        yield Fault(where, str(value.value), "a share, 0 to 1" if value.channel == "soc" else "a finite number")
    if not _FIRST <= value.start <= latest:
        yield Fault(where, f"start {value.start.isoformat()}", f"a time until {latest.isoformat()}")
