"""Backups that come back and copies that go on: whatever happens, no two checkpoints of one size and different roots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import ForkRefused, LedgerError
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.log.checkpoint import verify
from gridnet_contracts.log.guard import Guard, GuardUnavailable
from tests.contracts.gridnet_contracts.ledger.audit import audit, dump
from tests.contracts.gridnet_contracts.ledger.builders import do, orders, pay
from tests.contracts.gridnet_contracts.ledger.children import attempt, context, opened, start
from tests.contracts.gridnet_contracts.ledger.stores import Place, Templates


class Meanwhile:
    """A guard on whose `turn`-th use somebody else acts first."""

    def __init__(self, guard: Guard, turn: int, act: Callable[[], None]) -> None:
        self._guard, self.left, self._act = guard, turn, act

    def read(self) -> bytes | None:
        self._pass()
        return self._guard.read()

    def swap(self, expected: bytes | None, new: bytes) -> bool:
        self._pass()
        return self._guard.swap(expected, new)

    def _pass(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._act()


@pytest.fixture
def pair(ledger: Ledger, place: Place, templates: Templates) -> tuple[Place, Place]:
    """A ledger and a copy of its database with the same seal."""
    ledger.close()
    return place, replace(place, url=templates.store.copy(place.url))


def _signed(*ledgers: Ledger) -> dict[int, set[bytes]]:
    """Roots by size of every checkpoint that can be had."""
    roots: dict[int, set[bytes]] = defaultdict(set)
    for ledger in ledgers:
        with ledger.database.read() as connection:
            notes = [note for (note,) in connection.execute(text("SELECT note FROM checkpoints"))]
        for note in [*notes, ledger.seal.guard.read()]:
            if note is not None:
                checkpoint = verify(note, ledger.seal.origin, [ledger.seal.key.verifier])
                roots[checkpoint.size].add(checkpoint.root)
    return roots


def _never_two(*ledgers: Ledger) -> None:
    assert [size for size, roots in _signed(*ledgers).items() if len(roots) > 1] == []


def test_a_restored_backup_signs_nothing(pair: tuple[Place, Place]) -> None:
    now, backup = (opened(place) for place in pair)
    do(now, pay(1))
    before, guarded = dump(backup), now.seal.guard.read()
    for _ in range(2):
        with pytest.raises(ForkRefused):
            do(backup, pay(2))
    with pytest.raises(ForkRefused):
        do(backup, pay(1))
    with pytest.raises(ForkRefused):
        backup.publish()
    assert dump(backup) == before
    assert now.seal.guard.read() == guarded
    do(now, pay(3))
    audit(now)
    _never_two(now, backup)
    now.close()
    backup.close()


def test_a_backup_that_has_all_that_was_signed_goes_on(pair: tuple[Place, Place]) -> None:
    """The negative: a copy is refused for what it lacks, not for being one."""
    backup = opened(pair[1])
    do(backup, pay(1))
    assert audit(backup) == 6
    backup.close()


def test_of_two_copies_one_goes_on(pair: tuple[Place, Place]) -> None:
    first, second = (opened(place) for place in pair)
    do(first, pay(1))
    with pytest.raises(ForkRefused):
        do(second, pay(2))
    do(first, pay(3))
    with pytest.raises(ForkRefused):
        do(second, pay(1), pay(3), pay(5))
    _never_two(first, second)
    first.close()
    second.close()


def _tried(ledger: Ledger, amount: int) -> bool:
    try:
        do(ledger, pay(amount))
    except ForkRefused:
        return False
    return True


@pytest.mark.parametrize("turn", range(1, 7))
def test_two_copies_at_any_turn(pair: tuple[Place, Place], turn: int) -> None:
    first, second = (opened(place) for place in pair)
    ended: list[bool] = []
    meanwhile = Meanwhile(first.seal.guard, turn, lambda: ended.append(_tried(second, 2)))
    ended.append(_tried(Ledger(first.database, replace(first.seal, guard=meanwhile)), 1))
    if meanwhile.left > 0:
        ended.append(_tried(second, 2))
    assert sorted(ended) == [False, True], "one of them is refused, and one goes on"
    _never_two(first, second)
    again = _tried(first, 4), _tried(second, 8)
    assert sorted(again) == [False, True]
    _never_two(first, second)
    first.close()
    second.close()


def test_two_copies_in_a_race(pair: tuple[Place, Place]) -> None:
    forks = context()
    for lap in range(3):
        gate = forks.Barrier(4)
        wanted = [[Order(f"{lap}-{process}-{k}", pay(process + 1)) for k in range(3)] for process in range(4)]
        running = [start(forks, attempt, pair[process % 2], gate, wanted[process]) for process in range(4)]
        done = 0
        for process, pipe in running:
            ended = pipe.recv()
            pipe.close()
            process.join()
            assert ended.keys() <= {"done", "ForkRefused", "LedgerError"}, "refused for another reason than a fork, or a late clock"
            done += ended["done"]
        assert done or lap
    first, second = (opened(place) for place in pair)
    _never_two(first, second)
    first.close()
    second.close()


@pytest.mark.parametrize("turn", range(1, 6))
def test_two_writers_of_one_database_are_no_fork(ledger: Ledger, place: Place, monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    """Whenever the other one commits while a checkpoint is being signed."""
    other = opened(place)
    meanwhile = Meanwhile(ledger.seal.guard, turn, lambda: ledger_did(other))

    def ledger_did(another: Ledger) -> None:
        do(another, pay(2))

    publish = ledger.publish

    def publish_beside_another() -> bytes:
        monkeypatch.setattr(ledger, "seal", replace(ledger.seal, guard=meanwhile))
        monkeypatch.setattr(ledger, "publish", publish)
        return publish()

    monkeypatch.setattr(ledger, "publish", publish_beside_another)
    [receipt] = do(ledger, pay(1))
    monkeypatch.undo()
    assert audit(ledger, {receipt.entry: receipt.leaf_hash}) == (6 if meanwhile.left > 0 else 7)
    other.close()


def test_a_guard_that_is_gone_is_not_made_anew(ledger: Ledger, place: Place) -> None:
    guard = place.folder / "last-checkpoint"
    kept = guard.read_bytes()
    guard.unlink()
    before = dump(ledger)
    with pytest.raises(ForkRefused):
        do(ledger, pay(1))
    assert not guard.exists()
    assert dump(ledger) == before
    guard.write_bytes(kept)
    do(ledger, pay(1))
    audit(ledger)


def test_a_guard_whose_disk_is_gone_is_not_made_anew(ledger: Ledger, place: Place) -> None:
    before = dump(ledger)
    moved = place.folder.rename(place.folder.with_name("elsewhere"))
    with pytest.raises(GuardUnavailable):
        do(ledger, pay(1))
    assert not place.folder.exists()
    moved.rename(place.folder)
    assert dump(ledger) == before
    do(ledger, pay(1))


def test_a_guard_of_another_log_is_refused(ledger: Ledger, place: Place) -> None:
    guard = place.folder / "last-checkpoint"
    before = dump(ledger)
    guard.write_bytes(guard.read_bytes()[:-9] + b"AAAAAAA=\n")
    with pytest.raises(LedgerError):
        ledger.commit(orders(pay(1)))
    assert dump(ledger) == before
