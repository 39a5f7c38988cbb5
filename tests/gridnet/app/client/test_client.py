"""The client against the service in a process of its own, over TLS on loopback."""

from __future__ import annotations

import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridnet.app.api.schemas import DeviceBody, DeviceChanges, DispatchBody, FieldsBody, MeasurementBody
from gridnet.app.client import Client, Patience, Refused, Secret, Unreachable
from gridnet.app.service.authority import CA, Authority
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.reading import Reading
from tests.gridnet.app.serving import METER, Server

BATTERY = {"discharge_kw": 5.0, "charge_kw": 5.0, "s_kva": 5.5, "e_kwh": 10.0}


def _battery(server: Server, name: str) -> Client:
    """A client with a certificate of its own, whose device is registered."""
    client = Client(server.url, server.ca, server.certificate(name))
    client.register(DeviceBody(id=name, **BATTERY))
    return client


def _order(device: str, seconds: float = 60.0, **fields: float) -> DispatchBody:
    now = datetime.now(UTC)
    return DispatchBody(device=device, fields=FieldsBody(**fields), start=now, end=now + timedelta(seconds=seconds), reason="test")


def test_a_device_registers_itself_and_sees_itself_alone(server: Server) -> None:
    with _battery(server, "own-a") as one, _battery(server, "own-b") as other, server.operator() as operator:
        assert one.device("own-a").discharge_kw == 5.0
        assert [each.id for each in one.devices()] == ["own-a"]
        assert {"own-a", "own-b"} <= {each.id for each in operator.devices()}
        with pytest.raises(Refused) as caught:
            other.device("own-a")
        assert caught.value.status == 404
        with pytest.raises(Refused) as caught:
            one.dispatch(_order("own-a", p_kw=1.0))
        assert caught.value.kind == "forbidden"
        one.remove("own-a")
        with pytest.raises(Refused):
            one.device("own-a")


def test_dispatches_come_back_as_setpoints_with_their_sign(server: Server) -> None:
    with _battery(server, "signed") as device, server.operator() as operator:
        assert device.setpoint("signed").setpoint.is_default
        made = operator.dispatch(_order("signed", p_kw=3.5, q_kvar=1.0))
        setpoint = device.setpoint("signed").setpoint
        assert (setpoint.id, setpoint.p_kw, setpoint.q_kvar) == (made.id, 3.5, 1.0)
        assert setpoint.sign == "generation_positive"
        operator.dispatch(_order("signed", p_kw=-2.5))
        assert device.setpoint("signed").setpoint.p_kw == -2.5
        assert operator.control(made.id).status == "superseded"


def test_a_key_makes_one_control_of_two_calls(server: Server) -> None:
    with _battery(server, "keyed") as device, server.operator() as operator:
        order = _order("keyed", p_kw=1.0)
        assert operator.dispatch(order, "k-1").id == operator.dispatch(order, "k-1").id
        assert operator.dispatch(order).id != operator.dispatch(order).id
        assert len([each for each in device.schedule("keyed").intervals if each.program == "operator"]) == 1


def test_an_unchanged_setpoint_is_the_same_object_and_a_change_ends_the_wait(server: Server) -> None:
    with _battery(server, "waits") as device, server.operator() as operator:
        made = operator.dispatch(_order("waits", p_kw=1.0))
        told = device.setpoint("waits")
        assert device.setpoint("waits", told) is told
        began = time.monotonic()
        assert device.setpoint("waits", told, wait_s=1) is told
        assert time.monotonic() - began >= 1.0
        assert operator.cancel(made.id).status == "cancelled"
        assert device.setpoint("waits", told, wait_s=30).setpoint.is_default
        assert time.monotonic() - began < 10.0
        with pytest.raises(Refused) as caught:
            operator.cancel(made.id)
        assert caught.value.status == 409


def test_an_override_rests_the_device_until_it_is_ended(server: Server) -> None:
    with _battery(server, "tired") as device, server.operator() as operator:
        operator.dispatch(_order("tired", p_kw=1.0))
        device.override("tired", datetime.now(UTC) + timedelta(hours=1), "at home")
        assert (device.setpoint("tired").setpoint.source, device.setpoint("tired").setpoint.p_kw) == ("override", 0.0)
        device.end_override("tired")
        assert device.setpoint("tired").setpoint.p_kw == 1.0
        with pytest.raises(Refused) as caught:
            device.override("tired", datetime.now(UTC) + timedelta(days=8))
        assert [fault.where for fault in caught.value.faults] == ["until"]


def test_a_default_and_acknowledgements_are_kept(server: Server) -> None:
    with _battery(server, "kept") as device, server.operator() as operator:
        device.set_default("kept", FieldsBody(p_kw=-1.0, q_kvar=0.0))
        assert device.setpoint("kept").setpoint.p_kw == -1.0
        made = operator.dispatch(_order("kept", p_kw=1.0))
        at = datetime(2026, 1, 1, tzinfo=UTC)
        for _ in range(2):
            device.acknowledge("kept", made.id, "received", at)
        assert [(each.control, each.status, each.at) for each in device.acknowledgements("kept")] == [(made.id, "received", at)]


def test_a_reading_reported_twice_counts_once(server: Server) -> None:
    key = DeviceKey.generate()
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    numbers = {"injected_wh": 875, "drawn_wh": 0, "reactive_varh": 0, "voltage_mv": 230_000, "soc_ppm": 500_000}
    raw = sign(Reading(device=METER, sequence=0, previous=bytes(32), start=start, **numbers), key)
    with _battery(server, "metered") as device, server.operator() as operator:
        with pytest.raises(Refused) as caught:
            device.report("metered", [raw])
        assert [fault.where for fault in caught.value.faults] == ["meter and meter_key"]
        operator.change("metered", DeviceChanges(meter=METER, meter_key=key.public_key.encode()))
        told = [MeasurementBody(channel="soc", start=start, value=0.5)]
        first, again = device.report("metered", [raw], told), device.report("metered", [raw])
        assert [(each.sequence, each.repeated, each.problem) for each in first.readings] == [(0, False, None)]
        assert [(each.sequence, each.repeated, each.problem) for each in again.readings] == [(0, True, None)]
        assert first.measurements == 1
        forged = sign(Reading(device=METER, sequence=1, previous=bytes(32), start=start, **numbers), DeviceKey.generate())
        assert device.report("metered", [forged]).readings[0].problem is not None
        following = sign(
            Reading(device=METER, sequence=1, previous=message_hash(raw), start=start + timedelta(minutes=15), **numbers), key
        )
        said = device.report_readings([raw, forged, following])
        assert (said.kept, said.repeated, [each.index for each in said.refused]) == (1, 1, [1])


def test_an_auditor_takes_the_ledger_away(server: Server, tmp_path: Path) -> None:
    with server.operator() as operator, _battery(server, "curious") as device:
        assert operator.checkpoint().startswith("gridnet.example/served\n")
        assert operator.proof(0).startswith("c2sp.org/tlog-proof@v1")
        assert list(operator.certificates()) == []
        assert operator.credits("nobody").balances == []
        operator.export(tmp_path / "export.zip")
        with zipfile.ZipFile(tmp_path / "export.zip") as export:
            assert export.testzip() is None
            assert export.namelist()
        for refused in (lambda: device.proof(0), lambda: device.export(tmp_path / "none.zip"), lambda: device.credits("nobody")):
            with pytest.raises(Refused):
                refused()
    assert not (tmp_path / "none.zip").exists()


def test_a_wrong_secret_and_a_wrong_authority_get_nothing(server: Server, tmp_path: Path) -> None:
    with Client(server.url, server.ca, Secret("operator", "a wrong secret indeed")) as wrong, pytest.raises(Refused) as caught:
        list(wrong.devices())
    assert caught.value.status == 401
    other = Authority.at(tmp_path / "other").path(CA)
    with Client(server.url, other, patience=Patience(attempts=1)) as suspicious, pytest.raises(Unreachable, match="certificate"):
        suspicious.device("own-a")
