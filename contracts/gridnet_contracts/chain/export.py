"""From the ledger to a batch. The log itself holds the batches: no file beside it can be lost or disagree.

A certificate leaves in two entries of one transaction: it is transferred to the contract's own party `chain:ID:ADDRESS`, then
locked with words that say its batch, leaf and owner on the chain. Nobody else can spend it from then on: every action names the
owner. The account `locked/chain:ID:ADDRESS` therefore holds exactly the Wh that the contract was or will be given, and the keys of
the orders let a leaf have one meaning only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gridnet.errors import Fault, InputError, VerificationError
from gridnet_contracts.chain.batch import LARGEST, Credit, CreditBatch, Registry, address
from gridnet_contracts.ledger.actions.certificates import Lock, Transfer
from gridnet_contracts.ledger.database import Connection
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import UnknownCertificate
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.locks import stored_locks
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.store import StoredRows

WORDS = re.compile(r"chain ([1-9][0-9]*) (0x[0-9a-f]{40}) batch ([0-9]+) leaf ([0-9]+) to (0x[0-9a-f]{40})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A credit's place, the certificate as it stands in the ledger now, and the entry that locked it."""

    number: int
    index: int
    credit: Credit
    certificate: Certificate
    entry: int


@dataclass(frozen=True)
class Exported:
    """A batch as the ledger holds it. `entry`: the last one that locked a leaf."""

    batch: CreditBatch
    certificates: tuple[Certificate, ...]
    entry: int

    @property
    def number(self) -> int:
        """The batch's."""
        return self.batch.number


def export(ledger: Ledger, registry: Registry, gifts: Iterable[tuple[str, str]]) -> list[int]:
    """Locks certificates for owners on the chain, (certificate, address) each, in as many batches as they fill; gives the numbers.

    A certificate that went to this contract before, for the same address, is left as it is: a command that was cut short is simply
    given again. Raises `InputError`, `LedgerError`; the batches before the one that is refused stand then.
    """
    wanted = {certificate: address(owner) for certificate, owner in gifts}
    with ledger.database.read() as connection:
        known = {each.credit.certificate: each for each in stored_leaves(connection, registry)}
        rows = StoredRows(connection).rows(Certificate, sorted(set(wanted) - set(known)))
    faults = [
        Fault(name, wanted[name], f"{known[name].credit.owner}, for whom it was locked")
        for name in sorted(set(wanted) & set(known))
        if known[name].credit.owner != wanted[name]
    ]
    if faults:
        raise InputError("what went to the chain can't go to another owner there:", faults)
    missing = set(wanted) - set(known) - {row.certificate for row in rows}
    if missing:
        raise UnknownCertificate(f"there is no certificate {min(missing)}")
    number = 1 + max((each.number for each in known.values()), default=-1)
    parts = [rows[k : k + LARGEST] for k in range(0, len(rows), LARGEST)]
    for part in parts:
        ledger.commit(_orders(registry, number, part, wanted))
        number += 1
    return list(range(number - len(parts), number))


def _orders(registry: Registry, number: int, rows: Sequence[Certificate], owners: dict[str, str]) -> list[Order]:
    orders = []
    for index, row in enumerate(sorted(rows, key=lambda row: row.certificate)):
        name, key = row.certificate, f"{registry.party}:{number}:{index}"
        orders.append(Order(f"{key}:give", Transfer(certificate=name, owner=row.party, to=registry.party)))
        reason = f"chain {registry.chain_id} {registry.contract} batch {number} leaf {index} to {owners[name]}"
        orders.append(Order(f"{key}:lock", Lock(certificate=name, owner=registry.party, reason=reason)))
    return orders


def stored_leaves(connection: Connection, registry: Registry) -> Iterator[Leaf]:
    """Every leaf that the ledger holds for a contract, by batch and index."""
    prefix = f"chain {registry.chain_id} {registry.contract} batch "
    for entry, text, certificate in stored_locks(connection, prefix):
        found = WORDS.fullmatch(text)
        if found is None:
            raise VerificationError(f"entry {entry} locks {certificate.certificate} with words that name no leaf", step=entry)
        credit = Credit(certificate.certificate, int(certificate.chain, 16), found[5], certificate.wh)
        yield Leaf(int(found[3]), int(found[4]), credit, certificate, entry)


def stored_batches(connection: Connection, registry: Registry, start: int = 0) -> Iterator[Exported]:
    """The batches that the ledger holds for a contract, from number `start` on, in order. Raises `VerificationError` where a leaf
    or a batch is missing, which no `export` does."""
    groups = groupby(stored_leaves(connection, registry), key=lambda each: each.number)
    for expected, (number, group) in enumerate(groups):
        leaves = list(group)
        if number != expected or [each.index for each in leaves] != list(range(len(leaves))):
            raise VerificationError(f"the ledger's batch {number} for {registry.party} is not whole, or not the next", step=number)
        if number >= start:
            batch = CreditBatch(registry, number, tuple(each.credit for each in leaves))
            yield Exported(batch, tuple(each.certificate for each in leaves), leaves[-1].entry)
