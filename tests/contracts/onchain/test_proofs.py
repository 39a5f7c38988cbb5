"""The tree of the log and of the contract are one: every proof that Python makes claims, and nothing near one does."""

from __future__ import annotations

import pytest

from gridnet_contracts.chain.batch import CreditBatch, Registry, leaf
from gridnet_contracts.chain.voucher import Voucher
from gridnet_contracts.log.merkle import ProofRefused, leaf_hash
from gridnet_contracts.log.tiles import MemoryTiles, inclusion, root
from tests.contracts.onchain.engines import Anvil, Engine
from tests.contracts.onchain.onchain import batch_of, deployed

EDGES = range(1, 34)
SOMEWHERE = Registry(1, "0x" + "12" * 20)


def test_every_leaf_of_every_size_claims_and_no_mutation_does(quick: Engine) -> None:
    chain = deployed(quick)
    mutated = EDGES if isinstance(quick, Anvil) else range(1, 9)  # the embedded EVM would take a minute for all
    for number, size in enumerate(EDGES):
        batch = batch_of(chain.registry, size, number)
        assert chain.anchor(batch).ok
        assert chain.would_claim(batch, size - 1)
        for index in range(size):
            for proof in mutations(batch, index) if size in mutated else ():
                assert not chain.would_claim(batch, index, proof=proof), (size, index, proof)
            assert chain.claim(batch, index).ok, (size, index)
        assert chain.sums(number) == (size, 0, batch.total_wh, batch.total_wh)


def mutations(batch: CreditBatch, index: int) -> list[list[bytes]]:
    """Proofs that are none: a hash too few or too many at each end, one bit of the first and of the last flipped, two swapped."""
    proof = batch.proof(index)
    spoilt = [[*proof, b"\0" * 32], [batch.root(), *proof]]
    if proof:
        spoilt += [proof[1:], proof[:-1], [*proof[:-1], _flipped(proof[-1])], [_flipped(proof[0]), *proof[1:]]]
    if len(proof) > 1:
        spoilt.append([proof[1], proof[0], *proof[2:]])
    return spoilt


def _flipped(each: bytes) -> bytes:
    return bytes([each[0] ^ 1]) + each[1:]


def test_both_machines_agree(engine: Engine) -> None:
    chain = deployed(engine)
    for number, size in enumerate((1, 2, 7, 33)):
        batch = batch_of(chain.registry, size, number)
        assert chain.anchor(batch).ok
        assert [chain.claim(batch, index).ok for index in {0, size // 2, size - 1}] == [True] * len({0, size // 2, size - 1})
        assert not chain.claim(batch, 0).ok


@pytest.mark.parametrize("size", [*EDGES, 255, 256, 257, 700])
def test_the_tree_is_the_logs(size: int) -> None:
    batch = batch_of(SOMEWHERE, size)
    tiles = MemoryTiles()
    tiles.append(0, [leaf_hash(leaf(SOMEWHERE, 0, k, each)) for k, each in enumerate(batch.credits)])
    assert batch.root() == root(tiles, size)
    assert [batch.proof(k) for k in range(size)] == [inclusion(tiles, k, size) for k in range(size)]


@pytest.mark.parametrize("size", EDGES)
def test_every_voucher_is_borne_out_by_the_root_and_no_other(size: int) -> None:
    batch = batch_of(SOMEWHERE, size)
    for index in range(size):
        voucher = Voucher.of(batch, index)
        voucher.verify(batch.root(), size)
        changed = [
            {"wh": voucher.wh + 1},
            {"owner": "0x" + "cd" * 20},
            {"batch": 1},
            {"chain_id": 2},
            {"contract": "0x" + "13" * 20},
        ]
        for change in (*changed, {"index": index + 1}, {"certificate_hash": "0" * 64}, {"proof": (*voucher.proof, "0" * 64)}):
            with pytest.raises(ProofRefused):
                voucher.model_copy(update=change).verify(batch.root(), size)
