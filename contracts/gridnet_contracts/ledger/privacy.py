"""Privacy: the log holds pseudonyms and salted hashes; what they stand for is kept beside it, and can be deleted.

A home's pseudonym is a hash of its name and 32 random bytes, its salt. Without the salt nobody, the operator included, can tell
which home a pseudonym is, nor try out names. Deleting the salt (`Privacy.forget`) leaves the ledger whole and the home unlinked.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select, text

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.ledger.canonical import canonical, read_canonical
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import AlreadyThere
from gridnet_contracts.ledger.rows import Device
from gridnet_contracts.ledger.schema import disclosures
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.stored import Disclosure

SALT_BYTES = 32
PARTY = "party"
DEVICE = "device"


class Privacy:
    """The table of disclosures. `salts` gives fresh secret bytes; only a simulation that must repeat itself gives its own."""

    def __init__(self, database: Database, salts: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._database = database
        self._salts = salts

    def pseudonym(self, name: str) -> str:
        """A home's pseudonym, `p:` and 32 hexadecimal digits; a new one where it has none."""
        content = canonical({"name": name})
        with self._database.write() as connection:
            query = select(disclosures.c.subject).where(disclosures.c.kind == PARTY, disclosures.c.content == content)
            known = connection.execute(query).scalar()
            if known is not None:
                return str(known)
            salt = self._salts(SALT_BYTES)
            subject = party_of(salt, content)
            row = {"subject": subject, "kind": PARTY, "salt": salt, "content": content}
            connection.execute(insert(disclosures), [row])
        return subject

    def device(self, device: str, private: Mapping[str, Any]) -> str:
        """Keeps what is private of a device (name, location, meter id); gives the salted hash for `RegisterDevice.private`, the
        same one for the same words. Raises `AlreadyThere` for a device of which something else is kept."""
        content = canonical({**private, "device": device})  # the hash speaks for the device too
        query = select(disclosures.c.salt, disclosures.c.content).where(disclosures.c.subject == device)
        with self._database.write() as connection:
            known = connection.execute(query).first()
            if known is None:
                salt = self._salts(SALT_BYTES)
                connection.execute(insert(disclosures), [{"subject": device, "kind": DEVICE, "salt": salt, "content": content}])
            elif known.content == content:
                salt = known.salt
            else:
                raise AlreadyThere(f"device {device} has its private part already")
        return salted(salt, content)

    def forget(self, subject: str) -> None:
        """Deletes what a pseudonym or a device's hash stands for, salt and all; from SQLite's file too (PostgreSQL overwrites it
        when it vacuums). Raises `LedgerError` where nothing is kept, or where a reader keeps the old pages alive."""
        with self._database.write() as connection:
            known = connection.execute(delete(disclosures).where(disclosures.c.subject == subject)).rowcount
            if self._database.dialect == "sqlite":
                _rewrite(connection)
        if self._database.dialect == "sqlite":
            self._overwrite(subject)
        if not known:
            raise LedgerError(f"nothing is kept about {subject}")

    def _overwrite(self, subject: str) -> None:
        # The write-ahead log still holds the pages as they were.
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            busy = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
        if busy:
            raise LedgerError(f"{subject} is deleted, but readers keep the old pages in the write-ahead log: forget it again later")


def _rewrite(connection: Connection) -> None:
    """Makes SQLite write the whole table anew. A row that was moved when a page was split or merged leaves a copy in the page's
    unused part, and deleting the row overwrites the row alone; a page that is given up is overwritten from end to end
    (`secure_delete`)."""
    kept = [dict(row) for row in connection.execute(select(disclosures)).mappings()]
    connection.execute(delete(disclosures))
    if kept:
        connection.execute(insert(disclosures), kept)


def salted(salt: bytes, content: bytes) -> str:
    """SHA-256 over salt and content, in hexadecimal."""
    return hashlib.sha256(salt + content).hexdigest()


def party_of(salt: bytes, content: bytes) -> str:
    """The pseudonym of a party with this salt."""
    return f"p:{salted(salt, content)[:32]}"


def check_disclosures(state: State, disclosed: Iterable[Disclosure]) -> str:
    """Checks that each disclosure is what a pseudonym or hash stands for; gives a count. Of a device that is kept and not
    registered yet there is no hash to check. Raises `VerificationError`."""
    count = 0
    for disclosure in disclosed:
        content = read_canonical(disclosure.content)
        count += 1
        if disclosure.kind == PARTY:
            right = party_of(disclosure.salt, disclosure.content) == disclosure.subject
        else:
            device = state.find(Device, disclosure.subject)
            right = disclosure.kind == DEVICE and content.get("device") == disclosure.subject
            right &= device is None or device.private == salted(disclosure.salt, disclosure.content)
        if not right or len(disclosure.salt) != SALT_BYTES:
            raise VerificationError(f"what is disclosed about {disclosure.subject} is not what the log holds the hash of")
    return f"{count} disclosed, the others are pseudonyms to you"
