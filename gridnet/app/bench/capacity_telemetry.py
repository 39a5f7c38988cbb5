"""Telemetry under load: an aggregator's reports of many meters against a served PostgreSQL, over TLS, at a rate and for minutes.

The meters are of feeders that no process keeps meanwhile, so that what is measured is the taking in: signature, key, form and
interval (level 0 as far as one message says it), what its device could have done (level 1 of a reading alone), the disk. Sequence
and chain, and readings beside one another, are looked at when a feeder closes a quarter-hour, and measured there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gridnet.app.bench.figures import Figure
from gridnet.app.bench.served import Start, apart, cpu_s, machine_s, served
from gridnet.app.bench.service_load import Ask, Load, Paced, paced
from gridnet.app.service import plates
from gridnet.app.service.authority import CA, Authority
from gridnet.app.service.config import Config
from gridnet.app.service.model import Device, Principal
from gridnet.app.service.names import local, qualified
from gridnet.app.service.service import Service
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.points import MeterPoint
from gridnet.metering.reading import FIRST, Reading
from gridnet_contracts.ledger.database import Database

PORT = 18_944
CONNECTIONS = 2
FEEDERS, METERS = 40, 25
"""1,000 batteries."""
BATCH = 500
"""Readings of a report."""
PER_S = 1500.0
"""Readings that are sent a second."""
CAPACITY_W = 5000
_AGGREGATOR = "aggregator"
_QUARTER = timedelta(minutes=15)


def telemetry_figures(folder: Path, url: str, seconds: float, say: Callable[[str], None]) -> list[Figure]:
    """Reports at a rate for so many seconds, on an empty database. Raises `ModelError` where the service does not begin."""
    start = Start(folder / "telemetry", PORT, ("--db", url))
    say("starting the service on PostgreSQL")
    with served(start) as pid:
        issued = Authority(start.folder / "tls").issue(folder / "client", _AGGREGATOR)
        say(f"registering {FEEDERS * METERS} batteries")
        keys = _registered(url, issued.lfdi)
        reports = round(PER_S * seconds / BATCH)
        say(f"signing {reports * BATCH:,} readings")
        plan = Paced(PER_S / BATCH, seconds, tuple(_reports(keys, reports)))
        load = Load(PORT, str(Authority(start.folder / "tls").path(CA)), str(issued.certificate), str(issued.key), CONNECTIONS)
        say(f"reporting {PER_S:g} readings a second for {seconds:g} s")
        before_s, all_before_s = cpu_s(pid), machine_s()
        took_ms, errors = apart(paced, load, plan)
        spent_s, all_s = cpu_s(pid) - before_s, machine_s() - all_before_s
    kept, stored_bytes = _stored(url)
    ordered = sorted(took_ms)
    # A backlog shows in the last answers: they come later than they were due.
    rate = kept / (seconds + max(took_ms[-CONNECTIONS:]) / 1000.0)
    return [
        Figure(f"readings taken in, {seconds:g} s long, at {PER_S:g}/s", rate, "1/s", ">= 1,200"),
        Figure(f"reports of {BATCH} that failed", float(errors), "", "0"),
        Figure(f"a report of {BATCH}: median", ordered[len(ordered) // 2], "ms"),
        Figure(f"a report of {BATCH}: p99", ordered[int(0.99 * len(ordered))], "ms"),
        Figure("a reading: the service", 1000.0 * spent_s / kept, "ms CPU"),
        Figure("a reading: the machine, PostgreSQL and the clients with it", 1000.0 * all_s / kept, "ms CPU"),
        Figure("a reading on disk, with its index", stored_bytes / kept, "bytes"),
    ]


def _registered(url: str, lfdi: str) -> dict[str, DeviceKey]:
    """Keys by the service's names of the meters, one battery of the aggregator's behind each."""
    feeders = [f"feeder-{number:02d}" for number in range(FEEDERS)]
    points = [MeterPoint(f"bat-{number:02d}", "battery", number, number, CAPACITY_W) for number in range(METERS)]
    meters = [qualified(feeder, point.name) for feeder in feeders for point in points]
    keys = {meter: DeviceKey.simulated(0, meter) for meter in meters}
    database = Database(url)
    service, operator = Service.on(database, Config(), frozenset(meters)), Principal("operator", "operator")
    with service.store.write() as connection:
        service.people.enter(connection, Principal(_AGGREGATOR, "aggregator", lfdi), None)
        for feeder in feeders:
            plates.note(connection, feeder, points)
    for meter, key in keys.items():
        battery = Device(meter.replace("/", "-"), _AGGREGATOR, "battery", discharge_kw=5.0, charge_kw=5.0)
        service.devices.add(operator, replace(battery, meter=meter, meter_key=key.public_key.encode()))
    database.close()
    return keys


def _reports(keys: dict[str, DeviceKey], count: int) -> Iterator[Ask]:
    """Reports of a quarter-hour of some meters, then of the others, then of the next quarter-hour."""
    messages = _messages(keys)
    for _ in range(count):
        body = {"readings": [base64.b64encode(next(messages)).decode() for _ in range(BATCH)]}
        yield Ask("POST", "/api/v1/telemetry", (json.dumps(body).encode(),))


def _messages(keys: dict[str, DeviceKey]) -> Iterator[bytes]:
    previous, sequence, start = dict.fromkeys(keys, FIRST), 0, datetime(2025, 1, 1, tzinfo=UTC)
    while True:
        for meter, key in keys.items():
            reading = Reading(
                device=local(meter),
                sequence=sequence,
                previous=previous[meter],
                start=start + sequence * _QUARTER,
                injected_wh=100,
                drawn_wh=0,
                reactive_varh=0,
                voltage_mv=230_000,
                soc_ppm=500_000,
            )
            message = sign(reading, key)
            previous[meter] = message_hash(message)
            yield message
        sequence += 1


def _stored(url: str) -> tuple[int, float]:
    """How many readings the database holds, and how many bytes they and their index take."""
    database = Database.reading(url)
    with database.read() as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM service_readings WHERE feeder <> ''").scalar_one()
        sizes = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('service_readings')"
        taken = connection.exec_driver_sql(sizes).scalar_one()
    database.close()
    return int(kept), float(taken)
