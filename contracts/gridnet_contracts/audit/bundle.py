"""Audit of an exported folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from gridnet.errors import VerificationError
from gridnet_contracts.audit.conservation import conserved
from gridnet_contracts.audit.steps import Outcome, run
from gridnet_contracts.ledger.certificate_table import COLUMNS, derived_certificates
from gridnet_contracts.ledger.export import CERTIFICATES, CHECKPOINT, DISCLOSURES, disclosure_line, read_disclosures
from gridnet_contracts.ledger.privacy import check_disclosures
from gridnet_contracts.ledger.replay import Replay
from gridnet_contracts.ledger.table_files import FORMATS, write_rows
from gridnet_contracts.log import cosignature
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.folder import FolderTiles, file_paths, read_entries, verify_folder
from gridnet_contracts.log.tiles import root

COMPARED = 1 << 20


def audit_bundle(folder: Path, policy: Policy, seen: bytes | None = None) -> Iterator[Outcome]:
    """Whether an exported folder holds a ledger in which nothing was changed, left out or made up.

    1. The checkpoint is signed by the trusted key, and by enough witnesses.
    2. The files are those of an export over that many entries, no more and no fewer.
    3. The entries and the tiles hash to the checkpoint's root.
    4. Each entry follows from those before by the ledger's rules.
    5. Energy is conserved.
    6. The table of certificates is the one that the entries make, byte for byte (Parquet: value for value).
    7. The checkpoint that you saw before (`seen`, if any) is the head of the same tree at its size.
    8. What is disclosed about homes is what the log holds hashes of. (Whether something is not disclosed nobody can tell.)
    """
    audit = _BundleAudit(folder, policy, seen)
    return run(
        (
            ("the checkpoint is signed by whom you trust", audit.signed),
            ("the files are those of an export", audit.complete),
            ("entries and tiles hash to the checkpoint's root", audit.hashed),
            ("each entry follows from those before", audit.replayed),
            ("energy is conserved", audit.conserved),
            ("the certificates are those that the entries make", audit.derived),
            ("the log continues what you saw before", audit.continued),
            ("disclosures match their hashes", audit.disclosed),
        )
    )


class _BundleAudit:
    def __init__(self, folder: Path, policy: Policy, seen: bytes | None) -> None:
        self._folder = folder
        self._policy = policy
        self._seen = seen
        self._replay = Replay()

    def signed(self) -> str:
        self._checkpoint = cosignature.verify(self._bytes(CHECKPOINT), self._policy)
        return f"{self._policy.origin} over {self._checkpoint.size} entries, {self._policy.quorum} witnesses asked for"

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise VerificationError(f"{name} can't be read: {error.strerror}") from error

    def complete(self) -> str:
        there = {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if not path.is_dir()}
        tables = [name for name in there if name in {f"{CERTIFICATES}.{ending}" for ending in FORMATS}]
        if len(tables) != 1:
            raise VerificationError(f"one table of certificates is due, {len(tables)} are there")
        self._table, self._discloses = self._folder / tables[0], DISCLOSURES in there
        more = there - {CHECKPOINT, tables[0], DISCLOSURES}
        for name in file_paths(self._checkpoint.size):  # of a size that is a lie there are more names than can be listed
            if name not in more:
                raise VerificationError(f"{name} is missing")
            more.remove(name)
        if more:
            raise VerificationError(f"{min(more)} is not part of an export")
        return f"{len(there)} files"

    def hashed(self) -> str:
        verify_folder(self._folder, self._checkpoint.head)
        return f"root {self._checkpoint.root.hex()[:16]}.."

    def replayed(self) -> str:
        count = sum(1 for _ in self._replay.entries(read_entries(self._folder, self._checkpoint.size)))
        return f"{count} entries"

    def conserved(self) -> str:
        return conserved(self._replay.state)

    def derived(self) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            again = Path(scratch) / self._table.name
            count = write_rows(again, COLUMNS, derived_certificates(self._replay.state))
            if not (_same_values if self._table.suffix == ".parquet" else _same_bytes)(self._table, again):
                raise VerificationError(
                    f"{self._table.name} is not the table that the entries make: it was changed, or is of another time"
                )
        return f"{count} certificates in {self._table.name}"

    def continued(self) -> str:
        if self._seen is None:
            return "you gave none"
        seen = cosignature.verify(self._seen, Policy(self._policy.origin, self._policy.log_key))
        size = self._checkpoint.size
        if seen.size > size or root(FolderTiles(self._folder, size), seen.size) != seen.root:
            raise VerificationError(
                f"the checkpoint you saw, over {seen.size} entries, is of another history than this one over {size}"
            )
        return f"its {seen.size} entries are the first of these"

    def disclosed(self) -> str:
        if not self._discloses:
            return "none in this export: parties are pseudonyms to you"
        raw = self._bytes(DISCLOSURES)
        listed = list(read_disclosures(raw))
        if b"".join(map(disclosure_line, listed)) != raw:
            raise VerificationError(f"{DISCLOSURES} has another form than an export writes")
        return check_disclosures(self._replay.state, listed)


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(COMPARED):
            if chunk != right.read(COMPARED):
                return False
        return not right.read(1)


def _same_values(one: Path, other: Path) -> bool:
    try:
        left, right = parquet.ParquetFile(one), parquet.ParquetFile(other)
        same = left.schema_arrow.equals(right.schema_arrow) and left.metadata.num_rows == right.metadata.num_rows
        batches = zip(left.iter_batches(), right.iter_batches(), strict=True)
        return same and all(a.equals(b) for a, b in batches)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise VerificationError(f"{one.name} is no Parquet file that can be read: {error}") from error
