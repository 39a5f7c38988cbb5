"""Calls that no honest encoder makes: too short, paid, with arguments that are none. Each is one step beside a good one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.onchain.onchain import ABI, CHECKPOINT, Onchain, batch_of, claiming, payload

WORD = 32
BITS = {"uint8": 8, "uint32": 32, "uint64": 64, "address": 160, "bool": 1}
MOST = {"proof": 32, "ids": 64, "whs": 64, "owners": 64, "note": 1024, "beneficiary": 64, "purpose": 200}
"""How many elements or bytes an argument of that name has at most."""
FUNCTIONS = {
    each["name"]: [(given["name"], given["type"]) for given in each["inputs"]] for each in ABI if each["type"] == "function"
}


@pytest.fixture
def calls(chain: Onchain) -> dict[str, tuple[str, bytes]]:
    """A good call of every function, from whom and with what. Account 2 holds 1000 Wh of batches 0 and 1."""
    admin, anchorer, owner, other = chain.engine.accounts[:4]
    batches = [batch_of(chain.registry, 2, number, owners=(owner,)) for number in range(4)]
    assert all(chain.anchor(batch).ok for batch in batches[:3])
    assert all(chain.claim(batch, 0).ok for batch in batches[:2])
    assert chain.do(admin, "offer_role", 0, other).ok
    good: dict[str, tuple[str, list[Any]]] = {
        "anchor": (anchorer, [3, batches[3].root(), 2, batches[3].total_wh, CHECKPOINT]),
        "claim": (other, claiming(batches[2], 0)),
        "retire": (owner, [0, 1, "b", "p"]),
        "safeTransferFrom": (owner, [owner, other, 0, 1, b"x"]),
        "safeBatchTransferFrom": (owner, [owner, other, [0, 1], [1, 1], b"x"]),
        "setApprovalForAll": (owner, [other, True]),
        "pause": (admin, [False]),
        "offer_role": (admin, [1, other]),
        "take_role": (other, [0]),
        "balanceOf": (other, [owner, 0]),
        "balanceOfBatch": (other, [[owner], [0]]),
        "supportsInterface": (other, [b"\1\2\3\4"]),
        "holders": (other, [0]),
        "offers": (other, [0]),
        "paused": (other, []),
        "batches": (other, []),
        "roots": (other, [0]),
        "sums": (other, [0]),
        "checkpoints": (other, [0]),
        "claims": (other, [0, 0]),
        "isApprovedForAll": (other, [owner, other]),
    }
    assert set(good) == set(FUNCTIONS)
    return {name: (sender, payload(name, *values)) for name, (sender, values) in good.items()}


def spoilt(name: str, good: bytes) -> Iterator[bytes]:
    """A call's bytes with one thing wrong."""
    if FUNCTIONS[name]:
        yield good[: 4 + WORD * len(FUNCTIONS[name]) - 1]
    for place, (argument, kind) in enumerate(FUNCTIONS[name]):
        at = 4 + WORD * place
        if kind in BITS:
            yield _or(good, at, 1 << BITS[kind])
        elif kind == "bytes4":
            yield _or(good, at, 1)
        elif argument in MOST:
            start = 4 + int.from_bytes(good[at : at + WORD])
            longer = good[:start] + (MOST[argument] + 1).to_bytes(WORD) + good[start + WORD :]
            yield longer + bytes(WORD * (MOST[argument] + 1))  # there to be read, were it not too long
            if kind == "address[]":
                yield _or(good, start + WORD, 1 << BITS["address"])


def _or(content: bytes, at: int, bits: int) -> bytes:
    word = int.from_bytes(content[at : at + WORD]) | bits
    return content[:at] + word.to_bytes(WORD) + content[at + WORD :]


def test_a_call_with_one_thing_wrong_is_refused_and_the_right_one_is_not(
    chain: Onchain, calls: dict[str, tuple[str, bytes]]
) -> None:
    for name, (sender, good) in calls.items():
        for bad in spoilt(name, good):
            assert not chain.engine.transact(sender, chain.address, bad).ok, (name, bad.hex())
        assert not chain.engine.transact(sender, chain.address, good, value=1).ok, name
    for name, (sender, good) in calls.items():
        outcome = chain.engine.transact(sender, chain.address, good)
        assert outcome.ok, (name, outcome.reason)


def test_a_list_as_long_as_it_may_be_is_taken(chain: Onchain, calls: dict[str, tuple[str, bytes]]) -> None:
    owner, other = chain.engine.accounts[2:4]
    assert chain.do(owner, "retire", 0, 1, "b" * 64, "p" * 200).ok
    assert chain.do(owner, "safeTransferFrom", owner, other, 0, 1, b"x" * 1024).ok
    batch = batch_of(chain.registry, 2, 2, owners=(owner,))
    assert "proof too long" in chain.claim(batch, 0, proof=[*batch.proof(0), *[b"\0" * 32] * 31]).reason


def test_a_function_that_the_contract_has_not_is_refused(chain: Onchain) -> None:
    known = {payload(name, *[])[:4] for name in ("paused", "batches")}
    for number in range(256):
        selector = (number * 0x01010101).to_bytes(4)
        assert selector not in known
        assert not chain.engine.read(chain.address, selector + bytes(1024)).ok, selector.hex()
