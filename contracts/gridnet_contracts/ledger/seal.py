"""The seal: who may sign for the log, and the guard that keeps it from ever signing two histories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from gridnet.errors import VerificationError
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import ForkRefused
from gridnet_contracts.ledger.schema import checkpoints
from gridnet_contracts.ledger.store import RememberedTiles, StoredTiles, log_size
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint, sign, verify
from gridnet_contracts.log.guard import FileGuard, Guard
from gridnet_contracts.log.keys import SignerKey
from gridnet_contracts.log.tiles import Tiles

RETRIES = 1000
"""Another writer signed in between, so many times in a row: more than there can be waiting."""


@dataclass(frozen=True)
class Seal:
    """The log's key and its guard. The guard holds the last checkpoint signed, apart from the database: a database that does not
    continue it (a backup that was restored, a copy that went on by itself) is refused."""

    key: SignerKey
    guard: Guard

    @classmethod
    def at(cls, folder: Path) -> Seal:
        """The seal kept in a folder: `log.key` and `last-checkpoint`."""
        return cls(SignerKey.load(folder / "log.key"), FileGuard(folder / "last-checkpoint"))

    @classmethod
    def make(cls, folder: Path, origin: str) -> Seal:
        """A new key for the log `origin`, in a folder that is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        SignerKey.generate(origin).save(folder / "log.key")
        return cls.at(folder)

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.key.name

    def last(self) -> tuple[bytes | None, Checkpoint | None]:
        """The last checkpoint signed, as it was signed and as it reads; None before the first. Raises `ForkRefused`."""
        raw = self.guard.read()
        try:
            return raw, None if raw is None else verify(raw, self.origin, [self.key.verifier])
        except VerificationError as error:
            raise ForkRefused(f"the guard holds no checkpoint that this key signed: {error}") from error

    def check(self, connection: Connection, last: Checkpoint | None) -> None:
        """Raises `ForkRefused` unless the database continues `last`, the last checkpoint signed. On one and the same database it
        always does if `last` was read before the transaction began, or within one that no other writer overlaps."""
        _check(connection, last, log_size(connection), StoredTiles(connection))

    def sign(self, database: Database) -> tuple[int, bytes]:
        """The signed checkpoint over all entries, and their number: the guard's if it has it, else a new one that the guard was
        moved on to. Raises `ForkRefused`."""
        for _ in range(RETRIES):
            raw, last = self.last()
            with database.read() as connection:
                size, log = log_size(connection), RememberedTiles(connection)
                _check(connection, last, size, log)
                if raw is not None and last is not None and last.size == size:
                    return size, raw
                head = Checkpoint(self.origin, size, tiles.root(log, size))
            note = sign(head, self.key)
            if self.guard.swap(raw, note):
                return size, note
        raise ForkRefused("the guard changed without end while a checkpoint was to be signed: somebody else signs for this log")


def _check(connection: Connection, last: Checkpoint | None, size: int, log: Tiles) -> None:
    if last is None:
        if connection.execute(select(checkpoints.c.size)).first() is not None:
            raise ForkRefused(
                "this log has signed checkpoints, and its guard is empty: bring back the guard's file, don't make one"
            )
    elif size < last.size:
        raise ForkRefused(
            f"the database has {size} entries, a checkpoint over {last.size} was signed: a restored backup? Bring the rest",
            expected=last.size,
            got=size,
        )
    elif tiles.root(log, last.size) != last.root:
        raise ForkRefused(
            f"the database's first {last.size} entries are not those that were signed: another copy went on", step=last.size
        )


def stored_checkpoint(connection: Connection) -> bytes | None:
    """The newest signed checkpoint in the database."""
    return connection.execute(select(checkpoints.c.note).order_by(checkpoints.c.size.desc())).scalar()


def signed_at(connection: Connection, size: int) -> bytes | None:
    """The signed checkpoint over `size` entries that the database keeps."""
    return connection.execute(select(checkpoints.c.note).where(checkpoints.c.size == size)).scalar()


def store_checkpoint(connection: Connection, size: int, note: bytes) -> None:
    """Keeps a signed checkpoint, once."""
    if signed_at(connection, size) is None:
        connection.execute(insert(checkpoints), [{"size": size, "note": note}])
