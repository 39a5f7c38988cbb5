from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gridnet.errors import LedgerError
from gridnet_contracts.ledger.actions import certificates, records, storage
from gridnet_contracts.ledger.report_queries import certificate_wh
from gridnet_contracts.ledger.rules.certificates import STATUSES as LEDGER_STATUSES
from gridnet_contracts.reports.reconciliation import STATUSES, Month, Reconciliation, Stored, reconcile

World = Any
"""`conftest.World`, which a test gets through its fixtures alone."""
TEN, ELEVEN, NOON, LATER = "2018-06-01T10:00Z", "2018-06-01T11:00Z", "2018-06-01T12:00Z", "2018-06-02T11:00Z"
EVIDENCE = "0" * 64


def books(world: World) -> Reconciliation:
    return reconcile(world.database)


def stored_energy(world: World) -> None:
    """1000 Wh charged, 600 of it certified; 700 Wh given back, 340 of it certified; 90 Wh of charge written off."""
    world.device("bat", storage_wh=10_000)
    world.charge(TEN, 1000, world.issue(TEN, 600, emissions_mg_per_kwh=45))
    world.discharge(NOON, 700)
    world.do(storage.WriteOff(device="bat", wh=90, reason="measured", evidence=EVIDENCE))


def test_every_status_has_its_column_and_a_split_one_none() -> None:
    assert set(STATUSES) == set(LEDGER_STATUSES) - {"split"}


def test_one_certificate_of_each_status_by_hand(world: World) -> None:
    one = [world.issue(f"2018-06-{day:02}T10:00Z", day * 100, held=day in {2, 9}) for day in range(1, 10)]
    soon = world.issue("2018-07-01T10:00Z", 50, expires="2018-08-02T00:00Z")
    by = {"owner": "ann"}
    world.do(
        certificates.Lock(certificate=one[2], **by, reason="x"),
        certificates.Reserve(certificate=one[3], **by, beneficiary="bob"),
        certificates.Claim(certificate=one[4], **by, beneficiary="bob", purpose="x"),
        certificates.Cancel(certificate=one[5], **by, reason="x"),
        certificates.Split(certificate=one[6], **by, wh=1),
        certificates.Transfer(certificate=one[7], **by, to="bob"),
        certificates.Withdraw(certificate=one[8], **by, reason="x"),
    )
    assert books(world).balanced
    world.now = datetime(2018, 8, 2, tzinfo=UTC)
    world.do(certificates.Expire(certificate=soon, **by))

    report = books(world)
    active = 100 + 700 + 800
    assert report.months == (
        Month("pv", "2018-06", 4500, active=active, held=200, locked=300, reserved=400, claimed=500, cancelled=600, withdrawn=900),
        Month("pv", "2018-07", 50, expired=50),
    )
    assert (report.total.issued, report.total.difference, report.faults, report.balanced) == (4550, 0, (), True)
    assert "every watt-hour is accounted for" in report.table()
    with world.database.read() as connection:
        assert "split" not in {status for _, _, status, _ in certificate_wh(connection)}, "its children stand for it"


def test_storage_by_hand(world: World) -> None:
    stored_energy(world)
    report = books(world)

    # Grey goes first: 400 Wh of charge give 360. The other 340 take ceil(340 / 0.9) = 378 Wh of certified charge.
    assert report.stored == (
        Stored("bat", "gc", charged=600, discharged=340, loss=38 + 90, remaining=600 - 378 - 90),
        Stored("bat", "grey", charged=400, discharged=360, loss=40, remaining=0),
    )
    assert [row.difference for row in report.stored] == [0, 0]
    assert report.months == (Month("bat", "2018-06", 340, active=340), Month("pv", "2018-06", 600, cancelled_for_storage=600))
    assert (report.unbacked_wh, report.balanced) == (0, True)


def test_what_was_discharged_without_a_charge_is_shown_and_certified_by_nothing(world: World) -> None:
    stored_energy(world)
    world.discharge(LATER, 5000)
    report = books(world)
    assert report.unbacked_wh == 5000 - (600 - 378 - 90) * 9 // 10
    assert report.balanced
    assert f"not certified: {report.unbacked_wh / 1000:.3f} kWh" in report.table()


def test_savings_add_up_below_zero_too_and_baselines_stay_apart(world: World) -> None:
    for start, saved, baseline in ((TEN, -700, "batteries rest"), (ELEVEN, 200, "batteries rest"), (NOON, 900, "rule")):
        more = {"community": "street", "baseline": baseline, "evidence": EVIDENCE}
        world.do(records.Impact(start=start, end=start.replace(":00Z", ":15Z"), saved_g=saved, **more))
    report = books(world)
    assert [(row.baseline, row.records, row.saved_g, row.risen_g) for row in report.savings] == [
        ("batteries rest", 2, -500, -700),
        ("rule", 1, 900, 0),
    ]
    assert (report.savings[0].start, report.savings[0].end) == (TEN, "2018-06-01T11:15Z")
    lines = [re.split(r"  +", line) for line in report.table().splitlines()]
    assert [line[-2:] for line in lines if line[0] == "street"] == [["-500", "-700"], ["+900", "0"]]
    assert report.as_json()["savings"][0]["saved_g"] == -500


def test_an_empty_ledger_is_balanced(world: World) -> None:
    report = books(world)
    assert (report.months, report.stored, report.savings, report.balanced) == ((), (), (), True)
    assert "storage" not in report.table().partition("\n\n")[2].partition("\n")[2]


def test_the_json_form_is_json_and_says_the_difference(world: World) -> None:
    stored_energy(world)
    world.tamper("UPDATE lots SET remaining_wh = remaining_wh + 7 WHERE asset = 'gc'")
    shown = books(world).as_json()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["balanced"] is False
    assert [(row["asset"], row["difference"]) for row in shown["storage"]] == [("gc", -7), ("grey", 0)]
    assert {"where": "certified charge of bat", "expected": 600, "got": 607} in shown["faults"]


# What is done by hand, the fault that must be among those listed, how it is done.
TAMPERED = [
    ("a certificate is gone", "certificates of roof, 2018-06", "DELETE FROM certificates WHERE status = 'active'"),
    ("a certificate grew", "certificates of roof, 2018-06", "UPDATE certificates SET hi = hi + 1 WHERE status = 'active'"),
    ("claimed by hand", "accounts 'retired' against", "UPDATE certificates SET status = 'claimed' WHERE status = 'active'"),
    ("a status of nowhere", "certificates of roof, 2018-06", "UPDATE certificates SET status = 'lost' WHERE status = 'active'"),
    ("split by hand", "certificates of roof, 2018-06", "UPDATE certificates SET status = 'split' WHERE status = 'claimed'"),
    ("used twice", "certificates cancelled for bat", "UPDATE certificates SET status = 'active' WHERE status LIKE 'canc%'"),
    ("an issuance is gone", "certificates of no device", "DELETE FROM issuances WHERE device = 'roof'"),
    ("an issuance shrank", "account source/roof, certified", "UPDATE issuances SET wh = wh - 1 WHERE device = 'roof'"),
    (
        "all of a device is gone",
        "account source/roof, certified",
        "DELETE FROM issuances WHERE device = 'roof'",
        "DELETE FROM certificates WHERE issuance LIKE 'roof@%'",
    ),
    (
        "a storage certificate grew",
        "certified charge of bat",
        "UPDATE certificates SET hi = hi + 1 WHERE backing <> ''",
        "UPDATE issuances SET wh = wh + 1 WHERE from_storage = 1",
    ),
    ("a lot is fuller", "certified charge of bat", "UPDATE lots SET remaining_wh = remaining_wh + 1 WHERE asset = 'gc'"),
    ("a grey lot is fuller", "grey charge of bat", "UPDATE lots SET remaining_wh = remaining_wh + 1 WHERE asset = 'grey'"),
    ("grey turned green", "certified charge of bat", "UPDATE lots SET asset = 'gc' WHERE asset = 'grey'"),
    (
        "charged by nobody",
        "charging records of bat",
        "UPDATE lots SET charged_wh = charged_wh + 1, remaining_wh = remaining_wh + 1",
    ),
    ("greener by hand", "certificates cancelled for bat", "UPDATE lots SET charged_wh = charged_wh + 1 WHERE asset = 'gc'"),
    ("less loss", "account loss/bat, certified", "UPDATE allocations SET loss_wh = loss_wh - 1 WHERE loss_wh = 90"),
    ("an allocation is gone", "certified charge of bat", "DELETE FROM allocations WHERE loss_wh = 90"),
    ("a charging record grew", "charging records of bat", "UPDATE chargings SET wh = wh + 1"),
    ("a greyer record", "grey discharging records of bat", "UPDATE dischargings SET grey_wh = grey_wh + 1"),
    ("a greener record", "certified discharging records of bat", "UPDATE dischargings SET certified_wh = certified_wh + 1"),
    ("an account filled", "accounts 'retired' against", "UPDATE balances SET amount = amount + 1 WHERE account = 'retired/bob'"),
    ("a loss hidden", "account loss/bat, grey", "UPDATE balances SET amount = 0 WHERE account = 'loss/bat' AND asset = 'grey'"),
    ("a lot hidden", "account lot/bat, certified", "UPDATE balances SET amount = 0 WHERE account = 'lot/bat' AND asset = 'gc'"),
    ("delivered more", "account delivered/bat, grey", "UPDATE balances SET amount = amount + 1 WHERE account = 'delivered/bat'"),
    ("came from nowhere", "account source/bat, grey", "UPDATE balances SET amount = amount + 1 WHERE account = 'source/bat'"),
    ("a device of nowhere", "account lot/ghost, certified", "INSERT INTO balances VALUES ('lot/ghost', 'gc', 5)"),
]


@pytest.mark.parametrize("how", TAMPERED, ids=[how[0] for how in TAMPERED])
def test_a_hand_in_the_tables_shows(world: World, how: tuple[str, ...]) -> None:
    stored_energy(world)
    world.device("roof")
    world.claim(world.issue(ELEVEN, 30, device="roof"))
    world.issue(NOON, 20, device="roof")
    assert books(world).faults == ()

    _, where, *statements = how
    world.tamper(*statements)
    report = books(world)
    assert [fault for fault in report.faults if fault.where.startswith(where)]
    assert f"{len(report.faults)} faults:\n  - {report.faults[0]}" in report.table()
    assert "every watt-hour is accounted for" not in report.table()


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE certificates SET hi = hi + 5 WHERE issuance LIKE 'pv@%'", -5),
        ("UPDATE certificates SET hi = hi - 5 WHERE issuance LIKE 'pv@%'", 5),
    ],
)
def test_the_difference_says_where_and_how_much(world: World, statement: str, difference: int) -> None:
    world.issue(TEN, 100)
    world.device("roof")
    world.issue(TEN, 40, device="roof")
    world.tamper(statement)
    report = books(world)
    assert [(month.device, month.difference) for month in report.months] == [("pv", difference), ("roof", 0)]
    assert str(report.faults[0]) == f"certificates of pv, 2018-06: expected 100 Wh, got {100 - difference} Wh"
    assert report.total.difference == difference


_FIRST = "SELECT min(rowid) FROM certificates WHERE status <> 'split'"

KINDS = """issue issue issue release withdraw transfer split cancel claim lock unlock reserve unreserve expire
    charge charge discharge discharge write_off"""
# One step: what is tried, on which of the certificates there are, with how many Wh.
STEPS = st.tuples(
    st.sampled_from(KINDS.split()),
    st.integers(0, 30),
    st.integers(1, 400),
)


def act(world: World, hour: int, step: tuple[str, int, int]) -> None:
    """Does a step, or lets the ledger refuse it."""
    what, which, wh = step
    start = f"2018-06-{1 + hour // 24:02}T{hour % 24:02}:00Z"
    status = {"release": "held", "unlock": "locked", "unreserve": "reserved"}.get(what, "active")
    rows = [row for row in world.certificates() if row.status == status or (what in {"claim", "withdraw"} and row.wh % 3)]
    one = rows[which % len(rows)] if rows else None
    with contextlib.suppress(LedgerError):
        match what:
            case "issue":
                world.issue(start, wh, held=which % 3 == 0, emissions_mg_per_kwh=which)
            case "expire":
                name = world.issue(start, wh, held=which % 2 == 0, expires="2018-08-01T00:00Z")
                world.do(certificates.Expire(certificate=name, owner="ann"))
            case "charge" if one is not None and which % 2:
                world.charge(one.issuance.rpartition("@")[2], wh, one.certificate)
            case "charge":
                world.charge(start, wh)
            case "discharge":
                world.discharge(start, wh)
            case "write_off":
                world.do(storage.WriteOff(device="bat", wh=wh, reason="x", evidence=EVIDENCE))
            case _ if one is not None:
                more = {
                    "release": {"evidence": EVIDENCE},
                    "transfer": {"to": "bob"},
                    "split": {"wh": wh},
                    "claim": {"beneficiary": "bob", "purpose": "x"},
                    "reserve": {"beneficiary": "bob"},
                    **{name: {"reason": "x"} for name in ("withdraw", "cancel", "lock")},
                }
                action = getattr(certificates, what.capitalize())
                world.do(action(certificate=one.certificate, owner=one.party, **more.get(what, {})))
        assert world.database


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=16, max_size=24))
@example([("issue", 1, 300), ("split", 0, 100), ("charge", 1, 400), ("discharge", 0, 350), ("claim", 0, 1), ("write_off", 0, 9)])
def test_whatever_the_ledger_accepts_the_books_balance(new_world: Callable[[], World], steps: list[tuple[str, int, int]]) -> None:
    world = new_world()
    world.device("bat", storage_wh=10_000)
    for hour, step in enumerate([("issue", 1, 350), ("issue", 2, 250), *steps]):
        act(world, hour, step)

    report = books(world)
    assert report.faults == ()
    assert {row.difference for row in (*report.months, *report.stored, report.total)} == {0}
    assert report.total.issued >= 600

    world.tamper(f"UPDATE certificates SET hi = hi + 1 WHERE rowid = ({_FIRST})")
    assert not books(world).balanced
