"""One writer for many callers: whoever has waited longest enters what all ask who wait, in one transaction, under one signature.

A commit waits for the disk four times and signs once, be it one feeder's quarter-hour or those of sixty-four. So the threads of a
process are joined here: while one of them commits, the others gather, and the next to lead takes them all. It takes them once it
has the database's lock, so that who comes while another process writes is still taken along.

Nothing runs in the background: a caller leads, or waits for who does. Processes take turns by the ledger's lock, and the guard is
asked as in `Ledger.commit`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

from gridnet.errors import GridnetError, LedgerError
from gridnet_contracts.ledger.batch import SKEW, Asked, Batch, Receipt
from gridnet_contracts.ledger.database import Connection
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger

Outcome = list[Receipt] | GridnetError


@dataclass(eq=False, slots=True)
class _Call:
    """A caller that waits, until it has its outcome. `alone`: who took it along failed, perhaps because of it."""

    asked: Asked
    outcome: Outcome | None = None
    alone: bool = False


class Sequencer:
    """The way into a ledger for all threads of a process, which share it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._changed = Condition()
        self._waiting: list[_Call] = []
        """Who has no outcome yet, in the order in which they came."""
        self._leader: _Call | None = None

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Receipt]:
        """As `Ledger.commit`: all orders or none, on disk and under a signed checkpoint when it returns. Raises what these orders
        alone are refused for, whoever's else are entered with them.

        `time` may lie before the last entry's by less than `SKEW`, and is then taken for it: others were entered while this caller
        waited for its turn.
        """
        call = _Call(Asked.of(orders, time))
        with self._changed:
            self._waiting.append(call)
        try:
            while self._comes_to_lead(call):
                self._lead(call)
        finally:
            self._leave(call)
        if isinstance(call.outcome, GridnetError):
            raise call.outcome
        assert call.outcome is not None, "who need not lead any more has an outcome"
        return call.outcome

    def _comes_to_lead(self, call: _Call) -> bool:
        """Waits for its outcome (False), or until nobody leads and nobody has waited longer (True)."""
        with self._changed:
            self._changed.wait_for(lambda: call.outcome is not None or (self._leader is None and self._waiting[0] is call))
            if call.outcome is None:
                self._leader = call
            return call.outcome is None

    def _lead(self, first: _Call) -> None:
        """Settles `first` and those who wait with it. Where the transaction fails that held several, each must come alone."""
        taken: list[_Call] = []
        try:
            with self.ledger.writing() as connection:
                taken = self._taken(first)
                outcomes = _entered(connection, [call.asked for call in taken])
            _settle(taken, self._signed(outcomes))
        except GridnetError as error:
            if len(taken) < 2:  # one's own, or everybody's: there was no turn to be had at all
                taken = taken or self._taken(first)
                _settle(taken, [copy.copy(error) for _ in taken])
        finally:
            for call in taken:
                call.alone = call.outcome is None
            self._pass_on()

    def _taken(self, first: _Call) -> list[_Call]:
        with self._changed:
            return [first] if first.alone else [call for call in self._waiting if not call.alone]

    def _signed(self, outcomes: list[Outcome]) -> list[Outcome]:
        """What was entered, once it is signed; where that fails, the error for all who have entries in it."""
        entered = [isinstance(outcome, list) for outcome in outcomes]
        try:
            if any(entered):
                self.ledger.publish()
        except GridnetError as error:
            return [copy.copy(error) if mine else outcome for mine, outcome in zip(entered, outcomes, strict=True)]
        return outcomes

    def _pass_on(self) -> None:
        with self._changed:
            self._waiting = [call for call in self._waiting if call.outcome is None]
            self._leader = None
            self._changed.notify_all()

    def _leave(self, call: _Call) -> None:
        """Who was interrupted must not be waited for."""
        with self._changed:
            if call in self._waiting or self._leader is call:
                self._waiting = [other for other in self._waiting if other is not call]
                self._leader = None if self._leader is call else self._leader
                self._changed.notify_all()


def _settle(taken: Sequence[_Call], outcomes: Sequence[Outcome]) -> None:
    for call, outcome in zip(taken, outcomes, strict=True):
        call.outcome = outcome


def _entered(connection: Connection, asked: Sequence[Asked]) -> list[Outcome]:
    """Enters all at once; where that is refused, one by one, so that each has its own outcome. A batch that is refused has written
    nothing; where the database itself refuses, its driver's error ends the transaction."""
    try:
        return list[Outcome](Batch(connection, SKEW).enter(*asked))
    except LedgerError as error:
        return [error] if len(asked) == 1 else [_entered(connection, [each])[0] for each in asked]
