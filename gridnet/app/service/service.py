"""The service as its protocols see it: one object that holds its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from gridnet.app.service.config import Config
from gridnet.app.service.controls import Controls
from gridnet.app.service.devices import Devices
from gridnet.app.service.documents import Documents
from gridnet.app.service.frames import Frames
from gridnet.app.service.model import REST, Fields, Kind, Worth
from gridnet.app.service.operations import Operations
from gridnet.app.service.people import People
from gridnet.app.service.store import Store
from gridnet.app.service.telemetry import Telemetry
from gridnet.app.service.webhooks import Webhooks
from gridnet_contracts.ledger.database import Database


def _unknown(_: datetime) -> Worth | None:
    return None


@dataclass(frozen=True)
class Service:
    """The parts of a running service. Each part's methods open transactions of their own."""

    config: Config
    store: Store
    operations: Operations
    people: People
    webhooks: Webhooks
    devices: Devices
    controls: Controls
    telemetry: Telemetry
    documents: Documents
    frames: Frames
    safe_pv_share: float = 1.0
    worth: Callable[[datetime], Worth | None] = _unknown
    """What energy costs at a time, at the live feeder."""

    @classmethod
    def on(
        cls,
        database: Database,
        config: Config,
        meters: frozenset[str] = frozenset(),
        safe_pv_share: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> Self:
        """A service on a database, whose tables it makes. `meters`: sub-meters of the live feeder;
        `safe_pv_share`: of its rating, what a plant may always give. Raises `Unavailable`."""
        store = Store(database, clock)
        store.migrate()
        operations = Operations(store)
        webhooks = Webhooks(store, config)
        devices = Devices(store, operations, webhooks, meters)
        return cls(
            config=config,
            store=store,
            operations=operations,
            people=People(store, operations),
            webhooks=webhooks,
            devices=devices,
            controls=Controls(store, devices, operations, webhooks),
            telemetry=Telemetry(store, devices),
            documents=Documents(store, devices),
            frames=Frames(store, config.scenario, config.frames_days),
            safe_pv_share=safe_pv_share,
        )

    def default_of(self, kind: Kind, discharge_kw: float) -> Fields:
        """A default control that is safe for grid and battery: rest, or of a plant the sun that the grid always carries."""
        return Fields(p_kw=self.safe_pv_share * discharge_kw, q_kvar=0.0) if kind == "pv" else REST

    @property
    def clock(self) -> Callable[[], datetime]:
        """What time it is, in UTC."""
        return self.store.clock
