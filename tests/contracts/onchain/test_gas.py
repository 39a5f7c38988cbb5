"""What the contract costs, held against the figures in docs/chain.md. Gas is the same on every chain that is like Ethereum."""

from __future__ import annotations

from time import process_time

import pytest

from gridnet_contracts.chain.batch import Registry
from tests.contracts.onchain.engines import Engine
from tests.contracts.onchain.onchain import Onchain, batch_of, deployed

ANCHOR_MOST = 120_000
CLAIM_MOST = {100: 60_000, 1_000: 63_000, 10_000: 67_000, 65_536: 70_000}
"""By size of the batch: a claim for somebody who holds credits of it or of one of its three neighbours, in a word of 256 leaves of
which one was claimed. All but the first of each are."""
FRESH_OWNER, FRESH_WORD = 17_200, 17_200
"""What the first claim of an owner in four batches, and of such a word, costs on top: a slot that was empty."""


@pytest.fixture(scope="module", params=sorted(CLAIM_MOST))
def size(request: pytest.FixtureRequest) -> int:
    """Leaves of a batch."""
    number: int = request.param
    return number


def test_what_a_batch_costs(engine: Engine, size: int) -> None:
    chain = deployed(engine)
    owner = engine.accounts[3]
    batch = batch_of(chain.registry, size, owners=(owner,))
    anchored = chain.anchor(batch).gas
    assert anchored <= ANCHOR_MOST
    middle = size // 2 & ~255
    first, again, word = (chain.claim(batch, index).gas for index in (1, 2, middle + 9 if middle else 3))
    assert again <= CLAIM_MOST[size]
    assert first <= CLAIM_MOST[size] + FRESH_OWNER + FRESH_WORD
    assert word <= CLAIM_MOST[size] + FRESH_WORD


def test_what_a_holder_pays(chain: Onchain) -> None:
    owner, other = chain.engine.accounts[2:4]
    batches = [batch_of(chain.registry, 2, number, owners=(owner,)) for number in range(5)]
    assert all(chain.anchor(batch).gas <= ANCHOR_MOST for batch in batches)
    claimed = [chain.claim(batch, 0).gas for batch in batches]  # each in a fresh word, too
    assert [gas <= 70_000 for gas in claimed] == [False, True, True, True, False]
    given = [chain.do(owner, "safeTransferFrom", owner, other, batch.number, 100, b"").gas for batch in batches]
    assert [gas <= 39_200 for gas in given] == [False, True, True, True, False]
    assert max(given) <= 56_300
    assert chain.do(owner, "retire", 0, 100, "Mill Lane", "own use").gas <= 40_000


def test_a_batch_takes_less_than_two_seconds_to_prepare() -> None:
    began = process_time()
    made = batch_of(Registry(1, "0x" + "12" * 20), 10_000)
    assert len({made.root(), *(made.proof(index)[0] for index in range(10_000))}) == 10_001
    assert process_time() - began < 2.0
