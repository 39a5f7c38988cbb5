"""Broken inputs through the command line: told in one message, exit code 2, no traceback, nothing half written.

Told: a user hands in a scenario, a network or series that are wrong in the ways files go wrong. Each test breaks a copy of
`tiny` in one way (or several) and runs the command on it. An exception that leaves `main` is a traceback and fails the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest

from gridnet.app import cli
from gridnet.app.cli import main

ROOT = Path(__file__).resolve().parents[2]
UNREADABLE = Path("/proc/self/mem")
"""A file that is there and can't be read, not even by an administrator (to whom permissions mean nothing)."""


@dataclass(frozen=True)
class Copy:
    """A copy of `tiny` to be broken."""

    folder: Path

    @property
    def scenario(self) -> Path:
        return self.folder / "tiny.toml"

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.folder / name
        before = path.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, "the edit changes nothing"
        path.write_text(after, encoding="utf-8")

    def set(self, table: str, row: int, column: str, value: object) -> None:
        """One cell of a table of the network."""
        path = str(self.folder / "tiny.json")
        net: Any = pp.from_json(path)
        net[table].loc[row, column] = value
        pp.to_json(net, path)

    def unreadable(self, name: str) -> None:
        (self.folder / name).unlink()
        (self.folder / name).symlink_to(UNREADABLE)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, so that what a failed run leaves there is seen."""
    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path, cache: Path) -> Copy:
    folder = tmp_path / "broken"
    folder.mkdir()
    for source in (ROOT / "data" / "networks").glob("tiny*"):
        shutil.copy(source, folder)
    text = (ROOT / "data" / "scenarios" / "tiny.toml").read_text(encoding="utf-8")
    (folder / "tiny.toml").write_text(text.replace("../networks/", ""), encoding="utf-8")
    return Copy(folder)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must be refused, and gives the one message."""

    def run(*arguments: object) -> str:
        before = _snapshot(tmp_path)
        assert main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        message = captured.err[captured.err.index("gridnet: ") :]
        assert message.count("gridnet: ") == 1, "one message"
        assert "Traceback" not in captured.err
        assert _snapshot(tmp_path) == before, "something was written"
        return message

    return run


def _snapshot(folder: Path) -> dict[str, bytes | None]:
    files = {path: path.is_file() and not path.is_symlink() for path in sorted(folder.rglob("*"))}
    return {str(path): path.read_bytes() if plain else None for path, plain in files.items()}


def _assert_all_told(message: str, *phrases: str) -> None:
    assert [phrase for phrase in phrases if phrase not in message] == []


def test_the_copy_is_sound_before_it_is_broken(tiny: Copy, capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert main(["scenario", str(tiny.scenario)]) == 0
    assert "batteries" in capsys.readouterr().out
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".case"], "only now is the cache filled"


# Names and files


@pytest.mark.parametrize("command", [["scenario"], ["bench"], ["train"]], ids=lambda command: command[0])
def test_an_unknown_scenario_names_those_near_it(command: list[str], told: Callable[..., str]) -> None:
    message = told(*command, "rurall1")
    assert "rural1" in message.split("did you mean")[1].split("?")[0]
    assert "urban6" in message, "and all that ship"


def test_a_name_near_nothing_lists_what_ships(told: Callable[..., str]) -> None:
    message = told("scenario", "xyzzy")
    assert "did you mean" not in message
    _assert_all_told(message, "xyzzy", "rural1", "tiny")


def test_a_scenario_file_that_is_not_there(tiny: Copy, told: Callable[..., str]) -> None:
    _assert_all_told(told("scenario", tiny.folder / "absent.toml"), "absent.toml")


def test_a_folder_in_the_place_of_a_scenario(tiny: Copy, told: Callable[..., str]) -> None:
    (tiny.folder / "folder.toml").mkdir()
    _assert_all_told(told("scenario", tiny.folder / "folder.toml"), "folder.toml")
    assert str(tiny.folder) in told("bench", tiny.folder)


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        (b"", ["name: got nothing", "title: got nothing", "network: got nothing"]),
        (b"name = \n", ["not a TOML file", "line 1"]),
        (b"\xff\xfe\x00", ["not a TOML file"]),
        (b"[[network]]\nfile = 3\n", ["name", "title", "network"]),
    ],
    ids=["empty", "cut", "bytes", "list"],
)
def test_a_scenario_file_that_is_no_scenario(content: bytes, phrases: list[str], tiny: Copy, told: Callable[..., str]) -> None:
    tiny.scenario.write_bytes(content)
    _assert_all_told(told("scenario", tiny.scenario), str(tiny.scenario), *phrases)


def test_unknown_keys_wrong_types_and_impossible_values_are_listed_together(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny.toml", lambda text: text.replace("soc_start = 0.0", "soc_begin = 0.0"))
    tiny.edit("tiny.toml", lambda text: text.replace("efficiency_charge = 0.9", "efficiency_charge = 9"))
    tiny.edit("tiny.toml", lambda text: text.replace("grid_fee_eur_per_mwh = 100.0", 'grid_fee_eur_per_mwh = "dear"'))
    tiny.edit("tiny.toml", lambda text: text.replace("tiny_pv.csv", "absent.csv") + "\n[sorcery]\npower = 1\n")
    message = told("scenario", tiny.scenario)
    _assert_all_told(
        message, "battery.soc_begin", "battery.efficiency_charge", "tariff.grid_fee_eur_per_mwh", "sorcery",
        "series.pv.file", "absent.csv",
    )  # fmt: skip


@pytest.mark.skipif(not UNREADABLE.exists(), reason="only Linux has a file that nobody can read")
@pytest.mark.parametrize("name", ["tiny.toml", "tiny.json", "tiny_load.csv"])
def test_a_file_that_cannot_be_read(name: str, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.unreadable(name)
    assert name in told("scenario", tiny.scenario)


# Series


@pytest.mark.parametrize("name", ["tiny_load.csv", "tiny_price.csv", "tiny.json"])
def test_an_empty_file(name: str, tiny: Copy, told: Callable[..., str]) -> None:
    (tiny.folder / name).write_bytes(b"")
    assert name in told("scenario", tiny.scenario)


@pytest.mark.parametrize("name", ["tiny_load.csv", "tiny.json"])
def test_a_folder_in_the_place_of_a_file(name: str, tiny: Copy, told: Callable[..., str]) -> None:
    (tiny.folder / name).unlink()
    (tiny.folder / name).mkdir()
    _assert_all_told(told("scenario", tiny.scenario), name, "a file that exists")


@pytest.mark.parametrize("column", ["device", "timestamp", "value", "unit"])
def test_a_missing_column(column: str, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_load.csv", lambda text: text.replace(column, "something", 1))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_load.csv", f"a column '{column}'")


def test_naive_time_stamps(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_price.csv", lambda text: text.replace("+01:00", ""))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_price.csv", "without offset", "timezone")


def test_a_single_naive_time_stamp(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_price.csv", lambda text: text.replace("2018-01-01T05:00:00+01:00", "2018-01-01T05:00:00"))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_price.csv: line 7", "without offset")


def test_a_gap(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_pv.csv", lambda text: text.replace("roof,2018-01-02T03:00:00+01:00,0,kW\n", ""))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_pv.csv: line 29", "1 intervals missing")


def test_a_wrong_unit(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_carbon.csv", lambda text: text.replace("g/kWh", "EUR/MWh"))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_carbon.csv", "'EUR/MWh'", "g/kWh")


def test_consumption_with_the_wrong_sign(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_load.csv", lambda text: text.replace(",-2,", ",2,"))
    _assert_all_told(told("scenario", tiny.scenario), "tiny_load.csv", "consumption as negative values")


@pytest.mark.parametrize("word", ["nan", "inf", "-", "1e400", "2,5"])
def test_a_value_that_is_no_number(word: str, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_price.csv", lambda text: text.replace(",50,", f",{word},", 1))
    assert "tiny_price.csv" in told("scenario", tiny.scenario)


def test_devices_that_are_not_those_of_the_network(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_load.csv", lambda text: text.replace("home B", "home C"))
    _assert_all_told(told("scenario", tiny.scenario), "'home C'", "no rows for home B")


def test_the_faults_of_all_series_are_listed_together(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.edit("tiny_load.csv", lambda text: text.replace("unit", "units", 1))
    tiny.edit("tiny_pv.csv", lambda text: text.replace("+01:00", ""))
    tiny.edit("tiny_price.csv", lambda text: text.replace("EUR/MWh", "USD"))
    tiny.edit("tiny_carbon.csv", lambda text: text.replace("2018-01-02T03:00:00+01:00,400,g/kWh\n", ""))
    _assert_all_told(
        told("scenario", tiny.scenario), "tiny_load.csv: column unit", "tiny_pv.csv", "tiny_price.csv", "'USD'",
        "tiny_carbon.csv", "missing",
    )  # fmt: skip


# Network


@pytest.mark.parametrize("e_mwh", [-0.02, 0.0, np.nan])
def test_a_battery_without_capacity(e_mwh: float, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("storage", 0, "max_e_mwh", e_mwh)
    _assert_all_told(told("scenario", tiny.scenario), "storage[0].max_e_mwh", "more than 0")


def test_a_battery_of_negative_power(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("storage", 0, "sn_mva", -0.01)
    assert "storage[0].sn_mva" in told("scenario", tiny.scenario)


@pytest.mark.parametrize("table", ["load", "sgen", "storage"])
def test_a_device_at_a_bus_that_does_not_exist(table: str, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set(table, 0, "bus", 99)
    _assert_all_told(told("scenario", tiny.scenario), f"network.{table}[0].bus", "99")


@pytest.mark.parametrize(("table", "column"), [("line", "from_bus"), ("line", "to_bus"), ("ext_grid", "bus")])
def test_a_line_or_connection_at_a_bus_that_does_not_exist(table: str, column: str, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set(table, 0, column, 99)
    _assert_all_told(told("scenario", tiny.scenario), f"network.{table}[0].{column}", "99")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("line", "r_ohm_per_km", np.nan),
        ("ext_grid", "vm_pu", np.nan),
        ("load", "p_mw", np.nan),
        ("sgen", "p_mw", np.nan),
        ("line", "max_i_ka", 0.0),
        ("bus", "vn_kv", 0.0),
    ],
)
def test_a_number_that_means_nothing(table: str, column: str, value: float, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set(table, 0, column, value)
    assert f"network.{table}[0].{column}" in told("scenario", tiny.scenario)


def test_a_line_without_impedance(tiny: Copy, told: Callable[..., str]) -> None:
    for column in ("r_ohm_per_km", "x_ohm_per_km"):
        tiny.set("line", 1, column, 0.0)
    assert "network.line[1]" in told("scenario", tiny.scenario)


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_a_rating_that_means_nothing(value: float, tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("line", 0, "max_i_ka", value)
    assert "network.line[0].max_i_ka" in told("scenario", tiny.scenario)


def test_a_device_that_no_line_reaches(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("line", 3, "in_service", False)
    _assert_all_told(told("scenario", tiny.scenario), "network.load[1]")


def test_a_network_that_does_not_converge_at_rest(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("line", 0, "c_nf_per_km", 1e9)
    tiny.set("line", 0, "x_ohm_per_km", 1e4)
    _assert_all_told(told("scenario", tiny.scenario), "no AC solution at rest", "tiny")


def test_a_network_without_a_connection_point(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("ext_grid", 0, "in_service", False)
    _assert_all_told(told("scenario", tiny.scenario), "ext_grid", "exactly one")


@pytest.mark.parametrize("content", ["{}", "[]", "hello", '{"_module": "os", "_class": "system", "_object": "true"}'])
def test_a_network_file_that_is_no_network(content: str, tiny: Copy, told: Callable[..., str]) -> None:
    (tiny.folder / "tiny.json").write_text(content, encoding="utf-8")
    _assert_all_told(told("scenario", tiny.scenario), "tiny.json", "pandapower")


def test_the_faults_of_a_network_are_listed_together(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("storage", 0, "max_e_mwh", -0.02)
    tiny.set("load", 0, "bus", 77)
    tiny.set("load", 1, "bus", 78)
    tiny.set("sgen", 0, "p_mw", -0.01)
    _assert_all_told(told("scenario", tiny.scenario), "storage[0].max_e_mwh", "77", "78", "sgen[0].p_mw")


def test_the_faults_of_network_and_series_are_listed_together(tiny: Copy, told: Callable[..., str]) -> None:
    tiny.set("storage", 0, "max_e_mwh", -0.02)
    tiny.edit("tiny_price.csv", lambda text: text.replace("EUR/MWh", "USD"))
    _assert_all_told(told("scenario", tiny.scenario), "storage[0].max_e_mwh", "'USD'")


def test_a_load_that_the_network_cannot_carry_is_another_exit_code(tiny: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.edit("tiny_load.csv", lambda text: text.replace(",-2,", ",-900000,"))
    target = tiny.folder / "figures.json"
    assert main(["bench", str(tiny.scenario), "--weeks", "4", "--policies", "rule", "--json", str(target)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    _assert_all_told(captured.err, "gridnet: ", "without an AC solution", "step 2688")
    assert not target.exists()


# Targets


@pytest.fixture
def compiled(tiny: Copy, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder for targets; the shipped `tiny` is compiled already, so that a run of it writes nothing to the cache."""
    assert main(["scenario", "tiny"]) == 0
    capsys.readouterr()
    return tiny.folder


def test_figures_for_a_folder_that_is_not_there(compiled: Path, told: Callable[..., str]) -> None:
    target = compiled / "absent" / "figures.json"
    _assert_all_told(told("bench", "tiny", "--weeks", "4", "--policies", "rule", "--json", target), "absent")


def _folder(folder: Path) -> Path:
    (folder / "taken").mkdir()
    return folder / "taken"


def _nameless(folder: Path) -> str:
    return ""


def _in_a_place_without_files(folder: Path) -> Path:
    return Path("/proc") / "figures.json"


@pytest.mark.parametrize("target", [_folder, _nameless, _in_a_place_without_files])
def test_figures_for_a_target_that_cannot_be_written(
    target: Callable[[Path], object], compiled: Path, told: Callable[..., str]
) -> None:
    told("bench", "tiny", "--weeks", "4", "--policies", "rule", "--json", target(compiled))


def test_a_report_in_the_place_of_a_file(compiled: Path, told: Callable[..., str]) -> None:
    target = compiled / "taken"
    target.write_text("precious", encoding="utf-8")
    _assert_all_told(told("bench", "tiny", "--weeks", "4", "--policies", "rule", "--report", target), "taken")


def test_a_report_below_a_file(compiled: Path, told: Callable[..., str]) -> None:
    target = compiled / "taken"
    target.write_text("precious", encoding="utf-8")
    told("bench", "tiny", "--weeks", "4", "--policies", "rule", "--report", target / "report")


def test_a_report_that_cannot_be_written_leaves_no_figures_behind(compiled: Path) -> None:
    (compiled / "taken").write_text("precious", encoding="utf-8")
    figures = compiled / "figures.json"
    outputs = ["--json", str(figures), "--report", str(compiled / "taken")]
    assert main(["bench", "tiny", "--weeks", "4", "--policies", "rule", *outputs]) == 2
    assert not figures.exists()


# The same from outside


def _in_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "envs", "policies", "contracts"))
    command = [sys.executable, "-m", "gridnet.app.cli", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)


def test_a_shell_sees_one_message_and_exit_code_2(tiny: Copy) -> None:
    tiny.set("storage", 0, "max_e_mwh", -0.02)
    tiny.set("load", 1, "bus", 78)
    ended = _in_a_process("scenario", tiny.scenario)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "gridnet: the network of scenario tiny can't be used:\n"
        "  - tiny: network.load[1].bus: got 78, expected a bus of the network\n"
        "  - tiny: network.storage[0].max_e_mwh: got -0.02, expected more than 0 MWh: capacity\n"
    )


def test_a_shell_sees_no_traceback_for_a_misspelt_name() -> None:
    ended = _in_a_process("bench", "semiurban4", "--json", "-")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "did you mean semiurb4" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_traceback_would_be_seen(monkeypatch: pytest.MonkeyPatch, told: Callable[..., str]) -> None:
    def failing(arguments: object) -> None:
        raise OSError("a disk that broke")

    monkeypatch.setattr(cli, "_scenarios", failing)
    with pytest.raises(OSError, match="a disk that broke"):
        told("scenarios")
