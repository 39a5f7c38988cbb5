"""A service with its live feeders: what a process is made of, but for the web server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256

from gridnet.app.service import marks
from gridnet.app.service.books import Shelf
from gridnet.app.service.config import Config
from gridnet.app.service.feeders import make_sites
from gridnet.app.service.keeper import Keeper, Makings
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.names import MAIN
from gridnet.app.service.service import Service
from gridnet.app.service.settling import Settler
from gridnet.app.service.turns import Turns
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from gridnet_policies.policy import Policy
from gridnet_policies.registry import make_policies


@dataclass(frozen=True)
class Assembled:
    """`live`: the main feeder. `keepers`: of all feeders, none where the process shall answer alone."""

    service: Service
    live: LiveFeeder
    keepers: tuple[Keeper, ...]


def assemble(config: Config, database: Database, seal_of: Callable[[str], Seal], clock: Callable[[], datetime]) -> Assembled:
    """`seal_of` gives the ledger's seal for the main feeder's community. Raises `InputError`, `Unavailable`."""
    sites = make_sites(config, clock())
    live = sites[0].live(clock())
    # A default is set before it is known on which feeder the device will be: it is one that each of them carries.
    share = min(site.safe_pv_share for site in sites)
    service = Service.on(database, config, frozenset[str]().union(*(site.meters for site in sites)), share, clock)
    service = replace(service, worth=live.worth)
    turns, founder = Turns(), live.case.scenario.name
    shelf = Shelf(Ledger(database, seal_of(founder)), founder, turns, clock)
    keepers = []
    for site in sites if config.keeps_feeders else ():
        makings = Makings(site.live, partial(_policies, config), partial(_settler, service, shelf), turns)
        keepers.append(Keeper(service, makings, site.name))
    return Assembled(service, live, tuple(keepers))


def _policies(config: Config) -> list[Policy]:
    return [policy for name in config.policies for policy in make_policies(name, 1)[:1]]


def _settler(service: Service, shelf: Shelf, live: LiveFeeder) -> Settler:
    return Settler(service, live, shelf.books, _seed(service, live.name))


def _seed(service: Service, feeder: str) -> int:
    """The seed of a feeder's simulated meters: from the one that the service keeps, so that no two feeders err alike."""
    with service.store.write() as connection:
        known = marks.marked(connection, marks.SEED)
        seed = secrets.randbits(62) if known is None else int(known)
        marks.mark(connection, marks.SEED, seed)
    return seed if feeder == MAIN else int.from_bytes(sha256(f"{seed}/{feeder}".encode()).digest()[:7])
