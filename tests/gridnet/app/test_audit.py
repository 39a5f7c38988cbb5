"""`gridnet audit verify`: exit 0 if all holds, 1 if something does not, 2 if it could not be tried."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridnet.app.cli import main
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.export import export
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.witness import Witness
from tests.contracts.gridnet_contracts.audit.story import ENTRIES, KEY, ORIGIN, Home, opened, tell

WITNESS = SignerKey("witness.example", b"\x07" * 32, Algorithm.COSIGNATURE)
OTHER = SignerKey("other.example", b"\x08" * 32, Algorithm.COSIGNATURE)
TRUSTED = KEY.verifier.encode()


@dataclass(frozen=True)
class Evidence:
    """A ledger that a witness cosigns, its export and one of its proofs."""

    home: Home
    export: Path
    proof: Path

    def sources(self) -> list[list[str]]:
        return [["--db", self.home.url], [str(self.export)], [str(self.proof)]]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    witness = Witness(folder / "witness", WITNESS, {ORIGIN: [KEY.verifier]}, lambda: 1_800_000_000)
    home = tell(f"sqlite:///{folder}/ledger.db", folder / "seal", [witness])
    database = Database.reading(home.url)
    export(database, folder / "export", disclose=True)
    database.close()
    ledger = opened(home)
    (folder / "entry.tlog-proof").write_bytes(ledger.prove(5).encode())
    ledger.close()
    return Evidence(home, folder / "export", folder / "entry.tlog-proof")


def _verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of output, and the one message, if any."""
    code = main(["audit", "verify", *arguments])
    captured = capsys.readouterr()
    assert captured.err.count("gridnet: ") == (1 if code else 0)
    assert "Traceback" not in captured.err
    return code, captured.out.splitlines(), captured.err


def test_each_kind_of_evidence_is_verified_check_by_check(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    for source, checks in zip(evidence.sources(), (8, 8, 4), strict=True):
        code, lines, _ = _verify(capsys, *source, "--key", TRUSTED)
        assert (code, lines[-1]) == (0, "verified: everything above holds")
        assert [line[:8] for line in lines[:-1]] == [f"{number}. ok   " for number in range(1, checks + 1)]


def test_a_key_may_stand_in_a_file(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.pub").write_text(TRUSTED + "\n")
    (tmp_path / "witness.pub").write_text(WITNESS.verifier.encode())
    for source in evidence.sources():
        keys = ["--key", str(tmp_path / "log.pub"), "--witness", str(tmp_path / "witness.pub")]
        assert _verify(capsys, *source, *keys)[0] == 0


def test_witnesses_are_asked_for_all_unless_a_quorum_is_given(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--witness", WITNESS.verifier.encode(), "--witness", OTHER.verifier.encode()]
    for source in evidence.sources():
        assert _verify(capsys, *source, "--key", TRUSTED, *both)[0] == 1
        assert _verify(capsys, *source, "--key", TRUSTED, *both, "--quorum", "1")[0] == 0
        assert _verify(capsys, *source, "--key", TRUSTED, *both, "--quorum", "3")[0] == 2
        assert _verify(capsys, *source, "--key", TRUSTED, *both, "--quorum", "-1")[0] == 2


def test_a_checkpoint_seen_before_must_be_continued(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = str(evidence.export / "checkpoint")
    for source in evidence.sources()[:2]:
        code, lines, _ = _verify(capsys, *source, "--key", TRUSTED, "--seen", seen)
        assert (code, f"its {ENTRIES} entries" in lines[6]) == (0, True)
        (tmp_path / "other").write_bytes(sign(Checkpoint(ORIGIN, 3, b"\x05" * 32), KEY))
        code, lines, _ = _verify(capsys, *source, "--key", TRUSTED, "--seen", str(tmp_path / "other"))
        assert (code, lines[-1].startswith("7. FAIL ")) == (1, True)
    assert _verify(capsys, str(evidence.proof), "--key", TRUSTED, "--seen", seen)[0] == 2
    assert _verify(capsys, str(evidence.export), "--key", TRUSTED, "--seen", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize(
    "key",
    [SignerKey(ORIGIN, b"\x02" * 32), SignerKey("example.net/other", b"\x01" * 32), SignerKey("example.net/other", b"\x02" * 32)],
)
def test_the_key_of_another_log_verifies_nothing(evidence: Evidence, capsys: pytest.CaptureFixture[str], key: SignerKey) -> None:
    for source in evidence.sources():
        code, lines, error = _verify(capsys, *source, "--key", key.verifier.encode())
        assert (code, lines[-1][3:7]) == (1, "FAIL")
        assert "don't rely on this" in error


def test_the_first_check_that_fails_is_the_last_line(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(evidence.export, folder)
    (folder / "more").write_text("more")
    code, lines, error = _verify(capsys, str(folder), "--key", TRUSTED)
    assert (code, len(lines)) == (1, 2)
    assert lines[1].startswith("2. FAIL the files are those of an export: more is not part of an export")
    assert error == "gridnet: check 2 failed: don't rely on this\n"


@pytest.mark.parametrize("what", ["empty", "text", "seal", "newer", "garbage"])
def test_evidence_that_is_none_fails(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("This is no proof.\n")
    shutil.copytree(evidence.home.seal, tmp_path / "seal")
    (tmp_path / "garbage").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
    shutil.copyfile(evidence.home.file, tmp_path / "newer")
    with closing(sqlite3.connect(tmp_path / "newer")) as connection:
        connection.executescript("UPDATE alembic_version SET version_num = '9999'; PRAGMA wal_checkpoint(TRUNCATE);")
    assert _verify(capsys, str(tmp_path / what), "--key", TRUSTED)[0] == 1
    if (tmp_path / what).is_file():
        assert _verify(capsys, "--db", f"sqlite:///{tmp_path / what}", "--key", TRUSTED)[0] == 1


def test_what_can_not_be_tried_is_bad_input(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "private").write_text(KEY.encode())
    key = ["--key", TRUSTED]
    tries = [
        key,
        [str(evidence.export), "--db", evidence.home.url, *key],
        [str(tmp_path / "none"), *key],
        ["--db", f"sqlite:///{tmp_path}/none.db", *key],
        ["--db", "ledger.db", *key],
        [str(evidence.export), "--key", ""],
        [str(evidence.export), "--key", "nonsense"],
        [str(evidence.export), "--key", TRUSTED[:-1]],
        [str(evidence.export), "--key", str(tmp_path / "none")],
        [str(evidence.export), "--key", str(tmp_path / "binary")],
        [str(evidence.export), "--key", str(tmp_path)],
        [str(evidence.export), "--key", str(tmp_path / "private")],
        [str(evidence.export), "--key", WITNESS.verifier.encode()],
        [str(evidence.export), *key, "--witness", TRUSTED],
        [str(evidence.export), *key, "--witness", "nonsense"],
        [str(evidence.export), *key, "--witness", WITNESS.verifier.encode(), "--witness", WITNESS.verifier.encode()],
        [str(evidence.export), *key, "--quorum", "1"],
    ]
    for arguments in tries:
        code, lines, error = _verify(capsys, *arguments)
        assert (code, lines) == (2, []), arguments
        assert "AQEBAQ" not in error, "a private key is not repeated"


def test_no_key_is_a_wrong_command_line(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["audit", "verify", str(evidence.export)])
    assert caught.value.code == 2
    assert "--key" in capsys.readouterr().err


def test_verifying_writes_nothing(evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evidence.export.parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for source in evidence.sources():
        assert _verify(capsys, *source, "--key", TRUSTED)[0] == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
