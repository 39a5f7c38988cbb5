"""A certificate's way through the ledger is found whole, whoever did what to it under which key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from gridnet.app.service.certificate_search import Sought, sought
from gridnet.app.service.errors import NotFound
from gridnet.app.service.story import OnChain, Story, story
from gridnet_contracts.chain.batch import Registry
from gridnet_contracts.chain.export import export
from gridnet_contracts.ledger.actions.certificates import Cancel, Claim, Lock, Release, Reserve, Split, Transfer, Unlock, Unreserve
from gridnet_contracts.ledger.actions.storage import Discharge
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.settlement.certificates import Decision, reviewed_orders
from tests.gridnet.app.dashboard.lane import HOMES, LANE, LENGTH, START, Lane

CONTRACT = Registry(31337, f"0x{'ab' * 20}")


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    made = Lane(tmp_path)
    made.settles(0, (900, 0), (0, 400), pv_wh=1000)
    made.settles(1, (900, 0), (0, 400), pv_wh=1000)
    yield made
    made.close()


def name(number: int = 0, lo: int = 0, hi: int = 1000) -> str:
    return f"{LANE}:pv-00@{START + number * LENGTH:%Y-%m-%dT%H:%MZ}/{lo}-{hi}"


def told(lane: Lane, certificate: str) -> Story:
    return story(lane.view, certificate)


def kinds(found: Story) -> list[str]:
    return [each.kind for each in found.entries]


def all_names(lane: Lane) -> list[str]:
    with lane.service.store.read() as connection:
        return [each.certificate for each in stored_rows(connection, Certificate)]


def test_a_held_certificate_has_its_issue_its_reading_its_verdicts_and_its_settlement(lane: Lane) -> None:
    lane.judges("pv-00", START, 1, "hold", "more than the sun gives")
    lane.judges("head", START.replace(hour=0), 2, "hold", "head against homes", minutes=60)
    lane.judges("pv-00", START + LENGTH, 1, "hold", "of another quarter-hour")
    lane.judges("pv-00", START - timedelta(days=1), 1, "hold", "of another day")
    found = told(lane, name())
    assert (found.certificate.status, kinds(found), found.complete) == ("held", ["issue"], True)
    [reading] = found.readings
    assert (reading.injected_wh, reading.matches) == (1000, True)
    assert reading.digest == found.issuance.evidence == lane.evidence[START]
    assert reading.message == sha256(lane.meters["pv-00"].sent[0]).hexdigest()
    assert [each.start for each in found.verifications] == ["2026-03-01T10:00Z"]
    assert [each.finding for each in found.judgements] == ["more than the sun gives", "head against homes"]
    assert [each.key for each in found.settlements] == [f"settle:{LANE}:2026-03-01T10:00Z"]
    assert found.chain is None
    assert found.proven == sorted(found.proven)
    assert set(found.proven) > {found.issuance.entry, found.settlements[0].seq}


def test_another_reading_than_the_issued_one_is_not_called_the_evidence(lane: Lane) -> None:
    lane.reads("pv-00", 0, 999, 0, late=2)
    assert [each.matches for each in told(lane, name()).readings] == [True, False]


def test_release_sale_charge_and_corrections_are_found_by_their_keys(lane: Lane) -> None:
    lane.corrects(0, (900, 0), (0, 500))
    lane.releases(0, charged_wh=200)
    sold, stored, left = name(0, 0, 500), name(0, 500, 700), name(0, 700, 1000)
    assert kinds(told(lane, sold)) == ["issue", "release", "split", "transfer"]
    assert kinds(told(lane, stored)) == ["issue", "release", "split", "split", "charge"]
    assert kinds(told(lane, left)) == ["issue", "release", "split", "split"]
    assert kinds(told(lane, name())) == ["issue", "release", "split"]
    assert [each.key[-6:] for each in told(lane, sold).settlements] == ["10:00Z", ":fix-1"]
    assert [told(lane, each).certificate.status for each in (sold, stored, left, name())] == [
        "active",
        "cancelled_for_storage",
        "active",
        "split",
    ]
    assert all(told(lane, each).complete for each in all_names(lane))


def test_what_came_back_from_storage_is_found_with_what_stands_behind_it(lane: Lane) -> None:

    lane.releases(0, charged_wh=900)
    start, end = START + 4 * LENGTH, START + 5 * LENGTH
    given = Discharge(
        start=f"{start:%Y-%m-%dT%H:%MZ}",
        end=f"{end:%Y-%m-%dT%H:%MZ}",
        device=f"{LANE}:bat-00",
        owner=lane.party["ann"],
        wh=300,
        held=False,
        expires="2027-01-01T00:00Z",
        evidence="00" * 32,
    )
    lane.commit([Order("my-own-discharge", given)])
    made = [each for each in all_names(lane) if "bat-00" in each]
    assert made
    for each in made:
        found = told(lane, each)
        assert (kinds(found), found.complete) == (["discharge"], True)
        assert found.certificate.backing in all_names(lane)


def test_what_was_done_under_other_keys_is_found_too(lane: Lane) -> None:
    lane.releases(0)
    lane.releases(1)
    ann, ben = lane.party["ann"], lane.party["ben"]
    part, rest = name(0, 0, 150), name(0, 150, 400)
    acts = [
        Split(certificate=name(0, 0, 400), owner=ben, wh=150),
        Transfer(certificate=part, owner=ben, to=ann),
        Reserve(certificate=part, owner=ann, beneficiary=ben),
        Unreserve(certificate=part, owner=ann),
        Lock(certificate=part, owner=ann, reason="aside"),
        Unlock(certificate=part, owner=ann),
        Claim(certificate=part, owner=ann, beneficiary=ben, purpose="own use"),
        Cancel(certificate=rest, owner=ben, reason="a gift"),
    ]
    lane.commit([Order(f"mine-{k}", act) for k, act in enumerate(acts)])
    before = ["issue", "release", "split", "transfer"]
    assert kinds(told(lane, part)) == [*before, "split", "transfer", "reserve", "unreserve", "lock", "unlock", "claim"]
    assert kinds(told(lane, rest)) == [*before, "split", "cancel"]
    assert told(lane, part).certificate.beneficiary == ben
    assert all(told(lane, each).complete for each in all_names(lane))


def test_a_persons_decision_is_found(lane: Lane) -> None:
    with lane.service.store.read() as connection:
        held = [each for each in stored_rows(connection, Certificate) if each.certificate == name()]
    lane.commit(reviewed_orders(held, Decision(True, "looked at", "ab" * 32)))
    found = told(lane, name())
    assert (kinds(found), found.complete) == (["issue", "release"], True)
    assert found.entries[-1].key.startswith("review:abab")


def test_where_it_went_on_a_chain_is_told(lane: Lane) -> None:
    lane.releases(0)
    owner = f"0x{'cd' * 20}"
    export(lane.ledger, CONTRACT, [(name(0, 400, 1000), owner)])
    found = told(lane, name(0, 400, 1000))
    assert kinds(found)[-2:] == ["transfer", "lock"]
    assert found.chain == OnChain(found.entries[-1].seq, "31337", CONTRACT.contract, "0", "0", owner)
    assert found.complete


def test_a_table_that_says_more_than_the_entries_is_not_called_complete(lane: Lane) -> None:
    found = told(lane, name())
    assert found.complete

    assert not replace(found, certificate=replace(found.certificate, status="active")).complete
    assert not replace(found, certificate=replace(found.certificate, party=lane.party["ben"])).complete


def test_a_certificate_that_is_not_there_is_not_found(lane: Lane) -> None:
    with pytest.raises(NotFound, match="no certificate"):
        told(lane, name(0, 0, 999))


def test_certificates_are_found_by_name_device_party_status_and_time(lane: Lane) -> None:
    lane.releases(0, charged_wh=100)

    def found(**known: str) -> list[str]:
        return sorted(each.certificate for each in sought(lane.view, Sought(**known), 100))

    everything = sorted(all_names(lane))
    assert found() == found(device="pv-00") == found(device=f"{LANE}:pv-00") == found(name="@2026-03-01") == everything
    assert found(name="10:15Z") == found(since="2026-03-01T10:15Z") == [name(1)]
    assert found(until="2026-03-01T10:15Z") == sorted(set(everything) - {name(1)})
    assert found(device="pv-0") == found(device="v-00") == found(name="%") == found(name="_") == found(party="nobody") == []
    assert found(party=lane.party["ben"]) == [name(0, 0, 400)]
    assert found(status="held") == [name(1)]
    lane.commit(
        [Order("c", Claim(certificate=name(0, 500, 1000), owner=lane.party["ann"], beneficiary=lane.party["ben"], purpose="a"))]
    )
    assert found(party=lane.party["ben"]) == [name(0, 0, 400), name(0, 500, 1000)]
    assert len(sought(lane.view, Sought(), 2)) == 2
    assert HOMES["ann"] not in str(sought(lane.view, Sought(), 100))
    release = Release(certificate=name(1), owner=lane.party["ann"], evidence="00" * 32)
    lane.commit([Order("r", release)])
    assert found(status="held") == []
