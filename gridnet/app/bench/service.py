"""`gridnet bench --service`: what the dispatch service costs, in CPU time of the server's own process.

The server is started as a user would, on SQLite, with TLS on loopback; a second process asks, over connections that stay open. The
reference of the same run is `/healthz`: a request that reads nothing and writes nothing.
"""

from __future__ import annotations

import argparse
import base64
import json
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from gridnet.app.bench.figures import Figure, figure_table
from gridnet.app.bench.served import Start, apart, cpu_s, operator_token, served
from gridnet.app.bench.service_load import Ask, Load, Paced, asked, paced
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.app.service.authority import CA, Authority
from gridnet.app.service.config import Config
from gridnet.app.service.model import Device, Principal
from gridnet.app.service.service import Service
from gridnet.errors import InputError, ModelError
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.reading import FIRST, Reading
from gridnet_contracts.ledger.database import Database

PORT = 18_943
CONNECTIONS = 8
REQUESTS = 400
BATCHES = 5
INVERTERS = 1000
PER_INVERTER_S = 300.0 / 8.0
"""Each inverter asks 8 times in 5 minutes."""
PACED_S = 60.0
DEVICES = 10_000


def bench_service(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and shows: progress goes to `say`, the table to standard output. Raises `InputError`, `ModelError`."""
    faults = file_faults("--json", arguments.json)
    if faults:
        raise InputError("the service can't be measured:", faults)
    with tempfile.TemporaryDirectory() as folder:
        figures = _figures(Path(folder), say)
    write_json({"service": [figure.as_json() for figure in figures]}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(figure_table(figures))


def _figures(folder: Path, say: Callable[[str], None]) -> list[Figure]:
    say("starting the service")
    with served(Start(folder, PORT)) as pid:
        clients = _Clients(folder, pid)
        say("CPU time per request")
        floor = clients.cpu_ms(Ask("GET", "/healthz"))
        figures = [Figure("/healthz, the reference", floor, "ms CPU")]
        for name, ask, target in clients.asks():
            cost = clients.cpu_ms(ask)
            figures.append(Figure(name, cost, "ms CPU", target, cost / floor))
        say(f"{INVERTERS} inverters for {PACED_S:g} s")
        figures += clients.paced()
        say(f"registering {DEVICES} devices")
        before = clients.cpu_ms(clients.setpoint)
        _register(folder)
        after = clients.cpu_ms(clients.setpoint)
        figures.append(Figure(f"setpoint read, {DEVICES:,} devices more", after, "ms CPU", "as before", after / before))
    return figures


class _Clients:
    """Devices of the service, and what they ask."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._pid = pid
        authority = Authority(folder / "tls")
        issued = authority.issue(folder / "client", "inverter")
        self._key = DeviceKey.simulated(0, "bench")
        trusted = ssl.create_default_context(cafile=authority.path(CA))
        with httpx.Client(base_url=f"https://localhost:{PORT}", verify=trusted) as client:
            token = operator_token(Start(folder, PORT), client)
            bearer = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            body = {"id": "bench", "discharge_kw": 5, "charge_kw": 5, "lfdi": issued.lfdi, "owner": f"lfdi:{issued.lfdi}"}
            body |= {"meter": "bat-00", "meter_key": self._key.public_key.encode()}
            client.post("/api/v1/devices", json=body, headers=bearer).raise_for_status()
        self._load = Load(PORT, str(authority.path(CA)), str(issued.certificate), str(issued.key), CONNECTIONS)
        self.setpoint = Ask("GET", "/api/v1/devices/bench/setpoint")
        self._previous, self._sequence = FIRST, 0

    def asks(self) -> Iterator[tuple[str, Ask, str]]:
        """What is measured, and its target."""
        yield "setpoint, native", self.setpoint, "<= 3"
        yield "telemetry, native, one signed reading", self._telemetry(), "<= 6"
        for name, path in (("/tm", "/sep2/tm"), ("/dcap", "/sep2/dcap"), ("/edev", "/sep2/edev")):
            yield f"{name}, 2030.5", Ask("GET", path), "<= 6"
        yield "/derc, 2030.5", Ask("GET", "/sep2/edev/bench/derp/dispatch/derc?l=10"), "<= 6"

    def cpu_ms(self, ask: Ask) -> float:
        """CPU time of the server per request: the median of some batches after one that does not count."""
        costs = []
        for batch in range(BATCHES + 1):
            began = cpu_s(self._pid)
            statuses = apart(asked, self._load, ask, REQUESTS)
            spent_s = cpu_s(self._pid) - began
            wrong = sorted({status for status in statuses if not 200 <= status < 300})
            if wrong:
                raise ModelError(f"{ask.method} {ask.path} was answered with {wrong}")
            if batch:
                costs.append(1000.0 * spent_s / REQUESTS)
            if ask.bodies:
                ask = self._telemetry()
        return statistics.median(costs)

    def paced(self) -> list[Figure]:
        """Latency under the load of many inverters, each asking now and then."""
        plan = Paced(INVERTERS / PER_INVERTER_S, PACED_S, (self.setpoint, Ask("GET", "/sep2/edev/bench/derp/dispatch/derc?l=10")))
        took_ms, errors = apart(paced, self._load, plan)
        ordered = sorted(took_ms)
        at = {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)}
        name = f"{INVERTERS} inverters, {len(ordered)} requests"
        return [
            Figure(f"{name}: median", at[0.5], "ms"),
            Figure(f"{name}: p99", at[0.99], "ms", "< 100"),
            Figure(f"{name}: errors", float(errors), "", "0"),
        ]

    def _telemetry(self) -> Ask:
        """A report for each request, each with the reading after the last one."""
        bodies, start = [], datetime(2020, 1, 1, tzinfo=UTC)
        for _ in range(REQUESTS):
            reading = Reading(
                device="bat-00",
                sequence=self._sequence,
                previous=self._previous,
                start=start + timedelta(minutes=15 * self._sequence),
                injected_wh=100,
                drawn_wh=0,
                reactive_varh=0,
                voltage_mv=230_000,
                soc_ppm=500_000,
            )
            raw = sign(reading, self._key)
            self._sequence, self._previous = self._sequence + 1, message_hash(raw)
            bodies.append(json.dumps({"readings": [base64.b64encode(raw).decode()]}).encode())
        return Ask("POST", "/api/v1/devices/bench/telemetry", tuple(bodies))


def _register(folder: Path) -> None:
    """Many devices, as an operator's import would."""
    database = Database(f"sqlite:///{folder / 'service.db'}")
    devices, operator = Service.on(database, Config()).devices, Principal("operator", "operator")
    template = Device("many", "operator", "battery", discharge_kw=5.0, charge_kw=5.0)
    for number in range(DEVICES):
        devices.add(operator, replace(template, id=f"many-{number:05d}"))
    database.close()
