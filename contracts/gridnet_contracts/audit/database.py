"""Audit of a whole ledger in its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import tee

from gridnet.errors import VerificationError
from gridnet_contracts.audit.conservation import conserved
from gridnet_contracts.audit.projection import repeated
from gridnet_contracts.audit.steps import Outcome, run
from gridnet_contracts.ledger.database import Connection, Database
from gridnet_contracts.ledger.errors import DatabaseRefused
from gridnet_contracts.ledger.privacy import check_disclosures
from gridnet_contracts.ledger.replay import Replay
from gridnet_contracts.ledger.stored import (
    as_evidence,
    damage,
    definitions,
    expected_definitions,
    stored_checkpoints,
    stored_disclosures,
    stored_entries,
    stored_tiles,
)
from gridnet_contracts.log import cosignature, tiles
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.tiles import MemoryTiles

BATCH = 4096
NAMED = {"table", "trigger", "version", "view"}
"""What has the same names in every kind of database."""


def audit_database(database: Database, policy: Policy, seen: bytes | None = None) -> Iterator[Outcome]:
    """Whether a database holds a ledger in which nothing was changed, left out or made up. Needs memory for the whole ledger.

    1. The database is whole; its tables, indexes, constraints and triggers are this version's (PostgreSQL: tables, views and
       triggers, by name; its own tools check its pages).
    2. Every entry stands where its number says, in canonical form, and follows from those before by the ledger's rules.
    3. The tables repeat what the entries say, row by row: entries, movements, balances, certificates and all others.
    4. Energy is conserved.
    5. The tree over the entries is the stored one.
    6. Every stored checkpoint is signed by the trusted key and is the tree's head at its size; the newest covers every entry, and
       enough witnesses have seen it.
    7. The checkpoint that you saw before (`seen`, if any) is the head of the same tree at its size.
    8. What is disclosed about homes is what the log holds hashes of. (Whether something is not disclosed nobody can tell.)

    Raises `VerificationError` where the database can't be opened.
    """
    try:
        with database.read() as connection:
            yield from _checks(_DatabaseAudit(connection, policy, seen))
    except DatabaseRefused as error:
        raise VerificationError(f"it can't be audited: {error}") from error


def _checks(audit: _DatabaseAudit) -> Iterator[Outcome]:
    return run(
        (
            ("the database is whole", _readable(audit.whole)),
            ("each entry follows from those before", _readable(audit.replayed)),
            ("the tables repeat the entries", _readable(audit.repeated)),
            ("energy is conserved", audit.conserved),
            ("the stored tree is the entries' tree", _readable(audit.tree)),
            ("the checkpoints are signed by whom you trust", _readable(audit.signed)),
            ("the log continues what you saw before", audit.continued),
            ("disclosures match their hashes", _readable(audit.disclosed)),
        )
    )


def _readable(check: Callable[[], str]) -> Callable[[], str]:
    return as_evidence()(check)


class _DatabaseAudit:
    def __init__(self, connection: Connection, policy: Policy, seen: bytes | None) -> None:
        self._connection = connection
        self._policy = policy
        self._seen = seen
        self._replay = Replay()
        self._tiles = MemoryTiles()

    def whole(self) -> str:
        found = damage(self._connection)
        if found is not None:
            raise VerificationError(f"the database finds itself damaged: {found}")
        stated, expected, whole = definitions(self._connection), expected_definitions(), "pages, references, tables and triggers"
        if self._connection.dialect.name != "sqlite":
            stated, expected = (frozenset(each[:2] for each in all_of if _named(each)) for all_of in (stated, expected))
            whole = "tables, views and triggers"
        for definition in sorted(stated ^ expected):
            state = "changed or added" if definition in stated else "missing or changed"
            raise VerificationError(f"{definition[0]} {definition[1]} is {state}: the tables are not this version's")
        return f"{whole} as they should be"

    def replayed(self) -> str:
        leaves: list[bytes] = []
        rows, repeated = tee(stored_entries(self._connection))
        for stored, entry in zip(rows, self._replay.entries(row.leaf for row in repeated), strict=True):
            said = (entry.seq, entry.key, entry.action.kind, entry.time, entry.body_hash)
            if said != (stored.seq, stored.key, stored.kind, stored.time, stored.body_hash):
                raise VerificationError(f"entry {entry.seq}: its row says something else than its leaf", step=entry.seq)
            leaves.append(leaf_hash(stored.leaf))
            if len(leaves) == BATCH:
                self._tiles.append(self._replay.size - BATCH, leaves)
                leaves = []
        self._tiles.append(self._replay.size - len(leaves), leaves)
        return f"{self._replay.size} entries"

    def repeated(self) -> str:
        return repeated(self._connection, self._replay.state)

    def conserved(self) -> str:
        return conserved(self._replay.state)

    def tree(self) -> str:
        count = 0
        for level, number, hashes in stored_tiles(self._connection):
            if not hashes or self._tiles.read(level, number) != hashes:
                raise VerificationError(f"tile {number} of level {level} does not follow from the entries")
            count += 1
        if count != len(self._tiles.tiles):
            raise VerificationError(f"{len(self._tiles.tiles) - count} tiles are missing")
        return f"{count} tiles, root {tiles.root(self._tiles, self._replay.size).hex()[:16]}.."

    def signed(self) -> str:
        checkpoints = stored_checkpoints(self._connection)
        alone = Policy(self._policy.origin, self._policy.log_key)
        for at, (size, note) in enumerate(checkpoints):
            newest = at == len(checkpoints) - 1
            self._head_of_tree(note, self._policy if newest else alone, size)
        covered = checkpoints[-1][0] if checkpoints else 0
        if covered != self._replay.size:
            raise VerificationError(
                f"the newest checkpoint covers {covered} of {self._replay.size} entries: the rest is not signed yet"
            )
        return f"{len(checkpoints)} checkpoints of {self._policy.origin}, the newest over all entries"

    def continued(self) -> str:
        if self._seen is None:
            return "you gave none"
        size = self._head_of_tree(self._seen, Policy(self._policy.origin, self._policy.log_key), None)
        return f"its {size} entries are the first of these"

    def _head_of_tree(self, note: bytes, policy: Policy, size: int | None) -> int:
        checkpoint = cosignature.verify(note, policy)
        if size is not None and checkpoint.size != size:
            raise VerificationError(f"the checkpoint kept for size {size} is over {checkpoint.size} entries")
        if checkpoint.size > self._replay.size:
            raise VerificationError(
                f"a checkpoint covers {checkpoint.size} entries, there are {self._replay.size}: the rest was cut off"
            )
        if tiles.root(self._tiles, checkpoint.size) != checkpoint.root:
            raise VerificationError(f"the checkpoint over {checkpoint.size} entries is of another history")
        return checkpoint.size

    def disclosed(self) -> str:
        return check_disclosures(self._replay.state, stored_disclosures(self._connection))


def _named(definition: tuple[str, ...]) -> bool:
    """What both kinds of database have, under one name. (SQLite alone needs triggers against INSERT OR REPLACE, `.._once`.)"""
    return definition[0] in NAMED and not definition[1].endswith("_once")
