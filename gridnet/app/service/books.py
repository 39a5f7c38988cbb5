"""The one ledger of all feeders, and each feeder's community in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import func, select

from gridnet.app.community import Community, founding, make_community, registration
from gridnet.app.pipeline import Commits
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.turns import Turns
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.rows import Device
from gridnet_contracts.ledger.schema import table_of
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.sequencer import Sequencer
from gridnet_contracts.rewards.programme import load_programme


@dataclass(frozen=True)
class Books:
    """A ledger and a community in it. `entering`: by what the community's orders get there."""

    ledger: Ledger
    community: Community
    entering: Commits

    @classmethod
    def opened(cls, database: Database, seal: Seal, live: LiveFeeder) -> Self:
        """The ledger in the database, founded where there is none, with the community's devices in it. Raises `LedgerError`."""
        ledger = Ledger(database, seal)
        ledger.begin(founding(seal.origin, live.case.scenario.name))
        return cls.kept(ledger, ledger, live)

    @classmethod
    def kept(cls, ledger: Ledger, entering: Commits, live: LiveFeeder, time: datetime | None = None) -> Self:
        """A feeder's books in a ledger that was founded, its devices registered at a time (now). Raises `LedgerError`."""
        privacy = Privacy(ledger.database)
        community = make_community(live.case, privacy)
        since = _commissioned(ledger.database, community)
        entering.commit(registration(community, privacy, load_programme("community"), since), time)
        return cls(ledger, community, entering)


def _commissioned(database: Database, community: Community) -> str | None:
    """Since when the community's devices are registered; None where they are not. The series are laid over another year now and
    then, and what was registered stays as it was."""
    table = table_of(Device)
    own = table.c.device.in_([community.device(point) for point in community.points])
    with database.read() as connection:
        return connection.execute(select(func.min(table.c.commissioned)).where(own)).scalar()


class Shelf:
    """The books of all feeders of a process: one ledger, opened when the first of them is asked for."""

    def __init__(self, ledger: Ledger, founder: str, turns: Turns, clock: Callable[[], datetime]) -> None:
        """`founder`: the main feeder's community, in whose words a new ledger is founded."""
        self._ledger = ledger
        self._founder = founder
        self._clock = clock
        self._entering = _Aside(Sequencer(ledger), turns)
        self._begun = False
        self._turn = threading.Lock()

    def books(self, live: LiveFeeder) -> Books:
        """A feeder's. Raises `LedgerError`."""
        with self._turn:
            if not self._begun:
                self._ledger.begin(founding(self._ledger.seal.origin, self._founder))
                self._begun = True
        return Books.kept(self._ledger, self._entering, live, self._clock())


class _Aside:
    """Enters orders; who waits for the disk, or to be joined with others, lets others compute."""

    def __init__(self, entering: Commits, turns: Turns) -> None:
        self._entering = entering
        self._turns = turns

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Receipt]:
        with self._turns.aside():
            return self._entering.commit(orders, time)
