"""Every action against a plain model: the same acceptance or the same refusal, the same balances, statuses and owners."""

from __future__ import annotations

import re
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import (
    Cancel,
    Claim,
    Expire,
    Issue,
    Lock,
    Release,
    Reserve,
    Split,
    Transfer,
    Unlock,
    Unreserve,
    Withdraw,
)
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.parse import KINDS
from gridnet_contracts.ledger.actions.records import Consume, GridFactor, Impact, Verdict, Verify
from gridnet_contracts.ledger.actions.registry import OpenAsset, SetEfficiency
from gridnet_contracts.ledger.actions.storage import Charge, Discharge
from gridnet_contracts.ledger.errors import LedgerError
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.ledger import builders
from tests.contracts.gridnet_contracts.ledger.audit import audit, balances, dump
from tests.contracts.gridnet_contracts.ledger.builders import FOUND, HASH, NOW, at, battery, do, solar, write_off
from tests.contracts.gridnet_contracts.ledger.plain_model import PlainModel
from tests.contracts.gridnet_contracts.ledger.status_table import FROM
from tests.contracts.gridnet_contracts.ledger.stores import Templates

PARTIES = ["ann", "bob", "cy"]
OWNERS = {"pv": "ann", "pw": "bob", "bat": "ann", "bet": "bob"}
CAPACITY_W = 8010
"""2,002.5 Wh a quarter-hour."""
EFFICIENCIES = [900_000, 333_333, 1, 1_000_000]
BATCH = 3
"""Accepted actions that are kept to be committed together."""
parties = st.sampled_from(PARTIES)
energies = st.sampled_from([1, 2, 3, 7, 100, 999, 1000, 2002, 2003])
ends = st.sampled_from(["2018-06-02T12:00Z", "2018-06-03T00:00Z", "2030-01-01T00:00Z"])
accounts = st.sampled_from(["owned/ann", "owned/bob", "source/bank"])
amounts = st.sampled_from([1, 5, 600, 2**53 - 1])
mostly = st.sampled_from([True] * 7 + [False])


@st.composite
def intervals(draw: st.DrawFn) -> dict[str, str]:
    """A quarter-hour or more of one of two hours."""
    first = draw(st.integers(0, 7))
    last = draw(st.integers(first + 1, 4 * (first // 4 + 1))) if not draw(mostly) else first + 1
    return {"start": at(15 * first), "end": at(15 * last)}


class Books(RuleBasedStateMachine):
    """A ledger beside its model. Set `templates` in a subclass."""

    templates: Templates

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="books"))
        self.place = self.templates.founded(self.folder / "seal")
        self.ledger = Ledger.open(self.place.url, Seal.at(self.place.folder))
        self.model = PlainModel(NOW)
        self.pending: list[Action] = []

    def teardown(self) -> None:
        self.flush()
        audit(self.ledger)
        self.ledger.close()
        shutil.rmtree(self.folder)

    @initialize()
    def furnish(self) -> None:
        self.ask(OpenAsset(asset="eur", unit="micro-euro"))
        for name, owner in OWNERS.items():
            self.ask((battery if name[0] == "b" else solar)(name, owner, capacity_w=CAPACITY_W))
        self.flush()

    def ask(self, action: Action) -> None:
        """Has it accepted by both, or refused by both: then it takes with it what is pending."""
        faults = self.model.faults(action)
        if not faults:
            self.model.apply(action)
            self.pending.append(action)
            if len(self.pending) >= BATCH:
                self.flush()
            return
        before = dump(self.ledger)
        with pytest.raises(LedgerError) as refusal:
            do(self.ledger, *self.pending, action, time=self.model.time)
        assert type(refusal.value) in faults, f"{action!r}: {refusal.value}"
        assert dump(self.ledger) == before

    def flush(self) -> None:
        """Commits what the model has accepted, and holds one against the other."""
        if self.pending:
            do(self.ledger, *self.pending, time=self.model.time)
            self.pending = []
            self.compare()

    def compare(self) -> None:
        with self.ledger.database.read() as connection:
            held = balances(connection)
            pieces = connection.execute(text("SELECT certificate, status, party, beneficiary, backing FROM certificates")).all()
            lots = connection.execute(
                text("SELECT device, asset, certificate, charged_wh, remaining_wh FROM lots ORDER BY device, rank")
            )
            stored = [tuple(row) for row in lots]
            unbacked = connection.execute(text("SELECT device, sum(unbacked_wh) FROM dischargings GROUP BY device"))
            short = {device: wh for device, wh in unbacked if wh}
        model = self.model
        assert held == model.balances()
        assert {row[0]: tuple(row[1:4]) for row in pieces} == {
            n: (p.status, p.party, p.beneficiary) for n, p in model.pieces.items()
        }
        assert {row[0]: row[4] for row in pieces} == {n: p.backing for n, p in model.pieces.items()}
        assert stored == [
            (n, lot.asset, lot.certificate, lot.charged, lot.left) for n in sorted(model.devices) for lot in model.devices[n].lots
        ]
        assert short == {name: gadget.unbacked for name, gadget in model.devices.items() if gadget.unbacked}

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.model.broken() == []

    def piece(self, draw: st.DataObject, statuses: set[str]) -> dict[str, Any]:
        """A certificate, mostly one that the action may be done with, and its owner, mostly."""
        fitting = [name for name, piece in self.model.pieces.items() if piece.status in statuses]
        names = fitting if fitting and draw.draw(mostly) else [*self.model.pieces, f"pv@{at(0)}/5-6"]
        name = draw.draw(st.sampled_from(names))
        owner = self.model.pieces[name].party if name in self.model.pieces and draw.draw(mostly) else draw.draw(parties)
        return {"certificate": name, "owner": owner}

    def gadget(self, draw: st.DataObject, storage: bool) -> dict[str, str]:
        """A device, mostly of the right kind, and its owner, mostly."""
        fitting = [name for name, gadget in self.model.devices.items() if bool(gadget.storage_wh) == storage]
        name = draw.draw(st.sampled_from(fitting if draw.draw(mostly) else [*self.model.devices, "nix"]))
        owner = self.model.devices[name].owner if name in self.model.devices and draw.draw(mostly) else draw.draw(parties)
        return {"device": name, "owner": owner}

    @rule(hours=st.sampled_from([0, 1, 13, 24]))
    def wait(self, hours: int) -> None:
        self.flush()
        self.model.time += timedelta(hours=hours)

    @rule(asset=st.sampled_from(["eur", "gc", "grey", "point"]))
    def open_asset(self, asset: str) -> None:
        self.ask(OpenAsset(asset=asset, unit="one"))

    @rule(
        name=st.sampled_from(["pv", "px", "by"]),
        owner=parties,
        storage_wh=st.sampled_from([0, 10]),
        efficiency_ppm=st.sampled_from([0, 500_000]),
    )
    def register(self, name: str, owner: str, storage_wh: int, efficiency_ppm: int) -> None:
        self.ask(solar(name, owner, storage_wh=storage_wh, efficiency_ppm=efficiency_ppm, capacity_w=CAPACITY_W))

    @rule(name=st.sampled_from(["bat", "bet", "bat", "pv", "nix"]), ppm=st.sampled_from([*EFFICIENCIES, 0]))
    def set_efficiency(self, name: str, ppm: int) -> None:
        self.ask(SetEfficiency(device=name, efficiency_ppm=ppm, start=at(0), end=at(60), method="counted", evidence=HASH))

    @rule(draw=st.data(), interval=intervals(), wh=energies, held=st.booleans(), expires=ends)
    def issue(self, draw: st.DataObject, interval: dict[str, str], wh: int, held: bool, expires: str) -> None:
        self.ask(Issue(**self.gadget(draw, storage=False), **interval, wh=wh, held=held, expires=expires, evidence=HASH))

    @rule(draw=st.data())
    def release(self, draw: st.DataObject) -> None:
        self.ask(Release(**self.piece(draw, FROM[Release]), evidence=HASH))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), kind=st.sampled_from([Withdraw, Cancel, Lock]))
    def end_or_lock(self, draw: st.DataObject, kind: type[Withdraw | Cancel | Lock]) -> None:
        self.ask(kind(**self.piece(draw, FROM[kind]), reason="so"))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), kind=st.sampled_from([Unlock, Unreserve, Expire]))
    def let_go(self, draw: st.DataObject, kind: type[Unlock | Unreserve | Expire]) -> None:
        self.ask(kind(**self.piece(draw, FROM[kind])))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), to=parties)
    def transfer(self, draw: st.DataObject, to: str) -> None:
        self.ask(Transfer(**self.piece(draw, FROM[Transfer]), to=to))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), wh=energies)
    def split(self, draw: st.DataObject, wh: int) -> None:
        self.ask(Split(**self.piece(draw, FROM[Split]), wh=wh))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), beneficiary=parties)
    def claim(self, draw: st.DataObject, beneficiary: str) -> None:
        self.ask(Claim(**self.piece(draw, FROM[Claim]), beneficiary=beneficiary, purpose="so"))

    @precondition(lambda self: self.model.pieces)
    @rule(draw=st.data(), beneficiary=parties)
    def reserve(self, draw: st.DataObject, beneficiary: str) -> None:
        self.ask(Reserve(**self.piece(draw, FROM[Reserve]), beneficiary=beneficiary))

    @rule(draw=st.data(), interval=intervals(), wh=energies)
    def charge(self, draw: st.DataObject, interval: dict[str, str], wh: int) -> None:
        gadget = self.gadget(draw, storage=True)
        fitting = [
            name
            for name, piece in self.model.pieces.items()
            if piece.status == "active" and piece.party == gadget["owner"] and name.partition("@")[2][:13] == interval["start"][:13]
        ]
        names = fitting if draw.draw(mostly) else list(self.model.pieces)
        chosen = draw.draw(st.lists(st.sampled_from(names), max_size=3, unique=draw.draw(mostly))) if names else []
        needed = sum(self.model.pieces[name].wh for name in chosen)
        self.ask(Charge(**gadget, **interval, wh=wh + (needed if draw.draw(mostly) else 0), certificates=chosen, evidence=HASH))

    @rule(draw=st.data(), interval=intervals(), wh=energies, held=st.booleans(), expires=ends)
    def discharge(self, draw: st.DataObject, interval: dict[str, str], wh: int, held: bool, expires: str) -> None:
        self.ask(Discharge(**self.gadget(draw, storage=True), **interval, wh=wh, held=held, expires=expires, evidence=HASH))

    @rule(draw=st.data(), wh=energies)
    def write_off(self, draw: st.DataObject, wh: int) -> None:
        self.ask(write_off(wh, self.gadget(draw, storage=True)["device"]))

    @rule(
        legs=st.lists(
            st.tuples(st.sampled_from(["eur"] * 6 + ["gc", "point"]), accounts, accounts, amounts), min_size=1, max_size=3
        )
    )
    def move(self, legs: list[tuple[str, str, str, int]]) -> None:
        self.ask(Move(legs=legs, memo="so"))

    @rule(interval=intervals(), who=parties, kind=st.sampled_from([Consume, GridFactor, Impact, Verify, Verdict]))
    def record(self, interval: dict[str, str], who: str, kind: type[Action]) -> None:
        shares = {"emissions_mg_per_kwh": 1, "residual_mg_per_kwh": 2, "carbon_free_ppm": 3}
        more: dict[type[Action], dict[str, Any]] = {
            Consume: {"consumer": who, "wh": 5, "evidence": HASH},
            GridFactor: {"zone": who, "origin": "so", **shares},
            Impact: {"community": who, "saved_g": -5, "baseline": "so", "evidence": HASH},
            Verify: {"community": who, "messages": HASH, "verdicts": HASH, "accepted": 5, "rejected": 0, "missing": 1},
            Verdict: {"device": who, "level": 3, "outcome": "hold", "finding": "so", "evidence": HASH},
        }
        self.ask(kind(**interval, **more[kind]))

    @rule()
    def found_again(self) -> None:
        self.ask(FOUND)


# A failing run is not made smaller: each try takes the disk's time, and the last step says what differs.
SHORT = settings(max_examples=12, stateful_step_count=40, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
LONG = settings(SHORT, max_examples=400, stateful_step_count=60)


def _run(templates: Templates, how: settings) -> None:
    run_state_machine_as_test(type("Machine", (Books,), {"templates": templates}), settings=how)


def test_every_action_does_what_the_model_does(templates: Templates) -> None:
    _run(templates, SHORT if templates.store.kind == "sqlite" else settings(SHORT, max_examples=3))


@pytest.mark.conformance
def test_every_action_does_what_the_model_does_at_length(templates: Templates) -> None:
    _run(templates, LONG)


def test_the_machine_asks_for_every_action() -> None:
    words = Path(__file__).read_text(encoding="utf-8") + Path(builders.__file__).read_text(encoding="utf-8")
    assert [kind.__name__ for kind in KINDS.values() if not re.search(rf"\b{kind.__name__}\b", words)] == []
