"""The command line: what is printed, exit codes, and files that appear whole or not at all."""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnet.app import cli
from gridnet.app.cli import main
from gridnet.errors import GridnetError, Infeasible, InputError, PowerFlowDiverged
from gridnet.scenario import load_scenario, shipped_scenarios

TINY = ["bench", "tiny", "--weeks", "4", "--policies", "rule"]


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_scenarios_lists_every_shipped_name_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _printed(capsys, "scenarios").splitlines()
    assert [line.split()[0] for line in lines] == shipped_scenarios()
    for line in lines:
        name, title = line.split(maxsplit=1)
        assert title == load_scenario(name).title


def test_scenario_describes_what_a_feeder_holds(capsys: pytest.CaptureFixture[str]) -> None:
    text = _printed(capsys, "scenario", "tiny")
    facts = dict(re.findall(r"^  (\S.*?) {2,}(.+)$", text, flags=re.MULTILINE))
    assert text.startswith("tiny: ")
    assert facts["buses"] == "5"
    assert facts["lines"] == "4"
    assert facts["transformers"] == "none"
    assert facts["loads"] == "2, peak together 4.0 kW"
    assert facts["PV plants"] == "1, peak together 10.0 kW"
    assert facts["batteries"] == "1, 10.0 kW, 20.0 kWh"
    assert facts["steps"] == "3360 of 0.25 h from 2017-12-31T23:00:00+00:00"
    assert facts["spot price, mean"] == "83.33 EUR/MWh"
    assert facts["import price, mean"] == "183.33 EUR/MWh"
    assert facts["carbon intensity, mean"] == "400 g/kWh"
    assert facts["source, load"].startswith("data/make_tiny.py; licence Apache-2.0; sha256 ")


def test_the_homes_of_rural3_peak_together_as_real_homes_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"coincidence factor, homes +([\d.]+) \((\d+) homes\)", _printed(capsys, "scenario", "rural3"))
    assert found is not None
    factor, homes = float(found[1]), int(found[2])
    assert homes > 100
    assert 0.15 <= factor <= 0.30


def test_a_path_to_a_file_serves_as_well_as_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).resolve().parents[3] / "data" / "scenarios" / "tiny.toml"
    assert _printed(capsys, "scenario", str(path)) == _printed(capsys, "scenario", "tiny")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("wrong"), 2),
        (PowerFlowDiverged("no solution"), 3),
        (Infeasible("no schedule"), 3),
        (GridnetError("broken"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, BaseException) else str(part),
)
def test_an_error_is_one_message_and_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(arguments: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_scenarios", failing)
    assert main(["scenarios"]) == code != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gridnet: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["bench", "tiny", "--seeds", "many"], ["bench", "tiny", "rural1"], ["train"], ["train", "--algo", "x"]],
    ids=" ".join,
)
def test_a_command_line_that_is_none_is_refused_with_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: gridnet" in capsys.readouterr().err


def _commands(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and of all below it."""
    yield before
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _commands(below, (*before, name))


@pytest.mark.parametrize("words", list(_commands(cli.parser())), ids=lambda words: " ".join(words) or "gridnet")
def test_help_prints_for_every_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {' '.join(('gridnet', *words))} ")


@contextlib.contextmanager
def _files_hold_at_most(size: int) -> Iterator[None]:
    """A full disk, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A file of figures that is there already."""
    target = tmp_path / "figures.json"
    _printed(capsys, *TINY, "--json", str(target))
    return target


def test_a_full_disk_leaves_the_old_figures_whole(target: Path) -> None:
    old = target.read_bytes()
    with _files_hold_at_most(100), contextlib.suppress(OSError):
        assert main([*TINY, "--json", str(target)]) != 0
    assert target.read_bytes() == old


def test_a_full_disk_is_one_message_and_leaves_nothing_beside(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with _files_hold_at_most(100):
        assert main([*TINY, "--json", str(target)]) == 2
    assert "gridnet: can't write" in capsys.readouterr().err
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_run_that_fails_leaves_the_old_figures_whole(target: Path) -> None:
    old = target.read_bytes()
    assert main([*TINY, "--json", str(target), "--policies", "rl", "--seeds", "99"]) == 2
    assert target.read_bytes() == old
    assert [path.name for path in target.parent.iterdir()] == [target.name]
