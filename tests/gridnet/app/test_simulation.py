"""`gridnet simulate`: from dispatch to ledger, killed and resumed, honest and tampered with."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from gridnet.app.cli import main
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.rows import Certificate, Charging, Discharging, Judgement, Saving, Verification
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.ledger.stored import stored_balances
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.reports.reconciliation import reconcile
from gridnet_contracts.rewards.programme import load_programme

DAYS = 3
QUARTERS = 96 * DAYS
DAILY = Path(__file__).with_name("daily.toml")


def _arguments(folder: Path, *more: str) -> list[str]:
    place = ["--db", f"sqlite:///{folder}/ledger.db", "--seal", str(folder / "seal"), "--programme", str(DAILY)]
    return ["simulate", "tiny", "--policy", "rule", "--days", str(DAYS), "--first-day", "5", *place, *more]


def _audited(folder: Path) -> Database:
    """The ledger of a simulation, after an audit that must pass."""
    key = Seal.at(folder / "seal").key.verifier
    database = Database.reading(f"sqlite:///{folder}/ledger.db")
    outcomes = list(audit_database(database, Policy(key.name, key)))
    assert all(outcome.passed for outcome in outcomes), str(outcomes[-1])
    return database


def _dump(folder: Path) -> list[str]:
    """Everything in the ledger but the checkpoints, which are of another key, and are fewer where a run was not cut."""
    with sqlite3.connect(f"file:{folder}/ledger.db?mode=ro", uri=True) as connection:
        return [line for line in connection.iterdump() if '"checkpoints"' not in line]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulation that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert main(_arguments(folder)) == 0
    return folder


def test_every_quarter_is_verified_settled_and_audited(whole: Path) -> None:
    database = _audited(whole)
    with database.read() as connection:
        assert len(list(stored_rows(connection, Verification))) == QUARTERS
        assert not list(stored_rows(connection, Judgement)), "an honest meter was doubted"
        certificates = list(stored_rows(connection, Certificate))
        assert {"claimed", "held"} <= {certificate.status for certificate in certificates}
        assert list(stored_rows(connection, Charging))
        assert list(stored_rows(connection, Discharging))
        assert list(stored_rows(connection, Saving))
    with database.read() as connection:
        rewarded = {account: amount for (account, asset), amount in stored_balances(connection) if asset == "grt"}
    given = -rewarded.pop("source/programme:daily")
    assert 0 < given == sum(rewarded.values()) <= DAYS * load_programme(DAILY).budget
    assert reconcile(database).balanced
    database.close()


def test_the_same_seed_gives_the_same_ledger_and_another_one_does_not(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    (tmp_path / "other").mkdir()
    assert main(_arguments(tmp_path / "same")) == 0
    assert main(_arguments(tmp_path / "other", "--seed", "1")) == 0
    assert _dump(tmp_path / "same") == _dump(whole)
    assert _dump(tmp_path / "other") != _dump(whole)


def _run_quietly(arguments: list[str]) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        main(arguments)


@pytest.mark.long
def test_killed_at_any_moment_it_goes_on_without_counting_twice(row: Path, tmp_path: Path) -> None:
    """With probes under way, one of which a battery fails."""

    def arguments(folder: Path) -> list[str]:
        command, _, *rest = _arguments(folder, "--tamper", "idle_battery:1:bat-00")
        return [command, str(row), *rest]

    moments = random.Random(0)
    began = time.monotonic()
    assert main(arguments(tmp_path)) == 0
    takes_s = time.monotonic() - began
    cut = tmp_path / "cut"
    cut.mkdir()
    for _ in range(5):
        child = multiprocessing.get_context("fork").Process(target=_run_quietly, args=(arguments(cut),))
        child.start()
        child.join(moments.uniform(0.1, 0.9) * takes_s)
        if child.is_alive():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert main(arguments(cut)) == 0
    _audited(cut).close()
    assert _dump(cut) == _dump(tmp_path)


def test_what_is_there_is_not_entered_again(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _dump(whole)
    assert main(_arguments(whole)) == 0
    printed = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert printed["new"] == "0"
    assert _dump(whole) == before


@pytest.mark.parametrize(
    "wrong",
    [
        ["--policy", "none"],
        ["--rule", "auction"],
        ["--days", "0"],
        ["--first-day", "-1"],
        ["--programme", "no-such"],
        ["--tamper", "scaled"],
        ["--tamper", "scaled:x:home-001"],
        ["--tamper", "scaled:0.2:home-999"],
        ["--tamper", "idle_battery:1:home-003"],
        ["--tamper", "idle_battery:1.5:bat-00"],
    ],
)
def test_bad_input_is_one_message_and_no_ledger(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*_arguments(tmp_path), *wrong]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fraud", "level", "reach"), [("scaled:0.03:home-002", 3, len("2018-01-06")), ("inflated:0.5:pv-00", 1, None)]
)
def test_a_meter_that_cheats_is_doubted_and_its_certificates_stay_held(
    fraud: str, level: int, reach: int | None, tmp_path: Path
) -> None:
    """A home's fraud shows over a day and keeps the day; a plant's impossible quarter-hours keep themselves."""
    assert main([*_arguments(tmp_path), "--days", "4", "--tamper", fraud]) == 0
    database = _audited(tmp_path)
    with database.read() as connection:
        doubts = [doubt for doubt in stored_rows(connection, Judgement) if doubt.level == level]
        certificates = list(stored_rows(connection, Certificate))
    database.close()
    assert f"tiny:{fraud.rpartition(':')[2]}" in {doubt.device for doubt in doubts}
    in_doubt = {doubt.start[:reach] for doubt in doubts}
    starts = [certificate.issuance.partition("@")[2] for certificate in certificates]
    assert all(min(starts)[:reach] < start for start in in_doubt), "it was honest on the first day"
    kept = {certificate.status for certificate, start in zip(certificates, starts, strict=True) if start[:reach] in in_doubt}
    assert kept == {"held"}
    assert "claimed" in {certificate.status for certificate in certificates}, "the honest days were released"


@pytest.mark.long
def test_several_policies_settle_into_ledgers_of_their_own_as_they_would_alone(whole: Path, tmp_path: Path) -> None:
    places = ["--db", f"sqlite:///{tmp_path}/{{policy}}/ledger.db", "--seal", f"{tmp_path}/{{policy}}/seal"]
    for policy in ("rule", "no_battery"):
        (tmp_path / policy).mkdir()
    arguments = _arguments(tmp_path, *places, "--policy", "rule,no_battery", "--workers", "2")
    assert main(arguments) == 0
    assert _dump(tmp_path / "rule") == _dump(whole)
    assert _dump(tmp_path / "no_battery") != _dump(whole)


def test_ledgers_of_several_must_be_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_arguments(tmp_path, "--policy", "rule,no_battery", "--engine", "dask")) == 2
    message = capsys.readouterr().err
    assert "{policy} in it, which tells those of --policy apart" in message
    assert "--engine: got 'dask'" in message
    assert not (tmp_path / "ledger.db").exists()
