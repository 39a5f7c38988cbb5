"""What devices report: signed readings, which are verified and settled, and unsigned measurements, which inform alone.

A signed reading is on disk when `report` returns. It counts as arrived in the quarter-hour in which it came, or in the first that
is not closed yet: so a restart that goes through the quarter-hours again meets the same messages in the same places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, select, text

from gridnet.app.service import marks, partitions
from gridnet.app.service.devices import Devices
from gridnet.app.service.model import Device, Measurement, Principal
from gridnet.app.service.names import MAIN, feeder_of, local
from gridnet.app.service.plates import plates
from gridnet.app.service.readings import Kept, Weeks, arrived, put, put_before
from gridnet.app.service.schema import measurements
from gridnet.app.service.speakers import Speakers, registry_of
from gridnet.app.service.store import Store, moment, seconds, upsert
from gridnet.errors import Fault, InputError, VerificationError
from gridnet.metering.cose import key_name, open_message
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyRegistry
from gridnet_contracts.ledger.database import LEDGER_LOCK

QUARTER_S = partitions.QUARTER_S
CLOSED = "closed quarter"
MOST_MESSAGES = 200
MOST_AT_ONCE = 2000
"""Messages of many meters in one report."""
MOST_VALUES = 1000
MOST_VALUE = 1e15
EARLY = timedelta(minutes=5)
"""How far ahead a device's clock may be."""
_FIRST = moment(0)
_TURN_BEFORE = text(f"SELECT pg_advisory_xact_lock_shared({LEDGER_LOCK})")


@dataclass(frozen=True)
class Received:
    """What became of one message: kept, kept before, or refused for a reason."""

    sequence: int | None
    repeated: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Remark:
    """Words on one of several messages, by its place among them."""

    index: int
    words: str


@dataclass(frozen=True)
class Reported:
    """What became of many messages: how many were kept, how many were there before, which ones were refused, and of which kept ones
    it is doubted that their devices can have done it (they are judged when the quarter-hour is closed)."""

    kept: int
    repeated: int
    refused: tuple[Remark, ...]
    doubted: tuple[Remark, ...]


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
        self._weeks = Weeks()
        self._speakers = Speakers(devices)

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
        feeder = feeder_of(owned.meter or "")
        fresh = self._keep([(feeder, each, raw) for each, raw in good])
        return [
            Received(each.sequence, repeated=sha256(raw).digest() not in fresh) if isinstance(each, Reading) else each
            for each, raw in zip(opened, raws, strict=True)
        ]

    def report_many(self, by: Principal, raws: Sequence[bytes]) -> Reported:
        """Keeps signed readings of all meters that devices of `by` speak for, each found by the name of its key; what none of them
        signed is refused, one by one. Raises `InputError` for too many at once."""
        if len(raws) > MOST_AT_ONCE:
            raise InputError("too many readings:", [Fault("readings", str(len(raws)), f"{MOST_AT_ONCE} at most")])
        now = self._store.clock()
        kids = [_key_name(raw) for raw in raws]
        with self._store.read() as connection:
            speakers = self._speakers.find(connection, by, {kid for kid in kids if kid is not None})
            limits = plates(connection, {each.feeder for each in speakers.values()})
        good: list[tuple[str, Reading, bytes]] = []
        refused: list[Remark] = []
        doubted: list[Remark] = []
        for index, (kid, raw) in enumerate(zip(kids, raws, strict=True)):
            speaker = None if kid is None else speakers.get(kid)
            try:
                reading = open_message(raw, KeyRegistry() if speaker is None else speaker.registry, now)
            except VerificationError as error:
                refused.append(Remark(index, str(error)))
                continue
            assert speaker is not None, "no message is opened without a key"
            good.append((speaker.feeder, reading, raw))
            plate = limits[speaker.feeder].get(reading.device)
            doubted += [Remark(index, words) for words in (() if plate is None else plate.doubts(reading))]
        fresh = self._keep(good)
        return Reported(len(fresh), len(good) - len(fresh), tuple(refused), tuple(doubted))

    def keep(self, connection: Connection, feeder: str, readings: Sequence[tuple[Reading, bytes]], quarter: int) -> None:
        """Keeps readings of a feeder's meters that the service reads itself, as arrived in a quarter-hour (its number since
        1970)."""
        self._weeks.prepare(connection, [quarter])
        put(connection, [self._kept(feeder, reading, raw, quarter) for reading, raw in readings])

    def _opened(self, device: Device, raw: bytes, now: datetime) -> Reading | Received:
        if device.meter is None or device.meter_key is None:
            raise InputError(
                f"{device.id} can't report readings:", [Fault("meter and meter_key", "none", "both, set by the operator")]
            )
        try:
            return open_message(raw, registry_of(local(device.meter), device.meter_key), now)
        except VerificationError as error:
            return Received(None, problem=str(error))

    def _keep(self, signed: Sequence[tuple[str, Reading, bytes]]) -> set[bytes]:
        """Keeps readings of feeders in one transaction; digests of those that were not there before."""
        feeders = sorted({feeder for feeder, *_ in signed})
        if not feeders:
            return set()
        with self._store.write(feeders[0], shared=True) as connection:
            # In one order whoever asks, as long as none of those that want a feeder alone wants a second one.
            for feeder in feeders[1:]:
                self._store.join(connection, feeder)
            quarters, before = self._open_quarters(connection, feeders)
            kept = [self._kept(feeder, reading, raw, quarters[feeder]) for feeder, reading, raw in signed]
            fresh = put_before(connection, [each for each in kept if each.feeder == MAIN]) if before else set()
            left = [each for each in kept if each.feeder != MAIN] if before else kept
            self._weeks.prepare(connection, set(quarters.values()))
            return fresh | put(connection, left)

    def _open_quarters(self, connection: Connection, feeders: Sequence[str]) -> tuple[dict[str, int], bool]:
        """By feeder the quarter-hour in which counts what comes now; and whether the main feeder's is to be kept as the version
        before does."""
        keys = {feeder: marks.of(feeder, CLOSED) for feeder in feeders}
        noted = marks.all_of(connection, [*keys.values(), marks.MOVED])
        before = MAIN in keys and marks.MOVED not in noted
        if before and connection.dialect.name == "postgresql":
            # The version before closes quarter-hours under the ledger's lock.
            connection.execute(_TURN_BEFORE)
            noted = marks.all_of(connection, list(keys.values()))
        now_q = self._store.now_s() // QUARTER_S
        return {feeder: max(now_q, int(noted.get(key, -1)) + 1) for feeder, key in keys.items()}, before

    def _kept(self, feeder: str, reading: Reading, raw: bytes, quarter: int) -> Kept:
        return Kept(feeder, reading.device, reading.sequence, sha256(raw).digest(), raw, quarter, self._store.now_s())

    def arrived(self, connection: Connection, quarter: int, feeder: str = MAIN) -> list[Arrived]:
        """Signed messages of a feeder that count as arrived in a quarter-hour (its number since 1970), in one order; meters have
        their local names."""
        return [Arrived(meter, raw) for meter, raw in arrived(connection, quarter, feeder)]

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


def _key_name(raw: bytes) -> bytes | None:
    """What a message says that its key is called; None where it says nothing that can be understood."""
    try:
        return key_name(raw)
    except VerificationError:
        return None


def _faults(value: Measurement, latest: datetime) -> Iterator[Fault]:
    where = f"measurement {value.channel[:64]!r}"
    if not 1 <= len(value.channel) <= 64:
        yield Fault(where, f"{len(value.channel)} characters", "1 to 64")
    most = 1.0 if value.channel == "soc" else MOST_VALUE
    if not (0.0 if value.channel == "soc" else -most) <= value.value <= most:
        yield Fault(where, str(value.value), "a share, 0 to 1" if value.channel == "soc" else "a finite number")
    if not _FIRST <= value.start <= latest:
        yield Fault(where, f"start {value.start.isoformat()}", f"a time until {latest.isoformat()}")
