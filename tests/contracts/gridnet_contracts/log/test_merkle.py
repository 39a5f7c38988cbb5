"""Checking proofs: golden hashes, honest proofs of every shape, and each way of forging one refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from gridnet_contracts.log.merkle import (
    EMPTY_ROOT,
    ProofRefused,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# The tree that the implementations of Certificate Transparency test themselves with (certificate-transparency-go and
# transparency-dev/merkle, testonly): eight leaves, and the root at each size from 0 to 8.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# From the same source: the proof of leaf 0 at size 8, of leaf 5 at size 8, and from size 6 to 8.
CT_INCLUSION = {
    0: [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    5: [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CT_CONSISTENCY_6_8 = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 64, 100)


def hashes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def forged(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Every proof one step away: a bit flipped, a hash dropped, added or cut short, neighbours swapped."""
    for place, each in enumerate(proof):
        for byte in (0, 13, 31):
            flipped = bytearray(each)
            flipped[byte] ^= 1 << byte % 8
            yield [*proof[:place], bytes(flipped), *proof[place + 1 :]]
        yield [*proof[:place], *proof[place + 1 :]]
        yield [*proof[: place + 1], *proof[place:]]
        yield [*proof[:place], each[:-1], *proof[place + 1 :]]
        yield [*proof[:place], each + b"\x00", *proof[place + 1 :]]
    for place, (one, other) in enumerate(pairwise(proof)):
        if one != other:
            yield [*proof[:place], other, one, *proof[place + 2 :]]
    yield [*proof, b"\x00" * 32]
    yield [b"\x00" * 32, *proof]


def test_the_reference_tree_has_the_published_roots(tree_of: Any) -> None:
    tree = tree_of(hashes(CT_LEAVES))
    assert [tree.root(size).hex() for size in range(9)] == CT_ROOTS
    assert EMPTY_ROOT.hex() == CT_ROOTS[0]
    assert leaf_hash(b"").hex() == CT_ROOTS[1]
    assert node_hash(leaf_hash(b""), leaf_hash(b"\x00")).hex() == CT_ROOTS[2]


@pytest.mark.parametrize("index", CT_INCLUSION)
def test_the_published_inclusion_proofs_hold(index: int) -> None:
    leaf, root = leaf_hash(bytes.fromhex(CT_LEAVES[index])), bytes.fromhex(CT_ROOTS[8])
    verify_inclusion(leaf, index, 8, hashes(CT_INCLUSION[index]), root)
    with pytest.raises(ProofRefused, match=r"^3"):
        verify_inclusion(leaf_hash(b"other"), index, 8, hashes(CT_INCLUSION[index]), root)


def test_the_published_consistency_proof_holds() -> None:
    old, new = bytes.fromhex(CT_ROOTS[6]), bytes.fromhex(CT_ROOTS[8])
    verify_consistency(6, old, 8, new, hashes(CT_CONSISTENCY_6_8))
    with pytest.raises(ProofRefused, match=r"^4"):
        verify_consistency(6, bytes.fromhex(CT_ROOTS[5]), 8, new, hashes(CT_CONSISTENCY_6_8))


def test_a_forged_inclusion_proof_is_refused(naive: Any) -> None:
    for size in SIZES:
        for index in range(size):
            proof, root = naive.path(index, 0, size), naive.root(size)
            verify_inclusion(naive.leaves[index], index, size, proof, root)
            for forgery in forged(proof):
                with pytest.raises(ProofRefused):
                    verify_inclusion(naive.leaves[index], index, size, forgery, root)


def test_a_proof_of_another_leaf_index_size_or_root_is_refused(naive: Any) -> None:
    for size in SIZES:
        for index in range(size):
            leaf, proof, root = naive.leaves[index], naive.path(index, 0, size), naive.root(size)
            claims = [(leaf, other, size, root) for other in {*range(size), -1, size, index + 2**64} - {index}]
            claims += [(leaf, index, other, naive.root(other)) for other in (0, size - 1, size + 1, 2 * size) if other >= 0]
            claims += [(naive.leaves[index + 1], index, size, root), (leaf, index, size, naive.root(size + 1))]
            claims += [(leaf[:-1], index, size, root), (leaf, index, size, root[:-1]), (leaf, index, size, b"")]
            for wrong_leaf, wrong_index, wrong_size, wrong_root in claims:
                with pytest.raises(ProofRefused):
                    verify_inclusion(wrong_leaf, wrong_index, wrong_size, proof, wrong_root)


def test_a_proof_of_the_wrong_length_is_told(naive: Any) -> None:
    for index, size in ((0, 1), (2, 3), (4, 7), (9, 64)):
        proof = naive.path(index, 0, size)
        with pytest.raises(ProofRefused, match=r"^2.*more than"):
            verify_inclusion(naive.leaves[index], index, size, [*proof, EMPTY_ROOT], naive.root(size))
        if proof:
            with pytest.raises(ProofRefused, match=r"^2.*fewer than"):
                verify_inclusion(naive.leaves[index], index, size, proof[:-1], naive.root(size))
    for old, new in ((1, 3), (3, 7), (4, 7), (9, 64)):
        proof = naive.proof(old, new)
        with pytest.raises(ProofRefused, match=r"^3.*too many"):
            verify_consistency(old, naive.root(old), new, naive.root(new), [*proof, EMPTY_ROOT])
        with pytest.raises(ProofRefused, match=r"^3.*(too few|no proof)"):
            verify_consistency(old, naive.root(old), new, naive.root(new), proof[:-1])


def test_a_hash_of_another_length_is_refused(naive: Any) -> None:
    path, proof = naive.path(2, 0, 5), naive.proof(3, 5)
    for cut in (slice(0, 31), slice(0, 0)):
        for leaf, hashes_given, root in [
            (naive.leaves[2][cut], path, naive.root(5)),
            (naive.leaves[2], [path[0][cut], *path[1:]], naive.root(5)),
            (naive.leaves[2], path, naive.root(5)[cut]),
        ]:
            with pytest.raises(ProofRefused, match=r"^1: a hash of"):
                verify_inclusion(leaf, 2, 5, hashes_given, root)
        for old_root, hashes_given, root in [
            (naive.root(3)[cut], proof, naive.root(5)),
            (naive.root(3), [proof[0][cut], *proof[1:]], naive.root(5)),
            (naive.root(3), proof, naive.root(5)[cut]),
        ]:
            with pytest.raises(ProofRefused, match=r"^1: a hash of"):
                verify_consistency(3, old_root, 5, root, hashes_given)


def test_a_forged_consistency_proof_is_refused(naive: Any) -> None:
    for new in SIZES:
        for old in range(new + 1):
            proof = naive.proof(old, new)
            verify_consistency(old, naive.root(old), new, naive.root(new), proof)
            for forgery in forged(proof):
                with pytest.raises(ProofRefused):
                    verify_consistency(old, naive.root(old), new, naive.root(new), forgery)


def test_a_consistency_proof_between_other_trees_is_refused(naive: Any, tree_of: Any) -> None:
    changed = tree_of([b"another first entry", *(str(number).encode() for number in range(1, 200))])
    for new in SIZES:
        for old in range(1, new + 1):
            proof, before, after = naive.proof(old, new), naive.root(old), naive.root(new)
            claims = [(old, changed.root(old), new, after), (old, before, new, changed.root(new)), (new + 1, before, new, after)]
            claims += [(old - 1, naive.root(old - 1), new, after), (old, before, new + 1, naive.root(new + 1))]
            claims += [(old, before[:-1], new, after), (old, before, new, after[:-1])]
            for old_size, old_root, new_size, new_root in claims:
                if (
                    proof == naive.proof(old_size, new_size)
                    and new_root == naive.root(new_size)
                    and old_root == naive.root(old_size)
                ):
                    continue
                with pytest.raises(ProofRefused):
                    verify_consistency(old_size, old_root, new_size, new_root, proof)


def test_sizes_out_of_order_are_refused(naive: Any) -> None:
    for old, new in ((-1, 3), (4, 3), (1, -1)):
        with pytest.raises(ProofRefused, match=r"^1"):
            verify_consistency(old, naive.root(3), new, naive.root(3), [])


def test_the_empty_tree_begins_every_tree_and_needs_no_proof(naive: Any) -> None:
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    verify_consistency(0, EMPTY_ROOT, 5, naive.root(5), [])
    for old_root, new, new_root, proof in [
        (naive.root(1), 5, naive.root(5), []),
        (naive.root(1), 0, naive.root(1), []),
        (EMPTY_ROOT, 5, naive.root(5), [EMPTY_ROOT]),
        (EMPTY_ROOT, 0, naive.root(1), []),
    ]:
        with pytest.raises(ProofRefused, match=r"^2"):
            verify_consistency(0, old_root, new, new_root, proof)


def test_a_power_of_two_still_needs_a_proof(naive: Any) -> None:
    with pytest.raises(ProofRefused, match=r"^3"):
        verify_consistency(4, naive.root(4), 8, naive.root(8), [])


def test_a_repeated_last_leaf_is_another_tree(tree_of: Any) -> None:
    a, b, c = b"a", b"b", b"c"
    three, four = tree_of([a, b, c]), tree_of([a, b, c, c])
    assert three.root(3) != four.root(4)
    verify_consistency(3, three.root(3), 4, four.root(4), four.proof(3, 4))
    with pytest.raises(ProofRefused):
        verify_inclusion(leaf_hash(c), 3, 4, four.path(3, 0, 4), three.root(3))
    with pytest.raises(ProofRefused, match=r"^2"):
        verify_consistency(3, three.root(3), 3, four.root(4), [])


def test_a_node_does_not_pass_as_an_entry(tree_of: Any) -> None:
    tree = tree_of([b"a", b"b"])
    assert leaf_hash(tree.leaves[0] + tree.leaves[1]) != tree.root(2)
    with pytest.raises(ProofRefused, match=r"^3"):
        verify_inclusion(leaf_hash(tree.leaves[0] + tree.leaves[1]), 0, 1, [], tree.root(2))
