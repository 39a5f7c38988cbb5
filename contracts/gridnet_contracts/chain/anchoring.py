"""From the ledger's queue to the chain: anchoring what is locked, claiming what is anchored, retiring what is held.

Each step looks at the contract first, so that a command which was cut short anywhere is simply given again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256

from gridnet.errors import VerificationError
from gridnet_contracts.chain.contract import Anchor, CreditContract, Wish
from gridnet_contracts.chain.errors import ChainRefused
from gridnet_contracts.chain.export import Exported, stored_batches
from gridnet_contracts.chain.node import Call, Receipt
from gridnet_contracts.chain.sender import Sender
from gridnet_contracts.chain.voucher import Voucher
from gridnet_contracts.ledger.database import Connection, Database
from gridnet_contracts.ledger.seal import stored_checkpoint
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note


def anchor_waiting(database: Database, contract: CreditContract, sender: Sender) -> Iterator[tuple[Exported, Receipt | None]]:
    """Anchors the ledger's batches that the contract lacks, in order, each with its receipt; None where it was there after all.

    Raises `ChainError`, and `VerificationError` where the two sides disagree: then nothing more is anchored.
    """
    contract.check()
    with database.read() as connection:
        waiting = list(stored_batches(connection, contract.registry, contract.batches()))
        checkpoint = covering(connection, max((each.entry for each in waiting), default=-1)) if waiting else b""
    for each in waiting:
        still_locked(each)
        yield each, _once(sender, contract.anchoring(each.batch, checkpoint), partial(_is_anchored, contract, each))


def covering(connection: Connection, entry: int) -> bytes:
    """SHA-256 of the text of the newest signed checkpoint, which must cover an entry."""
    note = stored_checkpoint(connection)
    text = "" if note is None else Note.decode(note).text
    if not text or Checkpoint.parse(text).size <= entry:
        raise VerificationError(f"no signed checkpoint covers entry {entry} yet: sign the ledger's head first", step=entry)
    return checkpoint_hash(text)


def checkpoint_hash(text: str) -> bytes:
    """What the chain is told of a checkpoint: SHA-256 of the text that the log signed."""
    return sha256(text.encode()).digest()


def still_locked(exported: Exported) -> None:
    """Raises `VerificationError` where a certificate of a batch that is to be anchored left its lock."""
    party = exported.batch.registry.party
    for each in exported.certificates:
        if (each.status, each.party) != ("locked", party):
            where = f"{each.status} at {each.party}, not locked for {party}"
            raise VerificationError(f"batch {exported.number} can't be anchored: {each.certificate} is {where}")


def same(exported: Exported, anchor: Anchor) -> bool:
    """Whether the contract holds the batch that the ledger holds."""
    batch = exported.batch
    return (anchor.root, anchor.size, anchor.total_wh) == (batch.root(), batch.size, batch.total_wh)


def claim(contract: CreditContract, voucher: Voucher, sender: Sender) -> Receipt | None:
    """Claims a credit for its owner, whoever `sender` is; None where it was claimed before.

    Raises `ProofRefused` for a voucher that the anchored root does not bear out, before anything is sent; `ChainError`.
    """
    anchor = contract.anchored(voucher.batch)
    voucher.verify(anchor.root, anchor.size)
    return _once(sender, contract.claiming(voucher), lambda: contract.is_claimed(voucher.batch, voucher.index))


def retire(contract: CreditContract, wish: Wish, first: int, sender: Sender) -> Receipt | None:
    """Uses up Wh of a batch that the sender holds; None where it retired as much in the same words before,
    in block `first` (the deployment's) or later. Raises `ChainError`."""
    call = contract.retiring(wish)
    holder = sender.key.address

    def done() -> bool:
        made = contract.retirements(first, contract.node.head())
        return any((each.holder, each.wish) == (holder, wish) for each in made)

    return _once(sender, call, done)


def _is_anchored(contract: CreditContract, exported: Exported) -> bool:
    if contract.batches() <= exported.number:
        return False
    if not same(exported, contract.anchored(exported.number)):
        raise VerificationError(f"the contract holds another batch {exported.number} than the ledger: who else anchors there?")
    return True


def _once(sender: Sender, call: Call, done: Callable[[], bool]) -> Receipt | None:
    """Sends a call unless it was done, looking again where it is refused: a run that crashed may have sent it."""
    if done():
        return None
    try:
        return sender.send(call)
    except ChainRefused:
        if done():
            return None
        raise
