"""A small ledger in which every kind of action happens once at least: what the auditor's tests start from.

Key, salts and times are fixed, so that the same story gives the same bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from gridnet_contracts.audit.steps import Outcome
from gridnet_contracts.ledger.actions import certificates, money, records, registry, storage
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.certificate_table import COLUMNS, derived_certificates
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order, make_entry
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.replay import replay
from gridnet_contracts.ledger.rules.apply import apply
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.table_files import write_rows
from gridnet_contracts.ledger.witnessing import WitnessService
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.folder import write_entries, write_tiles
from gridnet_contracts.log.guard import FileGuard
from gridnet_contracts.log.keys import SignerKey
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.tiles import MemoryTiles, root

ORIGIN = "example.net/gridnet"
KEY = SignerKey(ORIGIN, b"\x01" * 32)
POLICY = Policy(ORIGIN, KEY.verifier)
HASH = "0" * 64
ENTRIES = 35
"""Of the story."""
CERTIFICATES = 13
"""That the story makes, split ones too."""
PAYMENT = 28
"""The entry that moves money alone."""
EXPIRES = "2030-01-01T00:00Z"
NAMES = ("Ann, 12 Rose Lane", "Bob, 13 Rose Lane")
PRIVATE = {"name": "battery in Ann's cellar", "location": "52.52,13.40", "meter": "1EMH0012345678"}
FOUND = registry.Found(
    origin=ORIGIN,
    issuer="Grid",
    country="DE",
    market_zone="DE-LU",
    legal_status="none",
    purpose="disclosure",
    quality_scheme="none",
    configuration="1",
)


@dataclass(frozen=True)
class Home:
    """A ledger on disk: its database, the folder of its seal, and its homes' pseudonyms."""

    url: str
    seal: Path
    ann: str
    bob: str

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return Path(str(make_url(self.url).database))


def salts() -> Any:
    """A source of salts that are the same each time."""
    numbers = count()
    return lambda size: sha256(b"salt %d" % next(numbers)).digest()[:size]


def device(name: str, owner: str, private: str = HASH, **changes: Any) -> registry.RegisterDevice:
    """A rooftop, or with `storage_wh` and `efficiency_ppm` a battery."""
    fields: dict[str, Any] = {
        "device": name,
        "owner": owner,
        "carrier": "electricity",
        "source": "solar",
        "technology": "rooftop",
        "capacity_w": 10_000,
        "commissioned": "2015-01-01T00:00Z",
        "grid_operator": "net",
        "grid_connection": "low voltage",
        "support": "none",
        "private": private,
    }
    return registry.RegisterDevice(**(fields | changes))


def issue(owner: str, quarter: int, wh: int = 1000, **changes: Any) -> certificates.Issue:
    """What `pv` produced in a quarter of the hour from 10 o'clock on."""
    start, end = (f"2026-06-01T{10 + q // 4}:{q % 4 * 15:02d}Z" for q in (quarter, quarter + 1))
    fields = {"device": "pv", "owner": owner, "start": start, "end": end, "wh": wh, "held": False}
    return certificates.Issue(**(fields | {"expires": EXPIRES, "evidence": HASH} | changes))


def certificate(quarter: int, lo: int = 0, hi: int = 1000) -> str:
    """The name of a certificate that `issue` makes."""
    return f"pv@2026-06-01T{10 + quarter // 4}:{quarter % 4 * 15:02d}Z/{lo}-{hi}"


def batches(ann: str, bob: str, private: str) -> Iterator[tuple[datetime, list[Action]]]:
    """The story, day by day; every kind of action is in it."""
    yield (
        _day(1),
        [
            registry.OpenAsset(asset="eur", unit="micro-euro"),
            device("pv", ann),
            device("bat", ann, private, source="storage", technology="li-ion", storage_wh=10_000, efficiency_ppm=900_000),
        ],
    )
    yield _day(2), [issue(ann, quarter, 1000, held=quarter == 6) for quarter in range(8)]
    yield _day(3), list(_uses(ann, bob))
    yield _day(4), list(_storing(ann))
    span = {"start": "2026-06-01T10:00Z", "end": "2026-06-01T11:00Z"}
    yield (
        _day(5),
        [
            money.Move(
                legs=(("eur", "source/bank", f"owned/{ann}", 900), ("eur", f"owned/{ann}", f"owned/{bob}", 300)), memo="pay"
            ),
            records.Consume(**span, consumer=ann, wh=2000, evidence=HASH),
            records.GridFactor(
                **span,
                zone="de-lu",
                emissions_mg_per_kwh=400_000,
                residual_mg_per_kwh=700_000,
                carbon_free_ppm=500_000,
                origin="table",
            ),
            records.Impact(**span, community="lane", saved_g=-7, baseline="no dispatch", evidence=HASH),
            records.Verify(**span, community="lane", messages=HASH, verdicts=HASH, accepted=2, rejected=1, missing=0),
            records.Verdict(**span, device="pv", level=2, outcome="hold", finding="above the ceiling", evidence=HASH),
        ],
    )
    yield datetime(2030, 1, 2, tzinfo=UTC), [certificates.Expire(certificate=certificate(5), owner=ann)]


def _day(number: int) -> datetime:
    return datetime(2026, 6, number, 20, tzinfo=UTC)


def _uses(ann: str, bob: str) -> Iterator[Action]:
    yield certificates.Split(certificate=certificate(0), owner=ann, wh=400)
    yield certificates.Transfer(certificate=certificate(0, 0, 400), owner=ann, to=bob)
    yield certificates.Claim(certificate=certificate(0, 0, 400), owner=bob, beneficiary=bob, purpose="heating")
    yield certificates.Lock(certificate=certificate(2), owner=ann, reason="on a chain")
    yield certificates.Unlock(certificate=certificate(2), owner=ann)
    yield certificates.Reserve(certificate=certificate(2), owner=ann, beneficiary=bob)
    yield certificates.Reserve(certificate=certificate(3), owner=ann, beneficiary=bob)
    yield certificates.Unreserve(certificate=certificate(3), owner=ann)
    yield certificates.Cancel(certificate=certificate(3), owner=ann, reason="not needed")
    yield certificates.Release(certificate=certificate(6), owner=ann, evidence=HASH)
    yield certificates.Withdraw(certificate=certificate(6), owner=ann, reason="meter was wrong")


def _storing(ann: str) -> Iterator[Action]:
    span = {"device": "bat", "owner": ann}
    yield storage.Charge(
        **span, start="2026-06-01T10:15Z", end="2026-06-01T10:30Z", wh=1500, certificates=(certificate(1),), evidence=HASH
    )
    yield storage.Discharge(
        **span, start="2026-06-01T18:15Z", end="2026-06-01T18:30Z", wh=1200, held=False, expires=EXPIRES, evidence=HASH
    )
    yield certificates.Split(certificate="bat@2026-06-01T18:15Z/0-750", owner=ann, wh=300)
    yield registry.SetEfficiency(
        device="bat",
        efficiency_ppm=880_000,
        start="2026-05-01T00:00Z",
        end="2026-06-01T00:00Z",
        method="measured",
        evidence=HASH,
    )
    yield storage.WriteOff(device="bat", wh=50, reason="counted", evidence=HASH)


def tell(url: str, seal: Path, witnesses: Sequence[WitnessService] = ()) -> Home:
    """Writes the story into an empty database."""
    database = Database(url)
    database.migrate()
    privacy = Privacy(database, salts())
    ann, bob = map(privacy.pseudonym, NAMES)
    private = privacy.device("bat", PRIVATE)
    database.close()
    home = Home(url, seal, ann, bob)
    seal.mkdir(parents=True)
    ledger = opened(home, witnesses)
    ledger.commit([Order("found", FOUND)], _day(1))
    for day, (time, actions) in enumerate(batches(ann, bob, private)):
        ledger.commit([Order(f"{day}-{place}", action) for place, action in enumerate(actions)], time)
    ledger.close()
    return home


def opened(home: Home, witnesses: Sequence[WitnessService] = ()) -> Ledger:
    """The ledger, with the key that all these tests share."""
    return Ledger(Database(home.url), Seal(KEY, FileGuard(home.seal / "last-checkpoint")), witnesses)


def small_file(path: Path) -> str:
    """The URL of a new SQLite file with pages of 512 bytes."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA page_size=512; VACUUM;")
    return f"sqlite:///{path}"


def leaves_of(orders: Iterable[tuple[str, Action]], time: str = "2026-06-09T12:00:00Z") -> list[bytes]:
    """The leaves that honest orders (key, action) make, one after the other."""
    state, leaves = State(), list[bytes]()
    for key, action in orders:
        order, context = Order(key, action), Context(state, len(leaves), time)
        apply(context, action)
        leaves.append(make_entry(len(leaves), time, order, context.movements, order.body()).leaf)
    return leaves


def signed_folder(folder: Path, leaves: Sequence[bytes], honest: Sequence[bytes] | None = None) -> Path:
    """An export over these leaves, signed with the log's key: what an operator who writes its files by hand can make. The table
    of certificates is that of `honest` leaves (the same ones)."""
    tiles = MemoryTiles()
    tiles.append(0, [leaf_hash(leaf) for leaf in leaves])
    write_entries(folder, 0, leaves)
    write_tiles(folder, tiles, len(leaves))
    write_rows(folder / "certificates.csv", COLUMNS, derived_certificates(replay(leaves if honest is None else honest)))
    (folder / "checkpoint").write_bytes(sign(Checkpoint(ORIGIN, len(leaves), root(tiles, len(leaves))), KEY))
    return folder


def failed(outcomes: Iterable[Outcome]) -> int:
    """The number of the check that failed, 0 where all passed. Checks are numbered as made, and the first failure is the last."""
    made = list(outcomes)
    assert [outcome.number for outcome in made] == list(range(1, len(made) + 1))
    assert all(outcome.passed for outcome in made[:-1])
    assert all(outcome.finding for outcome in made)
    return 0 if made[-1].passed else made[-1].number
