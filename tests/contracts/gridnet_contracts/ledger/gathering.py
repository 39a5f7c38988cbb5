"""Callers of a sequencer who all wait before the first of them is entered: what threads do by chance, made to happen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from sqlalchemy import Connection

from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.sequencer import Sequencer

PATIENCE_S = 30.0


@dataclass
class Gathered:
    """A sequencer whose first leader is stopped once it holds the database, until all others wait."""

    ledger: Ledger
    callers: int
    sequencer: Sequencer = field(init=False)
    transactions: int = 0
    complete: threading.Event = field(default_factory=threading.Event)
    """All of them wait."""

    def __post_init__(self) -> None:
        self.sequencer = Sequencer(self.ledger)

    @contextmanager
    def writing(self, write: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        with write() as connection:
            self.transactions += 1
            if self.transactions == 1:
                assert self.complete.wait(PATIENCE_S)
            yield connection

    def commit(self, wanted: Sequence[tuple[list[Order], datetime | None]]) -> list[list[Receipt] | Exception]:
        """What becomes of callers that come in this order, all before the first is entered."""
        write = self.ledger.writing
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(self.callers) as threads:
            patch.setattr(self.ledger, "writing", lambda: self.writing(write))
            futures = []
            for asked, time in wanted:
                futures.append(threads.submit(self.sequencer.commit, asked, time))
                until(lambda: len(self.sequencer._waiting) == len(futures))
            self.complete.set()
            return [future.exception(PATIENCE_S) or future.result() for future in futures]  # type: ignore[misc]


def until(ready: Callable[[], bool]) -> None:
    """Waits for it."""
    gate = threading.Event()
    for _ in range(int(PATIENCE_S * 1000)):
        if ready():
            return
        gate.wait(0.001)
    raise AssertionError("they do not come")
