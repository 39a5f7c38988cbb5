"""Probes and a person's review through `gridnet simulate` and `gridnet ledger review`: found, decided, audited, gone on with."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gridnet.app.cli import main
from gridnet.app.review import Recorded, Records, read_records
from gridnet.verification.review import ReviewQueue
from gridnet.verification.verdict import Level
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.rows import Certificate, Judgement
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.log.cosignature import Policy

DAILY = Path(__file__).with_name("daily.toml")
DAYS = 3
DAY = datetime(2018, 1, 7, tzinfo=UTC)
CHEAT, HONEST = "row:home-002", "row:home-003"


def _place(folder: Path) -> list[str]:
    return ["--db", f"sqlite:///{folder}/ledger.db", "--seal", str(folder / "seal")]


def _simulate(row: Path, folder: Path, *more: str) -> int:
    days = ["--days", str(DAYS), "--first-day", "5", "--programme", str(DAILY)]
    return main(["simulate", str(row), "--policy", "rule", *days, *_place(folder), *more])


def _decide(folder: Path, device: str, outcome: str) -> int:
    return main(
        ["ledger", "review", *_place(folder), "--decide", device, "--outcome", outcome, "--who", "ann", "--why", "meter looked at"]
    )


def _audited(folder: Path) -> Database:
    key = Seal.at(folder / "seal").key.verifier
    database = Database.reading(f"sqlite:///{folder}/ledger.db")
    outcomes = list(audit_database(database, Policy(key.name, key)))
    assert all(outcome.passed for outcome in outcomes), str(outcomes[-1])
    return database


def _rows(folder: Path) -> tuple[list[Judgement], dict[str, str]]:
    """Verdicts, and the status of each certificate that was not split, by its first Wh."""
    database = _audited(folder)
    with database.read() as connection:
        verdicts = list(stored_rows(connection, Judgement))
        status = {
            f"{each.issuance}/{each.lo}": each.status for each in stored_rows(connection, Certificate) if each.status != "split"
        }
    database.close()
    return verdicts, status


def _keys(folder: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(f"file:{folder}/ledger.db?mode=ro", uri=True) as connection:
        return set(connection.execute("SELECT key, body_hash FROM entries"))


@pytest.fixture(scope="module")
def cheated(row: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A battery that does nothing from the second day on, behind meters that say it does."""
    folder = tmp_path_factory.mktemp("cheated")
    assert _simulate(row, folder, "--tamper", "idle_battery:1:bat-00") == 0
    return folder


@pytest.fixture
def copied(cheated: Path, tmp_path: Path) -> Path:
    shutil.copytree(cheated, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_battery_that_does_not_move_fails_its_probe_and_an_honest_one_passes(cheated: Path) -> None:
    verdicts, status = _rows(cheated)
    probed = {(each.device, each.start[:10]): each.outcome for each in verdicts if each.level == 4}

    assert probed[CHEAT, "2018-01-06"] == "pass", "it was honest on the first day"
    assert probed[CHEAT, "2018-01-07"] == "hold"
    assert {outcome for (device, _), outcome in probed.items() if device == HONEST} == {"pass"}
    assert {state for name, state in status.items() if "@2018-01-07" in name} == {"held"}


def test_honest_homes_pass_and_a_longer_run_goes_on_where_a_shorter_one_ended(row: Path, tmp_path: Path) -> None:
    for name, lengths in (("at once", ("2",)), ("in two", ("1", "2"))):
        (tmp_path / name).mkdir()
        for days in lengths:
            assert _simulate(row, tmp_path / name, "--days", days) == 0
    assert _keys(tmp_path / "in two") == _keys(tmp_path / "at once")
    verdicts, _ = _rows(tmp_path / "in two")
    assert {(each.level, each.outcome) for each in verdicts} == {(4, "pass")}
    assert {each.device for each in verdicts} == {CHEAT, HONEST}


def test_what_waits_is_listed_from_the_ledger_and_a_probe_that_passed_does_not_wait(
    cheated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ledger", "review", "--db", f"sqlite:///{cheated}/ledger.db"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()

    assert head.split() == ["in", "doubt", "level", "since", "found", "last"]
    assert lines[0].split()[:3] == [CHEAT, "L4", "2018-01-07T00:00Z"]
    assert "would pass" in lines[0]
    assert "row:head" in {line.split()[0] for line in lines}


def test_a_rejection_withdraws_what_the_doubt_held(copied: Path) -> None:
    before = _rows(copied)[1]
    assert _decide(copied, CHEAT, "reject") == 0
    verdicts, after = _rows(copied)

    changed = {name for name in before if after[name] != before[name]}
    assert changed
    assert all("pv-00@2018-01-07" in name and (before[name], after[name]) == ("held", "withdrawn") for name in changed)
    [decided] = [each for each in verdicts if each.level == 5]
    assert (decided.device, decided.outcome, decided.finding) == (CHEAT, "reject", "meter looked at")
    database = Database.reading(f"sqlite:///{copied}/ledger.db")
    assert read_records(database).queue.about(CHEAT) is None
    database.close()


def test_nothing_is_released_before_the_last_doubt_about_it_is_decided(copied: Path) -> None:
    def held() -> set[str]:
        return {name for name, state in _rows(copied)[1].items() if "@2018-01-07" in name and state == "held"}

    before = held()
    assert _decide(copied, CHEAT, "pass") == 0
    left = held()
    assert _decide(copied, "row:head", "pass") == 0
    assert left == before != set(), "the head does not balance in any of them either"
    assert not held()
    released = _rows(copied)[1]
    assert {released[name] for name in before} == {"active"}


def test_a_run_goes_on_after_a_decision_as_if_there_were_none(row: Path, copied: Path) -> None:
    assert _decide(copied, CHEAT, "pass") == 0
    decided = _keys(copied)
    assert _simulate(row, copied, "--tamper", "idle_battery:1:bat-00", "--days", "4") == 0
    assert _keys(copied) > decided
    _audited(copied).close()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--decide", HONEST.replace("3", "9"), "--outcome", "pass", "--who", "ann", "--why", "fine"],
        ["--decide", CHEAT, "--outcome", "pass", "--who", " ", "--why", "fine"],
        ["--decide", CHEAT, "--outcome", "pass", "--who", "ann"],
        ["--outcome", "pass"],
    ],
)
def test_no_decision_without_a_doubt_a_name_and_a_reason(wrong: list[str], copied: Path) -> None:
    before = _keys(copied)
    assert main(["ledger", "review", *_place(copied), *wrong]) == 2
    assert _keys(copied) == before


def test_a_home_that_was_forgotten_can_not_be_decided(copied: Path) -> None:
    with sqlite3.connect(copied / "ledger.db") as connection:
        connection.execute("DELETE FROM disclosures WHERE kind = 'party'")
    assert _decide(copied, CHEAT, "reject") == 2


@pytest.mark.parametrize(("named", "doubted"), [(frozenset[tuple[str, date]](), True), (frozenset({("row", DAY.date())}), False)])
def test_where_level_3_named_homes_the_imbalance_of_the_day_is_not_everybodys(
    named: frozenset[tuple[str, date]], doubted: bool
) -> None:
    whole = Recorded("row:head", DAY, Level.BALANCED, "hold", "does not balance", "00" * 32, whole_day=True)
    records = Records(ReviewQueue().with_verdicts([whole]), named, {})
    at = "row:pv-00@2018-01-07T10:00Z"
    certificate = Certificate(f"{at}/0-5", at, 0, 5, "held", "p:0", "", "", "", "00" * 32, 1)

    assert records.doubted(certificate, "row:head") is doubted
    assert not records.doubted(certificate, "row:home-003")
