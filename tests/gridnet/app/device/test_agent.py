"""The chain from the operator's order to the registers and back to the service's books."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gridnet.app.api.schemas import DeviceChanges, DispatchBody, FieldsBody
from gridnet.app.client import Client
from gridnet.app.device.agent import Agent, Pace
from gridnet.app.device.battery import Nameplate
from gridnet.app.device.inverter import Inverter
from gridnet.app.device.meter import QUARTER, Memory, Meter, quarter_end
from gridnet.app.device.modbus import ModbusServer
from gridnet.app.device.registers import Registers
from gridnet.metering.keys import DeviceKey
from tests.gridnet.app.device.sunspec_client import Scanned, scanned
from tests.gridnet.app.serving import METER, Server

SOON_S = 8.0


@dataclass
class Device:
    """A running device as one sees it from outside."""

    name: str
    models: Scanned
    inverter: Inverter
    said: list[str]

    def shows(self, watts: float, var: float | None = None) -> bool:
        seen = self.models[701]
        return abs(seen.W.cvalue - watts) <= 1 and (var is None or abs(seen.Var.cvalue - var) <= 1)


@contextmanager
def _running(server: Server, name: str) -> Iterator[Device]:
    """A device whose last two quarter-hours wait to be reported, with its own certificate."""
    memory, stopping, said = Memory(quarter_end(datetime.now(UTC)) - 3 * QUARTER, 0.5), threading.Event(), list[str]()
    registers = Registers(Nameplate(5.0, 10.0), name)
    inverter = Inverter(registers, memory, Meter(METER, DeviceKey.generate()), lambda _: None)
    inverter.advance(datetime.now(UTC))
    with ModbusServer(registers, 0) as served, Client(server.url, server.ca, server.certificate(name)) as client:
        agent = Agent(client, name, inverter, said.append, Pace(report_s=1.0, look_s=1))
        thread = threading.Thread(target=agent.run, args=(stopping,))
        thread.start()
        try:
            with scanned(served.port) as models:
                yield Device(name, models, inverter, said)
        finally:
            stopping.set()
            thread.join()


def _until(holds: Callable[[], bool], at_most_s: float = SOON_S) -> datetime:
    end = time.monotonic() + at_most_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
    return datetime.now(UTC)


def _dispatch(operator: Client, device: str, start: datetime, seconds: float, fields: FieldsBody) -> str:
    order = DispatchBody(device=device, fields=fields, start=start, end=start + timedelta(seconds=seconds))
    return operator.dispatch(order).id


def _acks(operator: Client, device: str) -> set[tuple[str, str]]:
    return {(each.control, each.status) for each in operator.acknowledgements(device)}


def test_orders_reach_the_registers_with_their_sign_and_are_acknowledged(server: Server) -> None:
    with server.operator() as operator, _running(server, "chain") as device:
        _until(lambda: any(each.id == "chain" for each in operator.devices()))
        out = _dispatch(operator, "chain", datetime.now(UTC), 60, FieldsBody(p_kw=3.5, q_kvar=1.25))
        _until(lambda: device.shows(3500, 1250))
        controls = device.models[704]
        assert (controls.WSetEna.value, controls.WSet.cvalue, controls.VarSetEna.value, controls.VarSet.cvalue) == (
            1,
            3500,
            1,
            1250,
        )
        back = _dispatch(operator, "chain", datetime.now(UTC), 2, FieldsBody(p_kw=-2.5, q_kvar=-1.0))
        _until(lambda: device.shows(-2500, -1000))
        assert device.models[704].WSet.cvalue == -2500
        _until(lambda: device.shows(0, 0))
        expected = {(out, "received"), (out, "started"), (out, "superseded")}
        expected |= {(back, "received"), (back, "started"), (back, "completed")}
        _until(lambda: _acks(operator, "chain") == expected)


def test_a_control_taken_back_is_acknowledged_as_cancelled(server: Server) -> None:
    with server.operator() as operator, _running(server, "taken-back") as device:
        _until(lambda: any(each.id == "taken-back" for each in operator.devices()))
        made = _dispatch(operator, "taken-back", datetime.now(UTC), 60, FieldsBody(p_kw=2.0))
        _until(lambda: device.shows(2000))
        operator.cancel(made)
        _until(lambda: device.shows(0))
        _until(lambda: (made, "cancelled") in _acks(operator, "taken-back"))


def test_readings_wait_for_the_operator_to_bind_the_meter_and_are_then_kept_once(server: Server) -> None:
    with server.operator() as operator, _running(server, "bound") as device:
        _until(lambda: any("binds bound to meter bat-00" in each for each in device.said))
        assert len(device.inverter.waiting) == 2
        assert device.inverter.meter is not None
        key = device.inverter.meter.key.public_key.encode()
        waiting = device.inverter.waiting
        operator.change("bound", DeviceChanges(meter=METER, meter_key=key))
        _until(lambda: not device.inverter.waiting)
        answer = operator.report("bound", waiting)
        assert [(each.sequence, each.repeated) for each in answer.readings] == [(0, True), (1, True)]


def test_a_service_killed_in_mid_event_leaves_the_control_to_its_end_and_then_the_default(server: Server) -> None:
    with server.operator() as operator, _running(server, "cut-off") as device:
        _until(lambda: any(each.id == "cut-off" for each in operator.devices()))
        operator.set_default("cut-off", FieldsBody(p_kw=-0.3, q_kvar=0.0))
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
        made = _dispatch(operator, "cut-off", start, 3, FieldsBody(p_kw=3.5, q_kvar=1.0))
        _until(lambda: device.shows(3500, 1000))
        server.kill()
        try:
            ended = _until(lambda: not device.shows(3500))
            assert timedelta(0) <= ended - (start + timedelta(seconds=3)) < timedelta(seconds=2)
            _until(lambda: device.shows(-300, 0), 1.0)
        finally:
            server.start()
        _until(lambda: (made, "completed") in _acks(operator, "cut-off"), 20.0)
