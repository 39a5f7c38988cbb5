"""The service that other tests look at is what it says it is."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
from sqlalchemy import select

from gridnet.app.service.authority import CA
from gridnet.app.service.model import Principal
from gridnet.metering.points import meter_points
from gridnet_contracts.ledger import rows
from gridnet_contracts.ledger.schema import entries, table_of
from tests.gridnet.app.service.lived import END, LONG, PROSUMERS, QUARTER, Lived, make_loop, served
from tests.gridnet.app.service.parts import OPERATOR, secret_of

QUARTERS = round(96 * LONG)


def test_it_lived_until_now_and_the_running_quarter_hour_is_decided(lived_once: Lived) -> None:
    service, _, clock = lived_once
    assert service.frames.newest() == END <= clock.now < END + QUARTER
    assert len(service.frames.span(END - QUARTERS * QUARTER, END + QUARTER)) == QUARTERS + 1
    assert len({each.head_kw for each in service.frames.span(END - QUARTERS * QUARTER, END)}) > 20


def test_prosumers_own_the_devices_of_their_home_and_know_their_party(lived_once: Lived) -> None:
    service, live, _ = lived_once
    bus_of = {point.name: point.bus for point in meter_points(live.case)}
    parties = set()
    for name in PROSUMERS:
        principal = service.people.by_secret(name, secret_of(name))
        own, _ = service.devices.page(principal)
        assert {each.kind for each in own} >= {"battery"}
        assert len({bus_of[str(each.meter)] for each in own}) == 1
        assert principal.party is not None
        parties.add(principal.party)
    assert len(parties) == len(PROSUMERS)
    assert service.people.by_secret("auditor", secret_of("auditor")).role == "auditor"


def test_the_ledger_holds_certificates_of_the_parties_and_no_doubts(lived_once: Lived) -> None:
    service, live, _ = lived_once
    known = {service.people.by_secret(name, secret_of(name)).party for name in PROSUMERS}
    with service.store.read() as connection:
        kinds = set(connection.execute(select(entries.c.kind)).scalars())
        registered = connection.execute(select(table_of(rows.Device))).mappings().all()
        counted = connection.execute(select(table_of(rows.Verification))).mappings().all()
        status = set(connection.execute(select(table_of(rows.Certificate).c.status)).scalars())
    assert {"found", "register_device", "verify", "issue", "move", "claim"} <= kinds
    assert known <= {row["owner"] for row in registered}
    assert len(status) > 1, "some are held, others free"
    # Alice's meter begins a quarter-hour later than the others, and then her readings are as good as theirs.
    points = len(meter_points(live.case)) + 1
    seen = [(row["accepted"], row["rejected"], row["missing"]) for row in counted]
    assert seen == [(points - 1, 0, 1)] + [(points, 0, 0)] * (QUARTERS - 1)
    assert "verdict" not in kinds


def test_a_copy_goes_on_by_itself(lived_own: Lived, lived_once: Lived, tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "lived", lived_own)
    lived_own.clock.forward(minutes=15)
    loop.tick()

    assert lived_own.service.frames.newest() == END + QUARTER
    assert lived_once.service.frames.newest() == END


def test_it_is_served_with_its_console_over_http_and_over_tls(lived_own: Lived, tmp_path: Path) -> None:
    service, live, _ = lived_own
    with served(service, live) as address:
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert httpx.get(f"{address}/console/login").status_code == 200
    with served(service, live, tmp_path / "tls") as address:
        trusted = ssl.create_default_context(cafile=tmp_path / "tls" / CA)
        assert httpx.get(f"{address}/healthz", verify=trusted).status_code == 200


def test_an_operator_sees_every_device(lived_once: Lived) -> None:
    found, total = lived_once.service.devices.page(OPERATOR)
    assert total == len(found) >= len(PROSUMERS)
    assert lived_once.service.devices.page(Principal("nobody", "prosumer"))[1] == 0
