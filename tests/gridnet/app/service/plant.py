"""A live feeder on a folder, with a clock that is told, and one process after the other that keeps it going."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gridnet.app.cli import main
from gridnet.app.service import marks
from gridnet.app.service.books import Books
from gridnet.app.service.config import Config
from gridnet.app.service.keeper import Keeper, Makings
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.loop import Loop
from gridnet.app.service.schema import readings
from gridnet.app.service.service import Service
from gridnet.app.service.settling import Settler
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.case import Case, load_case
from gridnet.metering.cose import parse_sign1
from gridnet.metering.reading import Reading
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.schema import entries
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.log.keys import SignerKey
from gridnet_policies.rule import Rule
from tests.gridnet.app.service.parts import NOON, Clock

SEED = 11
FAR = NOON.replace(year=2090)
"""The ledger takes no entry before its last, and is founded at the real time."""
FAR_Q = int(FAR.timestamp()) // QUARTER_S


@cache
def case_at(path: Path) -> Case:
    return load_case(str(path))


@dataclass
class Plant:
    """A live feeder on a folder, and one process after the other that keeps it going."""

    folder: Path
    case: Case
    clock: Clock = field(default_factory=lambda: Clock(FAR + 5 * timedelta(minutes=1)))

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'plant.db'}"

    def __post_init__(self) -> None:
        self.started = 0
        self.start()

    def start(self) -> None:
        """A new process: nothing is remembered but what is stored."""
        if self.started:
            self.service.store.database.close()
        self.started += 1
        self.live = LiveFeeder.at(self.case, self.clock.now)
        names = frozenset(point.name for point in self.live.points)
        self.service = Service.on(Database(self.url), Config(decision_limit_s=60.0), names, self.live.safe_pv_share, self.clock)
        self.keeper = self.make_keeper()
        self.loop = Loop(self.service, [self.keeper])

    @property
    def settler(self) -> Settler:
        """What closes quarter-hours, once it was ticked."""
        assert self.keeper.settler is not None
        return self.keeper.settler

    def make_keeper(self) -> Keeper:
        """What keeps the feeder going."""
        made = Makings(lambda now: LiveFeeder.at(self.case, now), lambda: [Rule()], self._settler)
        return Keeper(self.service, made)

    def _settler(self, live: LiveFeeder) -> Settler:
        return Settler(self.service, live, self._books, SEED)

    def _books(self, live: LiveFeeder) -> Books:
        sealed = self.folder / "seal"
        seal = Seal.at(sealed) if sealed.exists() else Seal.make(sealed, "plant.example/year")
        return Books.opened(self.service.store.database, seal, live)

    def run(self, quarters: int, each: Callable[[int], Any] = lambda _: None) -> None:
        """Ticks at the start of one quarter-hour after the other; `each` comes after each tick."""
        for number in range(quarters):
            self.loop.tick()
            each(number)
            self.clock.forward(minutes=15)

    def entries(self) -> list[tuple[str, str]]:
        """Keys and contents of what the ledger holds, in its order."""
        database = Database.reading(self.url)
        with database.read() as connection:
            found = connection.execute(select(entries.c.key, entries.c.body_hash).order_by(entries.c.seq))
            held = [(row.key, row.body_hash) for row in found]
        database.close()
        return held

    def settled(self) -> int:
        with self.service.store.read() as connection:
            return int(marks.marked(connection, marks.SETTLED) or -1)

    def heard(self, meter: str) -> list[Reading]:
        """Readings of a meter, as they are kept."""
        with self.service.store.read() as connection:
            raws = connection.execute(
                select(readings.c.raw).where(readings.c.meter == meter).order_by(readings.c.sequence)
            ).scalars()
            return [Reading.decode(parse_sign1(raw).payload) for raw in raws]

    def is_sound(self) -> bool:
        """Whether an outside auditor finds nothing."""
        key = SignerKey.load(self.folder / "seal" / "log.key").verifier.encode()
        return main(["audit", "verify", "--db", self.url, "--key", key]) == 0
