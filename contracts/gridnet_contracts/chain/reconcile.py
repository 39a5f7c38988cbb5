"""Do ledger and chain agree? Read from both, at one block, without a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gridnet_contracts.chain.anchoring import checkpoint_hash, same
from gridnet_contracts.chain.batch import Registry
from gridnet_contracts.chain.contract import Anchor, CreditContract
from gridnet_contracts.chain.export import Exported, stored_batches
from gridnet_contracts.ledger.actions.certificates import Claim
from gridnet_contracts.ledger.database import Connection, Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.rules.context import CERTIFIED
from gridnet_contracts.ledger.store import StoredRows
from gridnet_contracts.ledger.stored import stored_checkpoints
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note

HEADINGS = ("batch", "leaves", "Wh", "claimed Wh", "retired Wh", "retired in the ledger")


@dataclass(frozen=True)
class Both:
    """A batch on both sides. `claimed`: of each leaf whether it was claimed on the chain."""

    exported: Exported
    anchor: Anchor
    claimed: Sequence[bool]

    @property
    def mirrored_wh(self) -> int:
        """What the ledger, too, holds as used up."""
        return sum(row.wh for row in self.exported.certificates if row.status == "claimed")

    def line(self) -> tuple[int, ...]:
        """The figures under `HEADINGS`."""
        batch, anchor = self.exported.batch, self.anchor
        return (batch.number, batch.size, batch.total_wh, anchor.claimed_wh, anchor.retired_wh, self.mirrored_wh)

    def used_up(self) -> list[Certificate]:
        """Certificates that are locked in the ledger and may be claimed there for what was retired on the chain: of those claimed
        on the chain the first, as far as whole ones fit. Within a batch one Wh is as good as another."""
        left = self.anchor.retired_wh - self.mirrored_wh
        found = []
        for row, is_claimed in zip(self.exported.certificates, self.claimed, strict=True):
            if is_claimed and row.status == "locked" and row.wh <= left:
                found.append(row)
                left -= row.wh
        return found


@dataclass(frozen=True)
class Reconciliation:
    """What both sides hold at block `block`, and where they disagree. `waiting`: batches that are locked and not anchored."""

    block: int
    batches: tuple[Both, ...]
    waiting: int
    faults: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether no credit is spent on both sides, or missing on one."""
        return not self.faults


def reconcile(database: Database, contract: CreditContract, depth: int = 1) -> Reconciliation:
    """Compares both sides; `depth`: how many blocks deep what is looked at must be.

    1. The contract's code is the shipped one's, on the chain that is meant.
    2. The ledger's batches are whole, and no certificate is in two.
    3. Every anchored batch is the ledger's, root, size and Wh, under a checkpoint that the log signed after its last lock.
    4. Every certificate of a batch is locked for this contract, or was claimed on the chain first and in the ledger then; what the
       ledger holds as claimed was retired on the chain.
    5. What the contract counts as claimed is the sum of the leaves whose bit is set, and what was retired is no more.
    6. The ledger's account of what is locked for this contract holds the certificates of its batches and nothing else.

    Raises `VerificationError` for 1 and for batches that are not whole; everything else is listed.
    """
    # 1
    contract.check()
    block = max(contract.node.head() - depth + 1, 0)
    count = contract.state(block).batches
    with database.read() as connection:
        exported = list(stored_batches(connection, contract.registry))
        signed = _checkpoints(connection)
        balance = StoredRows(connection).balance((f"locked/{contract.registry.party}", CERTIFIED))
    # 2
    faults = list(_twice(exported))
    # 3
    if count > len(exported):
        faults.append(f"3: the contract holds {count} batches, the ledger {len(exported)}")
    both = [
        Both(each, contract.anchored(each.number, block), contract.claimed(each.number, each.batch.size, block))
        for each in exported[:count]
    ]
    # 3 to 5
    faults += [fault for each in both for fault in _compared(each, signed)]
    # 4
    for each in exported[count:]:
        faults += _not_locked(each, [False] * each.batch.size)
    # 6
    expected = sum(row.wh for each in exported for row in each.certificates if row.status == "locked")
    if balance != expected:
        faults.append(f"6: the ledger holds {balance} Wh locked for {contract.registry.party}, its batches {expected}")
    return Reconciliation(block, tuple(both), max(len(exported) - count, 0), tuple(faults))


def mirrored(registry: Registry, found: Reconciliation) -> list[Order]:
    """What tells the ledger of Wh that were retired on the chain, so that its reports count them: claims, with the contract's party
    as beneficiary. Who it was for stands in the chain's events."""
    return [
        Order(
            f"{registry.party}:{each.exported.number}:retired:{row.chain[:32]}",
            Claim(
                certificate=row.certificate,
                owner=registry.party,
                beneficiary=registry.party,
                purpose=f"retired on chain {registry.chain_id}, batch {each.exported.number}",
            ),
        )
        for each in found.batches
        for row in each.used_up()
    ]


def _compared(both: Both, signed: Mapping[bytes, int]) -> Iterator[str]:
    exported, anchor = both.exported, both.anchor
    number = exported.number
    # 3
    if not same(exported, anchor):
        yield f"3: the contract's batch {number} is not the ledger's"
    if signed.get(anchor.checkpoint, -1) <= exported.entry:
        yield f"3: batch {number} names a checkpoint that the log did not sign after entry {exported.entry}"
    # 4
    yield from _not_locked(exported, both.claimed)
    if both.mirrored_wh > anchor.retired_wh:
        yield f"4: of batch {number} {both.mirrored_wh} Wh are claimed in the ledger, {anchor.retired_wh} retired on the chain"
    # 5
    bits = sum(credit.wh for credit, is_claimed in zip(exported.batch.credits, both.claimed, strict=True) if is_claimed)
    if bits != anchor.claimed_wh or anchor.retired_wh > bits:
        yield f"5: batch {number}: {anchor.claimed_wh} Wh claimed, {bits} by its leaves, {anchor.retired_wh} retired"


def _not_locked(exported: Exported, claimed: Sequence[bool]) -> Iterator[str]:
    party = exported.batch.registry.party
    for row, is_claimed in zip(exported.certificates, claimed, strict=True):
        if row.party != party or not (row.status == "locked" or (row.status == "claimed" and is_claimed)):
            yield f"4: {row.certificate} is in batch {exported.number}, and in the ledger {row.status} at {row.party}"


def _twice(exported: Sequence[Exported]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for each in exported:
        for row in each.certificates:
            if row.certificate in seen:
                yield f"2: {row.certificate} is in batch {seen[row.certificate]} and in batch {each.number}"
            seen[row.certificate] = each.number


def _checkpoints(connection: Connection) -> dict[bytes, int]:
    """Size by hash of every checkpoint that the ledger keeps."""
    texts = [Note.decode(note).text for _, note in stored_checkpoints(connection)]
    return {checkpoint_hash(text): Checkpoint.parse(text).size for text in texts}
