"""Eight processes at once: nothing is spent twice, issued twice or claimed twice."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Claim
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from tests.contracts.gridnet_contracts.ledger.audit import audit, balances
from tests.contracts.gridnet_contracts.ledger.builders import certificate, do, issue, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import attempt, context, opened, start
from tests.contracts.gridnet_contracts.ledger.stores import Place

PROCESSES = 8
BALANCE = 100
TRIES = 25
"""Of each process: twice what there is to spend."""


def _at_once(place: Place, wanted: list[list[Order]]) -> Counter[str]:
    forks = context()
    gate = forks.Barrier(len(wanted))
    running = [start(forks, attempt, place, gate, orders) for orders in wanted]
    ended: Counter[str] = Counter()
    for process, pipe in running:
        with pipe:
            ended += pipe.recv()
        process.join()
    return ended


def _each(action: Action) -> list[list[Order]]:
    return [[Order(f"from-{process}", action)] for process in range(PROCESSES)]


def test_a_balance_is_spent_once(ledger: Ledger, place: Place) -> None:
    do(ledger, pay(BALANCE, "source/bank", "owned/cy"))
    spend = pay(1, "owned/cy", "owned/dan")
    ended = _at_once(place, [[Order(f"{process}-{k}", spend) for k in range(TRIES)] for process in range(PROCESSES)])
    assert ended == {"done": BALANCE, "InsufficientBalance": PROCESSES * TRIES - BALANCE}
    audit(ledger)
    with ledger.database.read() as connection:
        held = balances(connection)
    assert held["owned/dan", "eur"] == BALANCE
    assert ("owned/cy", "eur") not in held


def test_a_quarter_is_issued_once(ledger: Ledger, place: Place) -> None:
    ended = _at_once(place, _each(issue()))
    assert ended == {"done": 1, "AlreadyThere": PROCESSES - 1}
    audit(ledger)


def test_a_certificate_is_claimed_once(ledger: Ledger, place: Place) -> None:
    do(ledger, issue())
    ended = _at_once(place, _each(Claim(certificate=certificate(), owner="ann", beneficiary="ann", purpose="heat")))
    assert ended == {"done": 1, "StatusChangeRefused": PROCESSES - 1}
    audit(ledger)


def test_one_key_is_entered_once(ledger: Ledger, place: Place) -> None:
    ended = _at_once(place, [[Order("the-key", pay(1))] for _ in range(PROCESSES)])
    assert ended == {"done": PROCESSES}, "a repeated order gets its first receipt again"
    audit(ledger)
    with ledger.database.read() as connection:
        assert balances(connection)["owned/bob", "eur"] == 1


def test_who_waited_for_another_writer_does_not_come_too_late(
    ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, write = opened(place), ledger.database.write

    def behind_another() -> AbstractContextManager[Connection]:
        monkeypatch.undo()  # the once is enough
        second = datetime.now(UTC).second
        while datetime.now(UTC).second == second:
            time.sleep(0.01)
        other.commit(orders(pay(1)))
        return write()

    monkeypatch.setattr(ledger.database, "write", behind_another)
    ledger.commit(orders(pay(1)))
    other.close()
    assert audit(ledger) == 7
