"""`gridnet device`: a simulated battery inverter behind SunSpec registers, which follows the service where one is named."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gridnet.app.client.client import Client
from gridnet.app.client.connection import Certificate
from gridnet.app.device.agent import Agent, Pace
from gridnet.app.device.battery import Nameplate
from gridnet.app.device.inverter import Inverter
from gridnet.app.device.meter import Memory, Meter, own_key
from gridnet.app.device.modbus import ModbusServer
from gridnet.app.device.registers import Registers
from gridnet.case import load_case
from gridnet.errors import Fault, InputError
from gridnet.metering.points import meter_points

KEY_FILE, MEMORY_FILE, LOCK_FILE = "meter.key", "memory.json", "lock"
_TICK_S = 0.2


def device(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs until it is told to stop. Raises `InputError` before it does."""
    _check(arguments)
    folder = Path(arguments.folder or arguments.id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _alone(folder)
    inverter = make_inverter(arguments, folder)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with ModbusServer(inverter.registers, arguments.modbus_port) as served:
        say(f"{arguments.id}: SunSpec registers on Modbus TCP, {served.address}")
        if inverter.meter is not None:
            say(f"meter {inverter.meter.name} signs with {inverter.meter.key.public_key.encode()}")
        try:
            _work(arguments, inverter, say, stopping)
        finally:
            inverter.stop()


def make_inverter(arguments: argparse.Namespace, folder: Path) -> Inverter:
    """The device that a folder remembers, or a new one. Raises `InputError`."""
    plate = _plate(arguments)
    path, now = folder / MEMORY_FILE, datetime.now(UTC)
    memory = Memory.read(path) if path.exists() else Memory(now, arguments.soc)
    lowest, highest = plate.battery.soc_min, plate.battery.soc_max
    memory = replace(memory, soc=min(max(memory.soc, lowest), highest))
    meter = None if arguments.meter is None else Meter(arguments.meter, own_key(folder / KEY_FILE))
    inverter = Inverter(Registers(plate, arguments.id), memory, meter, lambda kept: kept.write(path))
    inverter.start(now)
    return inverter


def _alone(folder: Path) -> None:
    """Two processes with one meter would sign two readings of one quarter-hour. The lock is held until the process ends."""
    try:
        fcntl.flock(os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError("the device runs already:", [Fault("--folder", str(folder), "one that no other process uses")]) from error


def _plate(arguments: argparse.Namespace) -> Nameplate:
    if arguments.scenario is None:
        given = {"p_kw": arguments.power_kw, "e_kwh": arguments.energy_kwh}
        return Nameplate(**{name: value for name, value in given.items() if value is not None})
    case = load_case(arguments.scenario)
    batteries = {point.name: point.device for point in meter_points(case) if point.kind == "battery"}
    device = batteries.get(arguments.meter)
    if device is None:
        raise InputError("there is no such battery:", [Fault("--meter", repr(arguments.meter), f"one of {', '.join(batteries)}")])
    fleet, scenario = case.fleet, case.scenario
    return Nameplate(float(fleet.p_kw[device]), float(fleet.e_kwh[device]), scenario.battery, scenario.inverter)


def _work(arguments: argparse.Namespace, inverter: Inverter, say: Callable[[str], None], stopping: threading.Event) -> None:
    if arguments.server is None:
        while not stopping.wait(_TICK_S):
            inverter.advance(datetime.now(UTC))
        return
    with Client(arguments.server, Path(arguments.ca), Certificate(Path(arguments.cert), Path(arguments.key))) as client:
        Agent(client, arguments.id, inverter, say, Pace(arguments.report_s)).run(stopping)


def _check(arguments: argparse.Namespace) -> None:
    faults = []
    if not 0 <= arguments.modbus_port <= 65535:
        faults.append(Fault("--modbus-port", str(arguments.modbus_port), "0 to 65535"))
    if not 0.0 <= arguments.soc <= 1.0:
        faults.append(Fault("--soc", str(arguments.soc), "0 to 1"))
    if not arguments.report_s >= 1.0:
        faults.append(Fault("--report-s", str(arguments.report_s), "1 or more"))
    if arguments.scenario is not None and (arguments.power_kw, arguments.energy_kwh) != (None, None):
        faults.append(Fault("--scenario", repr(arguments.scenario), "it, or --power-kw and --energy-kwh"))
    if arguments.server is not None:
        named = {"--ca": arguments.ca, "--cert": arguments.cert, "--key": arguments.key}
        faults += [Fault(name, "nothing", "a PEM file") for name, value in named.items() if value is None]
    if faults:
        raise InputError("the device can't be run:", faults)
