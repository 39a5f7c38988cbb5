"""py20305, an IEEE 2030.5 client that others wrote, unmodified: from our adapter to the registers of our simulated inverter."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridnet.app.api.schemas import DeviceBody, DispatchBody, FieldsBody
from gridnet.app.client import Certificate, Client
from gridnet.app.device.battery import Nameplate
from gridnet.app.device.inverter import Inverter
from gridnet.app.device.meter import Memory
from gridnet.app.device.modbus import ModbusServer
from gridnet.app.device.registers import Registers
from gridnet.app.service.authority import lfdi_of
from tests.gridnet.app.api.openadr.venvs import environment
from tests.gridnet.app.device.sunspec_client import Scanned, scanned
from tests.gridnet.app.serving import Server

REQUIRED = "py20305[cli,sunspec,api]==0.16.1"
SOON_S = 15.0
POLLED_S = 25.0
"""It asks every 10 s at most often."""


@dataclass(frozen=True)
class Bench:
    """An inverter under the client's control, and the file that sets the client up."""

    client: Path
    config: Path
    lfdi: str
    inverter: Inverter
    models: Scanned

    def shows(self, watts: float, var: float | None = None) -> bool:
        """Whether the inverter does this, give or take what a percentage in hundredths loses."""
        self.inverter.advance(datetime.now(UTC))
        seen = self.models[701]
        return abs(seen.W.cvalue - watts) <= 1 and (var is None or abs(seen.Var.cvalue - var) <= 3)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The client's process."""
        log = self.config.with_suffix(".log")
        with (
            log.open("wb") as said,
            subprocess.Popen(
                [self.client, "--config", self.config],
                stdout=said,
                stderr=said,
                env={**os.environ, "HOME": str(self.config.parent)},
            ) as process,
        ):
            try:
                yield
            finally:
                process.kill()

    def until(self, holds: Callable[[], bool], at_most_s: float) -> datetime:
        """When it held first."""
        end = time.monotonic() + at_most_s
        while not holds():
            assert time.monotonic() < end, self.config.with_suffix(".log").read_text()[-6000:]
            time.sleep(0.02)
        return datetime.now(UTC)


@contextmanager
def _bench(server: Server, folder: Path, name: str) -> Iterator[Bench]:
    client = environment(REQUIRED).with_name("py20305")
    credentials = server.certificate(name)
    registers = Registers(Nameplate(5.0, 10.0), name)
    inverter = Inverter(registers, Memory(datetime.now(UTC), 0.5), None, lambda _: None)
    with ModbusServer(registers, 0) as served, scanned(served.port) as models:
        lfdi = _lfdi(credentials)
        tls = {"client_cert": str(credentials.file), "client_key": str(credentials.key), "ca_cert": str(server.ca)}
        settings = {
            "server": {"url": server.url, "dcap_path": "/sep2/dcap", "server_2018_compat": True},
            "tls": tls,
            "devices": [{"type": "sunspec", "lfdi": lfdi, "host": "127.0.0.1", "port": served.port}],
            "telemetry": {"post_rate_seconds": 5, "power_direction": "net"},
            "history": {"enabled": False},
            "logging": {"level": "DEBUG"},
        }
        config = folder / f"{name}.json"
        config.write_text(json.dumps(settings))
        yield Bench(client, config, lfdi, inverter, models)


def _lfdi(credentials: Certificate) -> str:
    return lfdi_of(ssl.PEM_cert_to_DER_cert(credentials.file.read_text()))


def _dispatch(operator: Client, device: str, start: datetime, seconds: int, fields: FieldsBody) -> str:
    order = DispatchBody(device=device, fields=fields, start=start, end=start + timedelta(seconds=seconds))
    return operator.dispatch(order).id


def _acks(operator: Client, device: str) -> set[tuple[str, str]]:
    return {(each.control, each.status) for each in operator.acknowledgements(device)}


def test_it_follows_setpoints_with_their_sign_and_rests_when_the_service_is_killed(server: Server, tmp_path: Path) -> None:
    with _bench(server, tmp_path, "sat") as bench, server.operator() as operator:
        limits = {"discharge_kw": 5.0, "charge_kw": 5.0, "s_kva": 5.5}
        operator.register(DeviceBody(id="sat", lfdi=bench.lfdi, **limits))
        start = datetime.now(UTC).replace(microsecond=0)
        out = _dispatch(operator, "sat", start, 9, FieldsBody(p_kw=3.5, q_kvar=1.0))
        back = _dispatch(operator, "sat", start + timedelta(seconds=9), 3, FieldsBody(p_kw=-2.5, q_kvar=-1.0))
        with bench.running():
            # Of its first control it takes no reactive power: it has not told yet of what a percentage is one.
            bench.until(lambda: bench.shows(3500), SOON_S)
            bench.until(lambda: bench.shows(-2500, -1000), SOON_S)
            expected = {(out, "received"), (out, "started"), (out, "completed"), (back, "received"), (back, "started")}
            bench.until(lambda: _acks(operator, "sat") >= expected, 3.0)
            server.kill()
            try:
                ended = bench.until(lambda: not bench.shows(-2500, -1000), SOON_S)
                late = ended - (start + timedelta(seconds=12))
                assert timedelta(seconds=-1) < late < timedelta(seconds=3)
                bench.until(lambda: bench.shows(0, 0), 3.0)
            finally:
                server.start()


@pytest.mark.conformance
def test_it_registers_itself_reports_and_follows_orders_as_they_come(server: Server, tmp_path: Path) -> None:
    with _bench(server, tmp_path, "moon") as bench, server.operator() as operator, bench.running():
        bench.until(lambda: any(each.lfdi == bench.lfdi for each in operator.devices()), SOON_S)
        (device,) = [each for each in operator.devices() if each.lfdi == bench.lfdi]
        # It tells its capability first, and what it is set to right after that.
        bench.until(lambda: operator.device(device.id).s_kva == 5.5, SOON_S)
        time.sleep(1.0)
        out = _dispatch(operator, device.id, datetime.now(UTC), 120, FieldsBody(p_kw=3.5, q_kvar=1.0))
        bench.until(lambda: bench.shows(3500, 1000), POLLED_S)
        back = _dispatch(operator, device.id, datetime.now(UTC), 120, FieldsBody(p_kw=-2.5, q_kvar=-1.0))
        bench.until(lambda: bench.shows(-2500, -1000), POLLED_S)
        operator.cancel(back)
        bench.until(lambda: bench.shows(0, 0), POLLED_S)
        expected = {(out, "received"), (out, "started"), (out, "superseded")}
        expected |= {(back, "received"), (back, "started"), (back, "cancelled")}
        bench.until(lambda: _acks(operator, device.id) >= expected, POLLED_S)
