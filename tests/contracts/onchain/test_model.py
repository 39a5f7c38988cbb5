"""The contract against a plain model of it, on whatever sequence of calls Hypothesis thinks of."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from gridnet_contracts.chain.batch import CreditBatch
from tests.contracts.onchain.engines import Engine
from tests.contracts.onchain.onchain import Onchain, batch_of, deployed

HOLDERS = st.integers(2, 4)
SIZES = st.integers(1, 5)
AMOUNTS = st.sampled_from([0, 1, 7, 1000, 1001, 2003, 5000])


class Machine(RuleBasedStateMachine):
    """What the contract must hold: who has how much of which batch, what is claimed, what is retired."""

    engine: Engine

    @initialize()
    def deploy(self) -> None:
        self.chain: Onchain = deployed(self.engine)
        self.batches: list[CreditBatch] = []
        self.claimed: set[tuple[int, int]] = set()
        self.held: Counter[tuple[str, int]] = Counter()
        self.retired: Counter[int] = Counter()
        self.paused = False

    @rule(size=SIZES)
    def anchor(self, size: int) -> None:
        batch = batch_of(self.chain.registry, size, len(self.batches), owners=tuple(self.engine.accounts[2:5]))
        assert self.chain.anchor(batch).ok == (not self.paused)
        if not self.paused:
            self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(number=st.integers(0, 9), index=st.integers(0, 4))
    def claim(self, number: int, index: int) -> None:
        batch = self.batches[number % len(self.batches)]
        index %= batch.size
        can = not self.paused and (batch.number, index) not in self.claimed
        assert self.chain.claim(batch, index).ok == can
        if can:
            self.claimed.add((batch.number, index))
            self.held[batch.credits[index].owner, batch.number] += batch.credits[index].wh

    @rule(giver=HOLDERS, taker=HOLDERS, number=st.integers(0, 2), wh=AMOUNTS)
    def transfer(self, giver: int, taker: int, number: int, wh: int) -> None:
        owner, other = self.engine.accounts[giver], self.engine.accounts[taker]
        can = self.held[owner, number] >= wh
        assert self.chain.do(owner, "safeTransferFrom", owner, other, number, wh, b"").ok == can
        if can:
            self.held[owner, number] -= wh
            self.held[other, number] += wh

    @rule(holder=HOLDERS, number=st.integers(0, 2), wh=AMOUNTS)
    def retire(self, holder: int, number: int, wh: int) -> None:
        owner = self.engine.accounts[holder]
        can = 0 < wh <= self.held[owner, number]
        assert self.chain.do(owner, "retire", number, wh, "b", "p").ok == can
        if can:
            self.held[owner, number] -= wh
            self.retired[number] += wh

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        assert self.chain.do(self.engine.accounts[0], "pause", paused).ok
        self.paused = paused

    @invariant()
    def conserves(self) -> None:
        for batch in self.batches:
            number = batch.number
            held = sum(self.chain.balance(owner, number) for owner in self.engine.accounts[2:5])
            size, retired, total, claimed = self.chain.sums(number)
            assert (size, total) == (batch.size, batch.total_wh)
            assert claimed == held + retired <= total
            assert retired == self.retired[number]
            bits = self.chain.read("claims", number, 0)
            assert bits == sum(1 << index for of, index in self.claimed if of == number)
        for (owner, number), wh in self.held.items():
            assert self.chain.balance(owner, number) == wh


def test_the_contract_does_what_the_model_does(quick: Engine) -> None:
    machine = type("OnAChain", (Machine,), {"engine": quick})
    run_state_machine_as_test(machine, settings=settings(max_examples=8, stateful_step_count=15))


def test_the_machine_sees_a_credit_too_many(quick: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Onchain, "balance", lambda *_: 1)
    machine = type("OnAChain", (Machine,), {"engine": quick})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=settings(max_examples=3, stateful_step_count=5))
