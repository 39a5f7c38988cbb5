"""The SunSpec map as another's client reads and writes it over Modbus TCP."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec2.modbus.modbus import ModbusClientException

from gridnet.app.device.battery import Done, Nameplate
from gridnet.app.device.modbus import ModbusServer
from gridnet.app.device.registers import BASE, Registers, Shown
from gridnet.errors import InputError
from tests.gridnet.app.device.sunspec_client import Scanned, scanned

PLATE = Nameplate(5.0, 10.0)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Registers, Scanned]]:
    """A map, and a client that found its models."""
    registers = Registers(PLATE, "bat")
    with ModbusServer(registers, 0) as server, scanned(server.port) as models:
        yield registers, models


def test_a_client_finds_the_models_and_the_nameplate(served: tuple[Registers, Scanned]) -> None:
    models = served[1]
    assert models.numbers == [1, 701, 702, 703, 704, 713]
    assert (models[1].Mn.value, models[1].SN.value) == ("gridnet", "bat")
    rated = models[702]
    assert [rated.WMaxRtg.cvalue, rated.VAMaxRtg.cvalue, rated.WChaRteMaxRtg.cvalue, rated.VarMaxAbsRtg.cvalue] == [
        5000,
        5500,
        5000,
        5500,
    ]
    assert models[713].WHRtg.cvalue == 10_000


def test_what_the_device_does_is_shown_with_its_sign(served: tuple[Registers, Scanned]) -> None:
    registers, models = served
    registers.show(Shown(Done(-2.5, 1.2, 0.4321), (875, 1250, -300)))
    seen = models[701]
    assert (seen.W.cvalue, seen.Var.cvalue, seen.WL1.cvalue) == (-2500, 1200, -2500)
    assert (seen.TotWhInj.cvalue, seen.TotWhAbs.cvalue, seen.TotVarhInj.cvalue, seen.TotVarhAbs.cvalue) == (875, 1250, 0, 300)
    assert (seen.VA.cvalue, seen.PF.cvalue, seen.ConnSt.value, seen.InvSt.value) == (2773, 0.902, 1, 3)
    assert (models[713].SoC.cvalue, models[713].WHAvail.cvalue) == (43.21, 4321)


@pytest.mark.parametrize(("p_kw", "q_percent"), [(3.5, 10.0), (-2.5, -10.0)])
def test_a_setpoint_written_by_a_client_is_what_is_asked(served: tuple[Registers, Scanned], p_kw: float, q_percent: float) -> None:
    registers, models = served
    controls = models[704]
    controls.WSetMod.value, controls.WSet.cvalue, controls.WSetEna.value = 1, 1000 * p_kw, 1
    controls.VarSetMod.value, controls.VarSetPct.cvalue, controls.VarSetEna.value = 1, q_percent, 1
    controls.write()
    assert (registers.asked().p_kw, registers.asked().q_kvar) == (p_kw, pytest.approx(q_percent / 100.0 * PLATE.s_kva))
    controls.WSetMod.value, controls.WSetPct.cvalue = 0, 40.0
    controls.VarSetMod.value, controls.VarSetPct.cvalue = 3, 20.0
    controls.write()
    assert (registers.asked().p_kw, registers.asked().q_kvar) == (2.0, pytest.approx(1.1))
    controls.WSetEna.value = controls.VarSetEna.value = 0
    controls.write()
    assert (registers.asked().p_kw, registers.asked().q_kvar) == (0.0, 0.0)


def test_limits_written_by_a_client_bind(served: tuple[Registers, Scanned]) -> None:
    registers, models = served
    controls, settings = models[704], models[702]
    controls.WMaxLimPct.cvalue, controls.WMaxLimPctEna.value = 30.0, 1
    controls.write()
    settings.WChaRteMax.cvalue = 1000
    settings.write()
    assert (registers.asked().inject_kw, registers.asked().draw_kw) == (1.5, 1.0)
    controls.WMaxLimPctEna.value, settings.WChaRteMax.cvalue, settings.WDisChaRteMax.cvalue = 0, 5000, 4000
    controls.write()
    settings.write()
    assert (registers.asked().inject_kw, registers.asked().draw_kw) == (4.0, 5.0)
    enter = models[703]
    enter.ES.value = 0
    enter.write()
    assert not registers.asked().connected
    enter.ES.value = 1
    enter.write()


@pytest.mark.parametrize(
    ("model", "point"), [(701, "W"), (702, "WMaxRtg"), (704, "WRmp"), (704, "WSet_SF"), (713, "SoC"), (1, "DA")]
)
def test_what_only_shows_or_is_not_there_can_not_be_written(served: tuple[Registers, Scanned], model: int, point: str) -> None:
    target = getattr(served[1][model], point)
    target.value = 1
    with pytest.raises(ModbusClientException, match="2"):
        target.write()


def test_half_of_a_point_and_what_lies_outside_is_refused() -> None:
    registers = Registers(PLATE, "bat")
    before = registers.read(BASE, registers.end - BASE)
    assert not registers.write(registers.end - 1, [1])
    assert not registers.write(BASE, [1])
    assert registers.read(BASE, registers.end - BASE) == before
    assert before[:2] == [0x5375, 0x6E53]
    assert before[-2:] == [0xFFFF, 0]


@given(st.floats(-5, 5), st.floats(-5, 5), st.booleans())
def test_the_inside_and_the_outside_ask_for_the_same(p_kw: float, q_kvar: float, connect: bool) -> None:
    registers = Registers(PLATE, "bat")
    registers.ask(p_kw, q_kvar, connect=connect)
    asked = registers.asked()
    assert (asked.p_kw, asked.q_kvar) == (pytest.approx(p_kw, abs=5e-4), pytest.approx(q_kvar, abs=5e-4))
    assert asked.connected is connect


@pytest.mark.parametrize("p_kw", [0.5, 30.0, 70.0, 900.0])
def test_every_size_fits_its_registers(p_kw: float) -> None:
    registers = Registers(Nameplate(p_kw, 4.0 * p_kw), "bat")
    registers.show(Shown(Done(-p_kw, 0.0, 0.5), (0, 0, 0)))
    registers.ask(p_kw, 0.0)
    assert registers.asked().inject_kw == pytest.approx(p_kw, rel=2e-3)
    assert registers.asked().p_kw == pytest.approx(p_kw)


def test_a_port_that_is_taken_is_bad_input() -> None:
    registers = Registers(PLATE, "bat")
    with ModbusServer(registers, 0) as first, pytest.raises(InputError, match=str(first.port)), ModbusServer(registers, first.port):
        pass


def test_it_listens_on_loopback_alone() -> None:
    with ModbusServer(Registers(PLATE, "bat"), 0) as server:
        assert server.address == f"127.0.0.1:{server.port}"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), 1.0)
