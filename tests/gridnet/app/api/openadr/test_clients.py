"""Other people's OpenADR clients against the running service, over TLS: each finds its setpoint, with its sign, and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from gridnet.app.service.authority import CA
from gridnet.app.service.model import OPERATOR, Fields, Order
from gridnet.app.service.service import Service
from tests.gridnet.app.api.openadr.servers import running
from tests.gridnet.app.api.openadr.venvs import Run, environment
from tests.gridnet.app.api.openadr.vtns import BOSS, PEOPLE, SECRET, decide, make_service

OPENADR3_CLIENT = ("openadr3-client==2.4.2",)
TOADR3 = ("toadr3==0.29.0",)
OA3_CLIENT = ("python-oa3-client[webhooks]==0.5.0", "openadr3==0.5.0")
CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Running:
    """A service that answers at `url`, and the certificate to trust it by."""

    service: Service
    url: str
    authority: Path

    def client(
        self, requirements: tuple[str, ...], script: str, by: str, heard: Callable[[str], None] = lambda line: None, **facts: Any
    ) -> Any:
        """What a client's script found out. `heard` gets each line that it says meanwhile."""
        run = Run(environment(*requirements), CLIENTS / script, self.authority, heard)
        return run.with_facts(url=self.url, client=by, secret=SECRET, **facts)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    """With a clock that goes, and a battery of ann's that shall give 2.5 kW now, then take 1.25."""
    service = make_service(tmp_path, lambda: datetime.now(UTC), SECRET, webhook_private=True, webhook_plain_http=True)
    decide(service, "bat-a", this_quarter(), 2.5, -1.25, 0.5)
    with running(service, tmp_path / "tls") as url:
        yield Running(service, url, tmp_path / "tls" / CA)


def this_quarter() -> datetime:
    now = datetime.now(UTC)
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


def latest(service: Service, channel: str) -> float | None:
    found = service.telemetry.latest(PEOPLE["ann"], "bat-a", channel)
    return None if found is None else found.value


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
def test_openadr3_client_follows_the_setpoint_and_reports(server: Running, version: str) -> None:
    measured = this_quarter().isoformat()

    told = server.client(OPENADR3_CLIENT, "openadr3_client_ven.py", "ann", version=version, measured=measured)

    assert told["events"] == ["dispatch-bat-a"]
    assert told["setpoints"] == [-2.5, 1.25, -0.5]
    assert told["minutes"] == [15.0, 15.0, 15.0]
    starts = [datetime.fromisoformat(each) for each in told["starts"]]
    assert [later - start for start, later in pairwise(starts)] == [timedelta(minutes=15)] * 2
    assert told["units"]["DISPATCH_SETPOINT"] == "KW"
    assert (told["vens"], told["resources"], told["reports"]) == (["house 8"], ["bat-a"], 1)
    assert latest(server.service, "p_kw") == 2.5
    assert latest(server.service, "soc") == 0.64


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
def test_openadr3_client_runs_the_business_logic(server: Running, version: str) -> None:
    told = server.client(OPENADR3_CLIENT, "openadr3_client_bl.py", "boss", version=version)

    assert told["program"] == "day tariff"
    assert told["all"] == ["noon", "for all"]
    assert told["second"] == ["for all"]
    assert told["targeted"] == ["noon"]
    assert (told["price"], told["hour"]) == (-0.05, 1.0)
    assert told.get("ven") == (["ann", ["street-4"]] if version == "3.1.0" else None)
    assert told["left"] == ["for all"]
    assert told["programs"] == ["gridnet dispatch"]


def test_oa3_client_follows_the_setpoint_reports_and_is_told_of_changes(server: Running) -> None:
    def order_more(line: str) -> None:
        """Once it has subscribed: the operator asks for more, and the outbox is sent."""
        if line.strip() == "subscribed":
            start = datetime.now(UTC)
            order = Order(OPERATOR, "bat-a", Fields(p_kw=4.5), start, start + timedelta(minutes=10))
            server.service.controls.dispatch(BOSS, order)
            with httpx.Client() as client:
                assert server.service.webhooks.send_due(client) == 1

    measured = this_quarter().isoformat()
    told = server.client(OA3_CLIENT, "oa3_client_ven.py", "ann", heard=order_more, measured=measured)

    assert told["setpoints"] == [-2.5, 1.25, -0.5]
    assert told["contiguous"]
    assert (told["notifiers"], told["mqtt"]) == ({"WEBHOOK": True}, False)
    assert told["reports"] == 1
    assert latest(server.service, "p_kw") == 2.5
    assert told["messages"] == [["UPDATE", "EVENT", "dispatch-bat-a"]]
    assert told["pushed"] == [-4.5]
    assert told["deleted"] == 200
    assert server.service.webhooks.subscriptions(BOSS, "openadr-3.1.0") == []
    assert told["programs"] == ["gridnet dispatch", "tariff"]
    assert told["forbidden"] == 403


def test_toadr3_follows_the_setpoint_and_reports(server: Running) -> None:
    told = server.client(TOADR3, "toadr3_ven.py", "ann")

    assert told["program"] == "gridnet dispatch"
    assert told["setpoints"] == [-2.5, 1.25, -0.5]
    assert told["others"] == 0
    assert told["reports"] == [True]
    assert told["subscriptions"] == 1
    assert told["refused"] == 404
    assert latest(server.service, "p_kw") == 2.5
