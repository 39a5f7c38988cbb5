"""Audit of one `.tlog-proof` file."""

from __future__ import annotations

from collections.abc import Iterator

from gridnet_contracts.audit.steps import Outcome, run
from gridnet_contracts.ledger.entry import read_entry
from gridnet_contracts.log import cosignature
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.merkle import leaf_hash, verify_inclusion
from gridnet_contracts.log.proof import NoEntry, TlogProof


def audit_proof(raw: bytes, policy: Policy) -> Iterator[Outcome]:
    """Whether a file proves that its entry is in the log that `policy` trusts.

    1. The file is a proof in its one canonical form, with the entry inside.
    2. Its checkpoint is signed by the trusted key, and by enough witnesses.
    3. The entry is under the checkpoint's root, at the place that the proof says.
    4. The entry is well formed and numbered as its place.

    It says that the entry was made. What was done afterwards (a withdrawal, say) only a whole bundle or database shows.
    """
    audit = _ProofAudit(raw, policy)
    return run(
        (
            ("the file is a proof with its entry", audit.form),
            ("the checkpoint is signed by whom you trust", audit.signed),
            ("the entry is in the tree under that checkpoint", audit.included),
            ("the entry is one of a ledger", audit.entry),
        )
    )


class _ProofAudit:
    def __init__(self, raw: bytes, policy: Policy) -> None:
        self._raw = raw
        self._policy = policy

    def form(self) -> str:
        self._proof = TlogProof.decode(self._raw)
        if self._proof.extra is None:
            raise NoEntry("the proof comes without its entry: ask for one that holds it")
        self._leaf = self._proof.extra
        return f"entry {self._proof.index}, {len(self._leaf)} bytes"

    def signed(self) -> str:
        self._checkpoint = cosignature.verify(self._proof.checkpoint, self._policy)
        return f"{self._policy.origin} over {self._checkpoint.size} entries, {self._policy.quorum} witnesses asked for"

    def included(self) -> str:
        head = self._checkpoint.head
        verify_inclusion(leaf_hash(self._leaf), self._proof.index, head.size, self._proof.hashes, head.root)
        return f"root {head.root.hex()[:16]}.."

    def entry(self) -> str:
        entry = read_entry(self._leaf, self._proof.index)
        return f"{entry.action.kind} of {entry.time}: {entry.action.body()}"
