"""Signed readings as they are kept: what was sent, of which meter, and the quarter-hour in whose course it counts as arrived.

They lie in `service_readings`. `service_messages` is where earlier versions keep those of the first feeder: it is read as well, and
written until a loop of this version has that feeder, so that a loop of the version before finds what came in the meantime. A
reading that lies in both is harmless: verification counts a copy once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from gridnet.app.service import partitions
from gridnet.app.service.names import MAIN, feeder_of, local
from gridnet.app.service.schema import messages, readings
from gridnet.app.service.store import upsert
from gridnet.clock import STEPS_PER_DAY

REPEATED_DAYS = 10
"""For how long a reading that comes again is known: longer than verification looks back."""
_LOOKED_AT = REPEATED_DAYS * STEPS_PER_DAY
_FIELDS = "quarter, feeder, meter, sequence, digest, raw, received_s"
_INSERT = text(
    # OFFSET 0 keeps each look-up an index scan: joined, they may become a scan of whole weeks.
    f"""INSERT INTO service_readings ({_FIELDS})
    SELECT {_FIELDS} FROM unnest(
        CAST(:quarters AS bigint[]), CAST(:feeders AS text[]), CAST(:meters AS text[]), CAST(:sequences AS bigint[]),
        CAST(:digests AS bytea[]), CAST(:raws AS bytea[]), CAST(:received AS bigint[])
    ) AS k({_FIELDS})
    WHERE NOT EXISTS (SELECT 1 FROM service_readings r WHERE r.feeder = k.feeder AND r.meter = k.meter
        AND r.sequence = k.sequence AND r.digest = k.digest AND r.quarter >= k.quarter - {_LOOKED_AT} OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM service_messages m WHERE k.feeder = '' AND m.meter = k.meter
        AND m.sequence = k.sequence AND m.digest = encode(k.digest, 'hex') OFFSET 0)
    ON CONFLICT DO NOTHING RETURNING digest"""
)
_KNOWN = select(readings.c.digest).where(
    readings.c.feeder == bindparam("feeder"),
    readings.c.meter == bindparam("meter"),
    readings.c.sequence.in_(bindparam("sequences", expanding=True)),
    readings.c.quarter >= bindparam("since"),
)
_KNOWN_BEFORE = select(messages.c.digest).where(
    messages.c.meter == bindparam("meter"), messages.c.sequence.in_(bindparam("sequences", expanding=True))
)
_ARRIVED = select(readings.c.meter, readings.c.sequence, readings.c.digest, readings.c.raw).where(
    readings.c.quarter == bindparam("quarter"), readings.c.feeder == bindparam("feeder")
)
_ARRIVED_BEFORE = select(messages.c.meter, messages.c.sequence, messages.c.digest, messages.c.raw).where(
    messages.c.quarter == bindparam("quarter")
)
_OF = select(readings.c.quarter, readings.c.sequence, readings.c.digest, readings.c.raw).where(
    readings.c.feeder == bindparam("feeder"),
    readings.c.meter == bindparam("meter"),
    readings.c.quarter.between(bindparam("first"), bindparam("last")),
)
_OF_BEFORE = select(messages.c.quarter, messages.c.sequence, messages.c.digest, messages.c.raw).where(
    messages.c.meter == bindparam("meter"), messages.c.quarter.between(bindparam("first"), bindparam("last"))
)


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """A signed message of a feeder's meter (its local name), `digest` its SHA-256, counted in a quarter-hour since 1970."""

    feeder: str
    meter: str
    sequence: int
    digest: bytes
    raw: bytes
    quarter: int
    received_s: int


class Weeks:
    """The weeks that this process knows to have a partition."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def prepare(self, connection: Connection, quarters: Iterable[int]) -> None:
        """Makes partitions where quarter-hours have none, and the week's after them. Costs nothing where they are known."""
        for quarter in quarters:
            if not {partitions.week_of(quarter), partitions.week_of(quarter) + 1} <= self._known:
                self._known = partitions.prepare(connection, quarter)


def put(connection: Connection, kept: Sequence[Kept]) -> set[bytes]:
    """Keeps messages whose weeks are prepared; gives the digests of those that were not there."""
    if not kept:
        return set()
    # In one order whoever writes: two that keep the same ones wait for one another in turn, never in a circle.
    ordered = sorted({each.digest: each for each in kept}.values())
    if connection.dialect.name == "postgresql":
        columns = {
            "quarters": [each.quarter for each in ordered],
            "feeders": [each.feeder for each in ordered],
            "meters": [each.meter for each in ordered],
            "sequences": [each.sequence for each in ordered],
            "digests": [each.digest for each in ordered],
            "raws": [each.raw for each in ordered],
            "received": [each.received_s for each in ordered],
        }
        return {bytes(digest) for digest in connection.execute(_INSERT, columns).scalars()}
    fresh = _unknown(connection, ordered)
    upsert(connection, readings, [{name: getattr(each, name) for name in _FIELDS.split(", ")} for each in fresh], replace=False)
    return {each.digest for each in fresh}


def put_before(connection: Connection, kept: Sequence[Kept]) -> set[bytes]:
    """The same where the version before keeps those of the first feeder."""
    fresh = _unknown(connection, sorted({each.digest: each for each in kept}.values()))
    rows: list[dict[str, Any]] = [
        {
            "meter": each.meter,
            "sequence": each.sequence,
            "digest": each.digest.hex(),
            "raw": each.raw,
            "received_s": each.received_s,
            "quarter": each.quarter,
        }
        for each in fresh
    ]
    upsert(connection, messages, rows, replace=False)
    return {each.digest for each in fresh}


def _unknown(connection: Connection, ordered: Sequence[Kept]) -> list[Kept]:
    known: set[bytes] = set()
    for (feeder, meter), group in groupby(ordered, key=lambda each: (each.feeder, each.meter)):
        own = list(group)
        given = {"meter": meter, "sequences": sorted({each.sequence for each in own})}
        since = min(each.quarter for each in own) - _LOOKED_AT
        known.update(bytes(each) for each in connection.execute(_KNOWN, {**given, "feeder": feeder, "since": since}).scalars())
        if feeder == MAIN:
            known.update(bytes.fromhex(each) for each in connection.execute(_KNOWN_BEFORE, given).scalars())
    return [each for each in ordered if each.digest not in known]


def arrived(connection: Connection, quarter: int, feeder: str) -> list[tuple[str, bytes]]:
    """(meter, message) of a feeder that count as arrived in a quarter-hour, in one order, each once."""
    found = {
        (row.meter, row.sequence, bytes(row.digest)): row.raw
        for row in connection.execute(_ARRIVED, {"quarter": quarter, "feeder": feeder})
    }
    if feeder == MAIN:
        before = connection.execute(_ARRIVED_BEFORE, {"quarter": quarter})
        found |= {(row.meter, row.sequence, bytes.fromhex(row.digest)): row.raw for row in before}
    return [(key[0], bytes(raw)) for key, raw in sorted(found.items())]


def of_meter(connection: Connection, meter: str, first: int, last: int) -> list[bytes]:
    """Messages of a meter (the service's name of it) that arrived in the quarter-hours `first` to `last`, in that order, then by
    sequence; each once."""
    given = {"meter": local(meter), "first": first, "last": last}
    feeder = feeder_of(meter)
    found: dict[bytes, tuple[int, int, bytes, bytes]] = {}
    if feeder == MAIN:
        for row in connection.execute(_OF_BEFORE, given):
            digest = bytes.fromhex(row.digest)
            found[digest] = row.quarter, row.sequence, digest, bytes(row.raw)
    for row in connection.execute(_OF, {**given, "feeder": feeder}):
        one = row.quarter, row.sequence, bytes(row.digest), bytes(row.raw)
        found[one[2]] = min(one, found.get(one[2], one))
    return [raw for *_, raw in sorted(found.values())]
