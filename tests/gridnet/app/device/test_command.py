"""`gridnet device`: what it refuses, and a run from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gridnet.app.cli import main, parser
from gridnet.app.device.command import make_inverter
from gridnet.app.device.meter import Memory
from gridnet.case import load_case
from tests.gridnet.app.device.sunspec_client import scanned


def test_every_fault_is_named_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bat"
    wrong = [
        "--scenario",
        "tiny",
        "--power-kw",
        "3",
        "--server",
        "https://localhost:1",
        "--modbus-port",
        "70000",
        "--soc",
        "2",
        "--report-s",
        "0",
    ]
    assert main(["device", "--id", "bat", "--folder", str(folder), *wrong]) == 2
    said = capsys.readouterr().err
    for option in ("--modbus-port", "--soc", "--scenario", "--report-s", "--ca", "--cert", "--key"):
        assert f"- {option}: got" in said
    assert not folder.exists()


def test_it_is_the_battery_behind_its_meter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = parser().parse_args(["device", "--id", "bat", "--scenario", "tiny", "--meter", "bat-00", "--soc", "1"])
    inverter = make_inverter(options, tmp_path)
    case = load_case("tiny")
    assert (inverter.plate.p_kw, inverter.plate.e_kwh) == (case.fleet.p_kw[0], case.fleet.e_kwh[0])
    assert inverter.plate.battery == case.scenario.battery
    assert inverter.done.soc == case.scenario.battery.soc_max
    command = ["device", "--id", "bat", "--folder", str(tmp_path / "bat"), "--scenario", "tiny", "--meter", "bat-09"]
    assert main(command) == 2
    assert "bat-00" in capsys.readouterr().err


def test_a_device_without_a_service_runs_until_it_is_told_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "gridnet.app.cli", "device", "--id", "bat", "--meter", "bat-00", "--modbus-port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command += ["--folder", str(tmp_path / "bat"), "--soc", "0.7"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().rsplit(":", 1)[1])
            assert "meter bat-00 signs with ed25519:" in process.stderr.readline()
            with scanned(port) as models:
                controls = models[704]
                controls.WSet.cvalue, controls.WSetEna.value = -2500, 1
                controls.write()
                again = ["device", "--id", "bat", "--folder", str(tmp_path / "bat"), "--modbus-port", str(port)]
                assert main(again) == 2
                assert "runs already" in capsys.readouterr().err
                while models[701].W.cvalue != -2500:
                    assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    memory = Memory.read(tmp_path / "bat" / "memory.json")
    assert memory.soc > 0.7
    assert memory.counted[1] > 0
