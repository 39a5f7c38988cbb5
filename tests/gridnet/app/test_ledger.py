"""`gridnet ledger`: a ledger founded, looked at, exported, replayed and proven from the command line."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gridnet.app.cli import main
from tests.contracts.gridnet_contracts.audit.story import ENTRIES, KEY, ORIGIN, Home, certificate, tell

FOUND = ["--origin", "example.net/new", "--issuer", "Grid", "--country", "DE", "--market-zone", "DE-LU"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("told")
    return tell(f"sqlite:///{folder}/ledger.db", folder / "seal")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, and what was said of errors: one message, no traceback."""
    code = main(list(arguments))
    captured = capsys.readouterr()
    assert captured.err.count("gridnet: ") == (1 if code else 0)
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def test_a_ledger_goes_round_from_its_founding_to_its_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = ["--db", f"sqlite:///{tmp_path}/ledger.db"]
    code, out, _ = _run(capsys, "ledger", "found", *db, "--seal", str(tmp_path / "seal"), *FOUND)
    key = out.splitlines()[-1]
    assert (code, out.splitlines()[0]) == (0, "founded example.net/new; auditors need its key:")
    assert key.startswith("example.net/new+")
    code, out, _ = _run(capsys, "ledger", "status", *db)
    assert code == 0
    assert "entries         1\nsigned          1\n" in out
    assert out.rstrip().splitlines()[-1].startswith("\u2014 example.net/new ")
    for table_format in ("csv", "parquet", "jsonl"):
        folder = str(tmp_path / table_format)
        assert _run(capsys, "ledger", "export", *db, "--out", folder, "--format", table_format)[:2] == (
            0,
            f"0 certificates in {folder}\n",
        )
        assert _run(capsys, "audit", "verify", folder, "--key", key)[0] == 0
    assert _run(capsys, "ledger", "replay", *db)[0] == 0
    again = f"sqlite:///{tmp_path}/again.db"
    code, out, _ = _run(capsys, "ledger", "replay", *db, "--into", again)
    assert (code, out.splitlines()[0]) == (0, f"1 entries made again in {again}")
    proof = str(tmp_path / "first.tlog-proof")
    assert _run(capsys, "ledger", "prove", *db, "0", "--out", proof)[:2] == (0, f"proof of entry 0 in {proof}\n")
    assert _run(capsys, "audit", "verify", proof, "--key", key)[0] == 0
    assert _run(capsys, "audit", "verify", "--db", again, "--key", key)[0] == 0


def test_founding_again_with_the_same_words_changes_nothing_and_with_others_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--db", f"sqlite:///{tmp_path}/ledger.db", "--seal", str(tmp_path / "seal")]
    first = _run(capsys, "ledger", "found", *where, *FOUND)
    assert _run(capsys, "ledger", "found", *where, *FOUND) == first
    assert _run(capsys, "ledger", "found", *where, *FOUND, "--purpose", "other")[0] == 4
    assert _run(capsys, "ledger", "found", *where, *FOUND, "--origin", "example.net/other")[0] == 4
    other = ["--db", f"sqlite:///{tmp_path}/other.db", "--seal", str(tmp_path / "seal")]
    code, _, error = _run(capsys, "ledger", "found", *other, *FOUND)
    assert (code, "a checkpoint over 1 was signed" in error) == (4, True)


def test_a_founding_that_failed_can_be_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seal = ["--seal", str(tmp_path / "seal")]
    assert _run(capsys, "ledger", "found", "--db", f"sqlite:///{tmp_path}/none/ledger.db", *seal, *FOUND)[0] == 4
    assert _run(capsys, "ledger", "found", "--db", f"sqlite:///{tmp_path}/ledger.db", *seal, *FOUND)[0] == 0


@pytest.mark.parametrize(
    ("option", "words", "code"),
    [
        ("--seal", "{file}", 2),
        ("--seal", "{file}/below", 2),
        ("--origin", "two words", 2),
        ("--origin", "a+b", 2),
        ("--issuer", "", 4),
        ("--country", "D\nE", 4),
        ("--db", "ledger.db", 2),
        ("--db", "mysql://host/name", 2),
        ("--db", "sqlite://", 2),
        ("--db", "", 2),
    ],
)
def test_a_founding_that_can_not_be_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, words: str, code: int
) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = ["--db", f"sqlite:///{tmp_path}/ledger.db", "--seal", str(tmp_path / "seal"), *FOUND]
    arguments[arguments.index(option) + 1] = words.format(file=tmp_path / "file")
    assert _run(capsys, "ledger", "found", *arguments)[0] == code


def test_status_adds_up_the_accounts_by_what_they_are_for(told: Home, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "ledger", "status", "--db", told.url)
    assert code == 0
    assert f"\nentries         {ENTRIES}\nsigned          {ENTRIES}\n" in out
    totals = {
        tuple(line.split()[::2]): int(line.split()[1]) for line in out.splitlines() if line.endswith((" gc", " grey", " eur"))
    }
    assert totals["source", "gc"] == -8000
    assert totals["retired", "gc"] == 400
    assert totals["owned", "eur"] == 900
    for asset in ("gc", "grey", "eur"):
        assert sum(total for (_, each), total in totals.items() if each == asset) == 0


def test_a_certificate_is_proven_by_the_entry_that_made_it(told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof = str(tmp_path / "split.tlog-proof")
    code, out, _ = _run(capsys, "ledger", "prove", "--db", told.url, certificate(0, 0, 400), "--out", proof)
    assert code == 0
    code, out, _ = _run(capsys, "audit", "verify", proof, "--key", KEY.verifier.encode())
    assert code == 0
    assert "split of 2026-06-03T20:00:00Z" in out


def test_a_proof_to_standard_output_is_nothing_but_the_proof(
    told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "one.tlog-proof"
    assert _run(capsys, "ledger", "prove", "--db", told.url, "3", "--out", str(proof))[0] == 0
    assert _run(capsys, "ledger", "prove", "--db", told.url, "3", "--out", "-") == (0, proof.read_text("utf-8"), "")


@pytest.mark.parametrize("what", [str(ENTRIES), "9" * 30, "9" * 5000, "-1", "pv@2026-06-01T10:00Z/0-9", "", "\u0663\u0663\u0663"])
def test_what_is_not_there_is_not_proven(told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    proof = tmp_path / "none.tlog-proof"
    code, out, _ = _run(capsys, "ledger", "prove", "--db", told.url, "--out", str(proof), "--", what)
    assert (code, out, proof.exists()) == (4, "", False)


@pytest.mark.parametrize("command", ["status", "export", "replay", "prove"])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("sqlite:///{folder}/none.db", 2),
        ("sqlite:///{folder}", 2),
        ("{folder}/ledger.db", 2),
        ("http://host", 2),
        ("sqlite:///{folder}/text.db", 4),
        ("sqlite:///{folder}/empty.db", 4),
        ("sqlite:///{folder}/other.db", 4),
        ("sqlite:///{folder}/tables.db", 4),
        ("sqlite:///{folder}/newer.db", 4),
        ("postgresql://nobody@127.0.0.1:1/none", 4),
    ],
)
def test_a_ledger_that_can_not_be_read_is_one_message(
    told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, url: str, code: int
) -> None:
    _not_ledgers(told, tmp_path)
    more = {"export": ["--out", str(tmp_path / "out")], "prove": ["0", "--out", str(tmp_path / "proof")]}
    made, out, error = _run(capsys, "ledger", command, "--db", url.format(folder=tmp_path), *more.get(command, []))
    assert (made, out) == (code, "")
    if "newer" in url:
        assert "later" in error
    assert not (tmp_path / "out" / "checkpoint").exists()
    assert not (tmp_path / "proof").exists()


def _not_ledgers(told: Home, folder: Path) -> None:
    """Files that hold no ledger of this version."""
    from gridnet_contracts.ledger.database import Database

    (folder / "text.db").write_text("This is no database. " * 50)
    (folder / "empty.db").touch()
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    tables = Database(f"sqlite:///{folder}/tables.db")
    tables.migrate()
    tables.close()
    shutil.copyfile(told.file, folder / "newer.db")
    with closing(sqlite3.connect(folder / "newer.db")) as connection:
        connection.executescript("UPDATE alembic_version SET version_num = '9999'; PRAGMA wal_checkpoint(TRUNCATE);")


def test_an_export_is_refused_where_it_would_mix_with_something(
    told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine", ""):
        assert _run(capsys, "ledger", "export", "--db", told.url, "--out", str(folder))[0] == 2
    assert _run(capsys, "ledger", "export", "--db", told.url, "--out", str(tmp_path / "new"), "--format", "xml")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_export_discloses_only_when_it_is_asked_to(told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, there in (([], False), (["--disclose"], True)):
        folder = tmp_path / str(there)
        assert _run(capsys, "ledger", "export", "--db", told.url, "--out", str(folder), *more)[0] == 0
        assert (folder / "disclosures.jsonl").exists() == there
        code, out, _ = _run(capsys, "audit", "verify", str(folder), "--key", KEY.verifier.encode())
        assert (code, "3 disclosed" in out) == (0, there)


def test_a_replay_into_a_ledger_that_is_there_is_refused(told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(told.file, tmp_path / "copy.db")
    before = (tmp_path / "copy.db").read_bytes()
    assert _run(capsys, "ledger", "replay", "--db", told.url, "--into", f"sqlite:///{tmp_path}/copy.db")[0] == 4
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    assert count == ENTRIES
    assert (tmp_path / "copy.db").read_bytes() == before
    assert _run(capsys, "ledger", "replay", "--db", told.url, "--into", "nonsense")[0] == 2


def test_a_replay_finds_a_changed_balance(told: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(told.file, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute("UPDATE balances SET amount = amount + 1 WHERE asset = 'eur'")
        connection.commit()
    code, _, error = _run(capsys, "ledger", "replay", "--db", f"sqlite:///{tmp_path}/copy.db")
    assert (code, "balance" in error) == (1, True)
    assert ORIGIN not in error
