"""Export: a folder with all an auditor needs, verifiable without this database and without trust in who wrote it.

    checkpoint              the signed head of the log
    tile/..                 the log in C2SP tiles, entries and hashes
    certificates.csv        every certificate with its attributes (or .parquet, .jsonl)
    disclosures.jsonl       who and what pseudonyms and hashes stand for; for the auditor's role, written when asked for

Every byte of it follows from the log (`gridnet_contracts.audit.bundle` derives it again), but for the disclosures, which the log
holds the hashes of.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gridnet.errors import Fault, InputError, LedgerError, VerificationError
from gridnet_contracts.ledger.canonical import canonical, read_canonical
from gridnet_contracts.ledger.certificate_table import COLUMNS, stored_certificates
from gridnet_contracts.ledger.database import Connection, Database
from gridnet_contracts.ledger.seal import stored_checkpoint
from gridnet_contracts.ledger.store import StoredTiles, log_size, stored_leaves
from gridnet_contracts.ledger.stored import Disclosure, stored_disclosures
from gridnet_contracts.ledger.table_files import FORMATS, write_rows
from gridnet_contracts.log import durable
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.folder import write_entries, write_tiles
from gridnet_contracts.log.note import Note

CHECKPOINT = "checkpoint"
CERTIFICATES = "certificates"
DISCLOSURES = "disclosures.jsonl"
BUNDLES = 64 * 256
"""Entries in memory at a time: whole bundles."""


def export(database: Database, folder: Path, table_format: str = "csv", *, disclose: bool = False) -> int:
    """Writes the export into a new or empty folder; gives the number of certificates. The checkpoint comes last: a folder with one
    is complete. Raises `InputError`, `LedgerError`."""
    if table_format not in FORMATS:
        raise InputError("can't export:", [Fault("--format", repr(table_format), ", ".join(FORMATS))])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError("can't export:", [Fault("--out", str(folder), "a new or an empty folder")])
        with database.read() as connection:
            return _write(connection, folder, table_format, disclose=disclose)
    except OSError as error:
        raise InputError(f"can't write {folder}: {error.strerror}; free the disk or name another folder") from error


def _write(connection: Connection, folder: Path, table_format: str, *, disclose: bool) -> int:
    note, size = stored_checkpoint(connection), log_size(connection)
    covered = 0 if note is None else Checkpoint.parse(Note.decode(note).text).size
    if note is None or covered != size:
        raise LedgerError(
            f"the newest checkpoint covers {covered} of {size} entries: open the ledger with its seal once, to sign them"
        )
    leaves = (leaf for _, leaf in stored_leaves(connection))
    for first in range(0, size, BUNDLES):
        write_entries(folder, first, list(islice(leaves, BUNDLES)))
    write_tiles(folder, StoredTiles(connection), size)
    count = write_rows(folder / f"{CERTIFICATES}.{table_format}", COLUMNS, stored_certificates(connection))
    if disclose:
        lines = (disclosure_line(each) for each in stored_disclosures(connection))
        (folder / DISCLOSURES).write_bytes(b"".join(lines))
    durable.publish(folder / CHECKPOINT, note)
    return count


def disclosure_line(disclosure: Disclosure) -> bytes:
    """One disclosure as a line of canonical JSON."""
    fields = {
        "content": disclosure.content.decode("utf-8"),
        "kind": disclosure.kind,
        "salt": disclosure.salt.hex(),
        "subject": disclosure.subject,
    }
    return canonical(fields) + b"\n"


def read_disclosures(raw: bytes) -> Iterator[Disclosure]:
    """The disclosures in a file of lines, each subject's once. Raises `VerificationError`, `LookupError`, `ValueError`."""
    seen: set[str] = set()
    for line in raw.splitlines():
        fields = read_canonical(line)
        if not all(isinstance(field, str) for field in fields.values()) or fields["subject"] in seen:
            raise VerificationError("a disclosure has other fields than texts, or comes twice")
        seen.add(fields["subject"])
        yield Disclosure(fields["subject"], fields["kind"], bytes.fromhex(fields["salt"]), fields["content"].encode("utf-8"))
