"""The Merkle tree of RFC 6962, section 2.1, over SHA-256: its hashes, and how its proofs are checked (RFC 9162).

Checking a proof needs no tree: an auditor with a leaf, a proof and a root that somebody trusted signed needs only this file.
Proofs are made in `gridnet_contracts.log.tiles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from gridnet.errors import VerificationError
from gridnet_contracts.log.canonical import HASH_BYTES

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
EMPTY_ROOT = sha256(b"").digest()


class ProofRefused(VerificationError):
    """A Merkle proof that does not prove its claim; the message begins with the number of the failed check."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash (32 bytes) under which `entry` stands in the tree."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash (32 bytes) of the node over `left` and `right` (32 bytes each)."""
    return sha256(NODE_PREFIX + left + right).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Checks that the leaf with hash `leaf` stands at `index` in the tree of `size` leaves with this `root`.

    1. `index` lies in the tree, and every hash has 32 bytes.
    2. The proof has as many hashes as the path from the leaf to the root has siblings (RFC 9162, section 2.1.3.2).
    3. Hashing up the path gives `root`.

    Raises `ProofRefused` at the first check that fails. The caller must have `root` from somebody it trusts.
    """
    # 1
    if not 0 <= index < size:
        raise ProofRefused(f"1: leaf {index} lies outside a tree of {size}", expected=size, got=index)
    _whole_hashes(leaf, root, *proof)
    # 2 and 3: `node` and `last` are the positions of our node and of the last node, on the level reached so far
    node, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofRefused(f"2: the proof has {len(proof)} hashes, more than the path from leaf {index} in {size}")
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            while node and not node & 1:  # the last node of an odd level rises without a sibling
                node, last = node >> 1, last >> 1
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofRefused(f"2: the proof has {len(proof)} hashes, fewer than the path from leaf {index} in {size}")
    if reached != root:
        raise ProofRefused(f"3: leaf {index} of {size} does not lead to the root", expected=root.hex(), got=reached.hex())


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of `new_size` leaves begins with the tree of `old_size`: nothing was changed, only appended.

    1. The sizes are in order, and every hash has 32 bytes.
    2. Equal sizes have equal roots, and the empty tree has the empty root; both need no proof.
    3. The proof has as many hashes as the two trees ask for (RFC 9162, section 2.1.4.2).
    4. Hashing up gives the old root.
    5. Hashing up gives the new root.

    Raises `ProofRefused` at the first check that fails.
    """
    # 1
    if not 0 <= old_size <= new_size:
        raise ProofRefused(f"1: a tree of {new_size} leaves does not begin with one of {old_size}", expected=new_size, got=old_size)
    _whole_hashes(old_root, new_root, *proof)
    # 2
    if old_size in (0, new_size):
        _needs_no_proof(old_size, old_root, new_size, new_root, proof)
        return
    # 3
    if not proof:
        raise ProofRefused(f"3: no proof from {old_size} to {new_size}")
    # 4 and 5: both roots are built from the same hashes, starting at the largest subtree that ends the old tree
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    trailing = (old_size & -old_size).bit_length() - 1
    node, last = (old_size - 1) >> trailing, (new_size - 1) >> trailing
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused(f"3: {len(proof)} hashes are too many from {old_size} to {new_size}")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofRefused(f"3: {len(proof)} hashes are too few from {old_size} to {new_size}")
    if old != old_root:
        raise ProofRefused(f"4: the proof does not lead to the root at {old_size}", expected=old_root.hex(), got=old.hex())
    if new != new_root:
        raise ProofRefused(f"5: the proof does not lead to the root at {new_size}", expected=new_root.hex(), got=new.hex())


def _needs_no_proof(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    known = new_root if old_size == new_size else EMPTY_ROOT
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofRefused("2: a tree without leaves has another root", expected=EMPTY_ROOT.hex(), got=old_root.hex())
    if old_root != known:
        raise ProofRefused(f"2: two roots at one size, {old_size}", expected=old_root.hex(), got=new_root.hex())
    if proof:
        raise ProofRefused(f"2: {len(proof)} hashes where none is needed, from {old_size} to {new_size}")


def _whole_hashes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise ProofRefused(f"1: a hash of {len(each)} bytes, SHA-256 has {HASH_BYTES}", expected=HASH_BYTES, got=len(each))
