"""Many callers, one writer: whatever the threads do, each gets what is its own, and the books stay whole."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gridnet.errors import LedgerError
from gridnet_contracts.ledger import batch
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Transfer
from gridnet_contracts.ledger.entry import Order, stamp
from gridnet_contracts.ledger.errors import AlreadyThere, ForkRefused, InsufficientBalance, KeyReused, MalformedAction
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.sequencer import Sequencer
from tests.contracts.gridnet_contracts.ledger.audit import audit, balances
from tests.contracts.gridnet_contracts.ledger.builders import NOW, certificate, do, furnish, issue, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import context, hurry, start
from tests.contracts.gridnet_contracts.ledger.gathering import PATIENCE_S, Gathered
from tests.contracts.gridnet_contracts.ledger.stores import Place, Templates

CALLERS = 12
SECOND = timedelta(seconds=1)


def _together(ledger: Ledger, *wanted: list[Order]) -> list[list[Receipt] | Exception]:
    return Gathered(ledger, len(wanted)).commit([(asked, NOW) for asked in wanted])


def _sizes(ledger: Ledger) -> list[int]:
    with ledger.database.read() as connection:
        return [size for (size,) in connection.execute(text("SELECT size FROM checkpoints ORDER BY size"))]


def test_one_caller_is_served_as_by_the_ledger(ledger: Ledger) -> None:
    sequencer, asked = Sequencer(ledger), orders(pay(1), issue())
    receipts = sequencer.commit(asked, NOW)
    assert [receipt.repeated for receipt in receipts] == [False, False]
    again = sequencer.commit(asked, NOW)
    assert [(each.entry, each.leaf_hash, each.repeated) for each in again] == [(r.entry, r.leaf_hash, True) for r in receipts]
    with pytest.raises(InsufficientBalance) as refusal:
        sequencer.commit([Order("much", pay(10**9))], NOW)
    assert refusal.value.__notes__ == ["order 'much'"]
    assert audit(ledger, {each.entry: each.leaf_hash for each in receipts}) == 7
    with pytest.raises(MalformedAction):
        sequencer.commit(asked, NOW.replace(tzinfo=None))


def test_who_waits_together_is_entered_together_under_one_signature(ledger: Ledger) -> None:
    before = _sizes(ledger)
    ended = _together(ledger, *(orders(pay(1), pay(2)) for _ in range(CALLERS)))
    receipts = [receipt for each in ended if isinstance(each, list) for receipt in each]
    assert [receipt.entry for receipt in receipts] == [*range(5, 5 + 2 * CALLERS)], "in the order in which they came"
    assert _sizes(ledger) == [*before, 5 + 2 * CALLERS]
    audit(ledger, {each.entry: each.leaf_hash for each in receipts})


def test_each_has_its_own_refusal_and_the_others_go_in(ledger: Ledger) -> None:
    do(ledger, issue())
    sold = Transfer(certificate=certificate(), owner="ann", to="bob")
    before = _sizes(ledger)
    ended = _together(
        ledger,
        [Order("a", pay(600))],
        [Order("b", pay(600))],
        [Order("c", pay(400)), *orders(issue())],
        [Order("a", pay(601))],
        [Order("d", sold)],
        [Order("a", pay(600))],
        [Order("e", pay(400))],
    )
    kinds = [type(each) for each in ended]
    assert kinds == [list, InsufficientBalance, AlreadyThere, KeyReused, list, list, list]
    assert isinstance(ended[5], list)
    assert ended[5][0].repeated, "another caller's order with the same key and body is the same order"
    assert [note for each in ended if isinstance(each, LedgerError) for note in each.__notes__][:1] == ["order 'b'"]
    assert _sizes(ledger) == [*before, 9]
    assert audit(ledger) == 9
    with ledger.database.read() as connection:
        assert balances(connection)["owned/bob", "eur"] == 1000


def test_what_breaks_the_transaction_of_several_breaks_its_own_alone(ledger: Ledger) -> None:
    with ledger.database.write() as connection:  # a rule of the tables that the ledger's code does not know
        connection.execute(text("CREATE UNIQUE INDEX once ON movements (amount) WHERE amount = 777"))
    ended = _together(ledger, orders(pay(1)), orders(pay(777, "source/bank")), orders(pay(777, "source/bank")), orders(pay(2)))
    assert [type(each) for each in ended] == [list, list, AlreadyThere, list]
    assert audit(ledger) == 8


def test_a_fork_is_everybodys_refusal(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = Gathered(ledger, 3)
    last = ledger.seal.last()[1]
    assert last is not None

    def forked(*_: object) -> None:
        assert gathered.complete.wait(PATIENCE_S)
        raise ForkRefused("another copy went on")

    monkeypatch.setattr(Seal, "check", forked)
    ended = gathered.commit([(orders(pay(1)), NOW) for _ in range(3)])
    assert [type(each) for each in ended] == [ForkRefused] * 3
    assert len({id(each) for each in ended}) == 3, "threads that raise one and the same error share its traceback"


def test_entries_that_can_not_be_signed_are_no_success(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise LedgerError("the guard's disk is full")

    monkeypatch.setattr(ledger, "publish", full)
    ended = _together(ledger, [Order("a", pay(1))], [Order("b", pay(10**9))], [Order("c", pay(2))])
    assert [type(each) for each in ended] == [LedgerError, InsufficientBalance, LedgerError]
    monkeypatch.undo()
    assert [receipt.repeated for receipt in Sequencer(ledger).commit([Order("a", pay(1)), Order("c", pay(2))], NOW)] == [True] * 2
    audit(ledger)


class Struck(Exception):
    """Nothing that the ledger foresees."""


def test_a_leader_that_dies_takes_nobody_with_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    poison, rule = Order("poison", pay(3)), batch.apply

    def poisoned(scene: Context, action: Action) -> None:
        if action is poison.action:
            raise Struck
        rule(scene, action)

    monkeypatch.setattr(batch, "apply", poisoned)
    gathered = Gathered(ledger, 4)
    ended = gathered.commit([(each, NOW) for each in (orders(pay(1)), [poison], orders(pay(2)), orders(pay(4)))])
    assert [type(each) for each in ended] == [Struck, Struck, list, list]
    assert gathered.sequencer._waiting == []
    assert audit(ledger) == 7


def test_each_has_its_own_time_and_one_that_waited_its_predecessors(ledger: Ledger) -> None:
    wanted = [(orders(pay(1)), NOW + lag * SECOND) for lag in (90, 120, 61, 30, 150)]
    ended = Gathered(ledger, 5).commit(wanted)
    assert [type(each) for each in ended] == [list, list, list, LedgerError, list]
    with ledger.database.read() as connection:
        times = [time for (time,) in connection.execute(text("SELECT time FROM entries WHERE seq > 4 ORDER BY seq"))]
    assert times == [stamp(NOW + late * SECOND) for late in (90, 120, 120, 150)]
    audit(ledger)


def test_threads_that_never_stop_asking_all_come_in(ledger: Ledger) -> None:
    rounds, sequencer = 8, Sequencer(ledger)

    def ask(caller: int) -> list[Receipt]:
        return [receipt for k in range(rounds) for receipt in sequencer.commit([Order(f"{caller}-{k}", pay(1))], NOW)]

    with ThreadPoolExecutor(CALLERS) as threads:
        receipts = [each for made in threads.map(ask, range(CALLERS)) for each in made]
    assert sorted(each.entry for each in receipts) == [*range(5, 5 + CALLERS * rounds)]
    assert len(_sizes(ledger)) < 3 + CALLERS * rounds // 2, "they were not joined"
    audit(ledger, {each.entry: each.leaf_hash for each in receipts})


def test_two_processes_take_turns(ledger: Ledger, place: Place) -> None:
    do(ledger, pay(1000, "source/bank", "owned/ann"))
    forks = context()
    gate = forks.Barrier(2)
    running = [start(forks, hurry, place, gate, number) for number in range(2)]
    acknowledged: dict[int, bytes] = {}
    refused: Counter[str] = Counter()
    for process, pipe in running:
        with pipe:
            receipts, errors = pipe.recv()
        process.join()
        assert not acknowledged.keys() & receipts.keys()
        acknowledged |= receipts
        refused += errors
    assert (len(acknowledged), refused) == (80, Counter({"InsufficientBalance": 16}))
    assert audit(ledger, acknowledged) == 6 + 80


KEYS = st.sampled_from("abcdef")
MOVES = st.sampled_from([pay(400), pay(1), pay(300, "owned/bob", "owned/ann"), pay(2**40), issue(), issue(15)])
BATCHES = st.lists(st.lists(st.tuples(KEYS, MOVES), min_size=1, max_size=3), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, threads=st.integers(1, 4))
def test_any_interleaving_leaves_exactly_what_was_accepted(
    templates: Templates, tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[str, Action]]], threads: int
) -> None:
    place = templates.founded(tmp_path_factory.mktemp("books") / "seal")
    ledger = Ledger.open(place.url, Seal.at(place.folder))
    furnish(ledger)
    sequencer = Sequencer(ledger)
    wanted = [[Order(key, action) for key, action in each] for each in batches]

    def ask(asked: list[Order]) -> list[Receipt] | LedgerError:
        try:
            return sequencer.commit(asked, NOW)
        except LedgerError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        ended = list(pool.map(ask, wanted))
    accepted = {
        receipt.entry: (order.key, receipt.leaf_hash)
        for asked, receipts in zip(wanted, ended, strict=True)
        if isinstance(receipts, list)
        for order, receipt in zip(asked, receipts, strict=True)
    }
    fresh = [each.entry for receipts in ended if isinstance(receipts, list) for each in receipts if not each.repeated]
    size = audit(ledger, {entry: leaf for entry, (_, leaf) in accepted.items()})
    assert sorted(fresh) == [*range(5, size)], "entered twice, or by nobody who was told"
    with ledger.database.read() as connection:
        rows = connection.execute(text("SELECT seq, key FROM entries WHERE seq > 4 ORDER BY seq"))
        assert [tuple(row) for row in rows] == sorted((entry, key) for entry, (key, _) in accepted.items())
    ledger.close()
