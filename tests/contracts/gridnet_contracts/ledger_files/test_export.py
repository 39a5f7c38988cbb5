"""Exports: what auditors get, in three formats, whole or not at all."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from sqlalchemy import insert

from gridnet.errors import GridnetError, InputError, LedgerError
from gridnet_contracts.audit.bundle import audit_bundle
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.certificate_table import COLUMNS, stored_certificates
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.schema import table_of
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.ledger.table_files import CHUNK_ROWS, FORMATS, write_rows
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from tests.contracts.gridnet_contracts.audit.story import (
    CERTIFICATES,
    ENTRIES,
    FOUND,
    KEY,
    ORIGIN,
    POLICY,
    Home,
    certificate,
    failed,
)

ATTRIBUTES = {
    "issuance id, kept by split children": "issuance",
    "id range": "lo hi",
    "quantity = range length": "wh",
    "face value in Wh": "face_value_wh",
    "hash-chained to the parent on split": "chain parent",
    "production or discharge interval": "start end",
    "issuance and expiry": "issued expires",
    "carrier": "carrier",
    "source": "source",
    "technology": "technology",
    "from production or storage": "from_storage",
    "after conversion": "after_conversion",
    "usable for disclosure": "disclosure",
    "device id": "device",
    "device name, location, meter id (salted hash)": "device_private",
    "commissioning date": "commissioned",
    "capacity": "capacity_w",
    "grid operator": "grid_operator",
    "is_storage, storage capacity": "storage_wh",
    "issuer identity": "issuer origin",
    "country": "country",
    "grid connection": "grid_connection",
    "market zone": "market_zone",
    "legal status": "legal_status",
    "purpose": "purpose",
    "support received": "support",
    "quality scheme": "quality_scheme",
    "dissemination level": "dissemination",
    "registry configuration": "configuration",
    "emissions factor and its method": "emissions_mg_per_kwh emissions_method",
    "status": "status",
    "account": "party",
    "beneficiary": "beneficiary",
    "allocation: the certificate cancelled for a storage certificate": "backing",
    "efficiency": "storage_efficiency_ppm",
    "name, entry and evidence, to follow it back": "certificate entry evidence",
}


def _table(folder: Path) -> list[dict[str, Any]]:
    """The table of certificates as plain values, read by readers that are not ours."""
    [path] = folder.glob("certificates.*")
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    else:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [{name: COLUMNS[name](text) for name, text in row.items()} for row in csv.DictReader(lines)]
    return rows


@pytest.fixture
def exports(told: Home, tmp_path: Path) -> dict[str, Path]:
    """An export in each format."""
    database = Database.reading(told.url)
    for table_format in FORMATS:
        assert export(database, tmp_path / table_format, table_format) == CERTIFICATES
    database.close()
    return {table_format: tmp_path / table_format for table_format in FORMATS}


def test_all_formats_hold_the_same_values(exports: dict[str, Path]) -> None:
    rows = _table(exports["csv"])
    assert len(rows) == CERTIFICATES
    assert rows == _table(exports["jsonl"]) == _table(exports["parquet"])


def test_the_columns_are_the_attributes_of_a_granular_certificate(exports: dict[str, Path]) -> None:
    named = " ".join(ATTRIBUTES.values()).split()
    assert len(named) == len(set(named))
    for folder in exports.values():
        rows = _table(folder)
        assert {*named} == rows[0].keys() == COLUMNS.keys()


def test_a_row_says_what_is_known_of_a_certificate(exports: dict[str, Path], told: Home) -> None:
    rows = {row["certificate"]: row for row in _table(exports["csv"])}
    claimed = rows[certificate(0, 0, 400)]
    assert (claimed["status"], claimed["party"], claimed["beneficiary"]) == ("claimed", told.bob, told.bob)
    assert (claimed["lo"], claimed["hi"], claimed["wh"], claimed["face_value_wh"]) == (0, 400, 400, 1)
    assert claimed["parent"] == certificate(0)
    assert claimed["issuer"] == FOUND.issuer
    stored = next(row for row in rows.values() if row["from_storage"])
    assert (stored["status"], stored["backing"], stored["storage_efficiency_ppm"], stored["wh"]) == (
        "split",
        certificate(1),
        900_000,
        750,
    )
    assert all(row["storage_efficiency_ppm"] == 0 for row in rows.values() if not row["from_storage"])
    assert {row["status"] for row in rows.values()} >= {"split", "withdrawn", "expired", "cancelled", "reserved", "active"}


def test_a_split_storage_certificate_keeps_what_is_behind_it(exports: dict[str, Path]) -> None:
    parts = [row for row in _table(exports["csv"]) if row["parent"].startswith("bat@")]
    assert [(row["wh"], row["backing"], row["storage_efficiency_ppm"]) for row in parts] == [
        (300, certificate(1), 900_000),
        (450, certificate(1), 900_000),
    ]


def test_the_same_ledger_gives_the_same_bytes(told: Home, tmp_path: Path) -> None:
    database = Database.reading(told.url)
    for table_format in FORMATS:
        files = []
        for name in ("one", "two"):
            folder = tmp_path / table_format / name
            export(database, folder, table_format, disclose=True)
            files.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
        assert files[0] == files[1]
        assert len(files[0]) == 5
    database.close()


@pytest.mark.parametrize("there", ["a file in the folder", "a file in its place"])
def test_a_folder_that_is_not_empty_is_refused(told: Home, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "out"
    if there == "a file in the folder":
        folder.mkdir()
    (folder / "mine" if folder.is_dir() else folder).write_text("mine")
    with pytest.raises(InputError):
        export(Database.reading(told.url), folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine" if folder.is_dir() else "out"]


def test_an_unknown_format_is_refused_before_anything_is_made(told: Home, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="csv, parquet, jsonl"):
        export(Database.reading(told.url), tmp_path / "out", "xml")
    assert list(tmp_path.iterdir()) == []


def test_a_tail_that_is_not_signed_is_refused(home: Home, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.file)) as connection:
        connection.executescript(f"DROP TRIGGER checkpoints_stay; DELETE FROM checkpoints WHERE size = {ENTRIES};")
    with pytest.raises(LedgerError, match=f"covers {ENTRIES - 1} of {ENTRIES} entries"):
        export(Database.reading(home.url), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_database_without_a_ledger_is_refused(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    empty.migrate()
    with pytest.raises(LedgerError, match="covers 0 of 0"):
        export(empty, tmp_path / "out")
    empty.close()


@contextmanager
def _files_hold_at_most(size: int) -> Iterator[None]:
    """A full disk, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize("size", [50, 150, 1050, 5000])
def test_a_full_disk_is_one_error_and_leaves_no_checkpoint(told: Home, tmp_path: Path, table_format: str, size: int) -> None:
    folder = tmp_path / "out"
    with _files_hold_at_most(size), pytest.raises(InputError) as caught:
        export(Database.reading(told.url), folder, table_format, disclose=True)
    assert "free the disk" in str(caught.value)
    assert "None" not in str(caught.value)
    assert not (folder / "checkpoint").exists()


def test_a_disk_that_fills_up_at_the_checkpoint_leaves_none(told: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "checkpoint" in path.name:
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        export(Database.reading(told.url), tmp_path / "out")
    assert not (tmp_path / "out" / "checkpoint").exists()


@pytest.mark.parametrize(
    "name", ["certificates.csv", "tile/0/000.p/35", "tile/entries/000.p/35", "checkpoint", "disclosures.jsonl"]
)
def test_a_file_that_is_missing_or_there_too_many_is_found(told: Home, tmp_path: Path, name: str) -> None:
    database = Database.reading(told.url)
    export(database, tmp_path / "out", disclose=True)
    database.close()
    (tmp_path / "out" / name).rename(tmp_path / "kept")
    # What is not disclosed nobody can miss.
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == {"checkpoint": 1, "disclosures.jsonl": 0}.get(name, 2)
    (tmp_path / "kept").rename(tmp_path / "out" / name)
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == 0
    (tmp_path / "out" / f"{name}.more").write_bytes(b"more")
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == 2


def test_files_that_can_not_be_read_fail_the_check_that_reads_them(told: Home, tmp_path: Path) -> None:
    database = Database.reading(told.url)
    export(database, tmp_path / "out", disclose=True)
    database.close()
    for name, check in (("checkpoint", 1), ("tile/0/000.p/35", 3), ("certificates.csv", 6), ("disclosures.jsonl", 8)):
        path = tmp_path / "out" / name
        path.rename(tmp_path / "kept")
        path.symlink_to(path)
        assert failed(audit_bundle(tmp_path / "out", POLICY)) == check
        path.unlink()
        (tmp_path / "kept").rename(path)
    (tmp_path / "out" / "certificates.csv").rename(tmp_path / "out" / "certificates.parquet")
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == 6


def test_a_bundle_that_claims_a_size_beyond_all_files_is_refused_at_once(told: Home, tmp_path: Path) -> None:
    database = Database.reading(told.url)
    export(database, tmp_path / "out")
    database.close()
    (tmp_path / "out" / "checkpoint").write_bytes(sign(Checkpoint(ORIGIN, 2**62, b"\x01" * 32), KEY))
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == 2


MANY = 50_000


@pytest.fixture(scope="module")
def crowd(told: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The story with 50,000 more certificates, put there by hand."""
    url = f"sqlite:///{shutil.copyfile(told.file, tmp_path_factory.mktemp('crowd') / 'ledger.db')}"
    database = Database(url)
    with database.write() as connection:
        one = next(row for row in stored_rows(connection, Certificate) if row.status == "active")
        rows = (replace(one, certificate=f"{one.issuance}/{k}-{k + 1}", lo=k, hi=k + 1) for k in range(10_000, 10_000 + MANY))
        connection.execute(insert(table_of(Certificate)), [{name: getattr(row, name) for name in row.__slots__} for row in rows])
    database.close()
    reading = Database.reading(url)
    yield reading
    reading.close()


@pytest.mark.parametrize("table_format", FORMATS)
def test_a_table_is_written_while_its_rows_are_read(crowd: Database, tmp_path: Path, table_format: str) -> None:
    path, sizes = tmp_path / f"table.{table_format}", list[int]()

    def watched(rows: Iterable[tuple[str | int, ...]]) -> Iterator[tuple[str | int, ...]]:
        for number, row in enumerate(rows):
            if number % CHUNK_ROWS == 0:
                sizes.append(path.stat().st_size if path.exists() else 0)
            yield row

    with crowd.read() as connection:
        assert write_rows(path, COLUMNS, watched(islice(stored_certificates(connection), 3 * CHUNK_ROWS + 1))) == 3 * CHUNK_ROWS + 1
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 4


def test_the_memory_of_an_export_is_bounded(crowd: Database, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        assert export(crowd, tmp_path / "out") == MANY + CERTIFICATES
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (tmp_path / "out" / "certificates.csv").stat().st_size
    assert size > 30_000_000
    assert peak < size


def test_a_hand_written_certificate_is_found(crowd: Database) -> None:
    assert failed(audit_database(crowd, POLICY)) == 3


def test_a_table_of_nothing_has_its_columns(tmp_path: Path) -> None:
    for table_format in FORMATS:
        assert write_rows(tmp_path / f"empty.{table_format}", COLUMNS, []) == 0
    assert (tmp_path / "empty.csv").read_text() == ",".join(f'"{name}"' for name in COLUMNS) + "\n"
    assert parquet.read_table(tmp_path / "empty.parquet").column_names == list(COLUMNS)
    with pytest.raises(GridnetError, match="format"):
        write_rows(tmp_path / "empty.xml", COLUMNS, [])


def test_awkward_texts_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [("a,b", 1), ('say "hi"', -(2**53)), ("ä€😀", 2**53 - 1), ("", 0), ("'=1+1", 7), ("line\u2028end", 8)]
    for table_format in FORMATS:
        path = tmp_path / f"certificates.{table_format}"
        assert write_rows(path, {"text": str, "number": int}, rows) == len(rows)
    with (tmp_path / "certificates.csv").open(newline="", encoding="utf-8") as lines:
        assert [(row["text"], int(row["number"])) for row in csv.DictReader(lines)] == rows
    assert [(row["text"], row["number"]) for row in parquet.read_table(tmp_path / "certificates.parquet").to_pylist()] == rows
    jsonl = (tmp_path / "certificates.jsonl").read_text("utf-8").split("\n")
    assert [(row["text"], row["number"]) for row in map(json.loads, jsonl[:-1])] == rows
