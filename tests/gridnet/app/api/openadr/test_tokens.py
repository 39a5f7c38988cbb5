"""OAuth 2 client credentials, as OpenADR's clients ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gridnet.app.api.app import make_app
from gridnet.app.service.model import Principal
from tests.gridnet.app.api.openadr.vtns import BOSS, SECRET, Clock, make_service

TOKEN = "/openadr3/3.1.0/auth/token"
ASK = {"grant_type": "client_credentials", "client_id": "cay", "client_secret": SECRET}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    service = make_service(Path(tmp_path_factory.mktemp("tokens")), Clock())
    service.people.add(BOSS, Principal("cay", "prosumer"), SECRET)
    service.people.add(BOSS, Principal("aud", "auditor"), SECRET)
    service.people.add(BOSS, Principal("out", "prosumer"), SECRET)
    service.people.revoke(BOSS, "out")
    with TestClient(make_app(service)) as client:
        yield client


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
def test_the_token_is_where_the_vtn_says_and_opens_it(http: TestClient, version: str) -> None:
    place = http.get(f"/openadr3/{version}/auth/server").json()["tokenURL"]
    answer = http.post(place, data=ASK)

    assert place == f"http://testserver/openadr3/{version}/auth/token"
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()
    assert (token["token_type"], token["expires_in"] > 60) == ("Bearer", True)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert http.get(f"/openadr3/{version}/programs", headers=headers).status_code == 200
    assert http.get(f"/openadr3/{version}/programs").status_code == 401


def test_credentials_may_come_in_the_header(http: TestClient) -> None:
    answer = http.post(TOKEN, data={"grant_type": "client_credentials"}, auth=("cay", SECRET))

    assert answer.status_code == 200


def test_the_scopes_are_the_role_s_or_those_asked_for(http: TestClient) -> None:
    asked = "read_all write_reports"

    assert http.post(TOKEN, data={**ASK, "scope": asked}).json()["scope"] == asked
    assert "write_vens" in http.post(TOKEN, data=ASK).json()["scope"].split()
    assert "write_events" not in http.post(TOKEN, data=ASK).json()["scope"].split()


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "another of 16 characters"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "out"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"scope": "read_all write_events"}, 400, "invalid_scope"),
        ({"client_id": "aud", "scope": "read_all"}, 400, "invalid_scope"),
    ],
)
def test_what_is_refused_says_why(http: TestClient, change: dict[str, Any], status: int, error: str) -> None:
    answer = http.post(TOKEN, data={**ASK, **change})

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "access_token" not in answer.json()


@pytest.mark.parametrize("header", ["Basic !", "Basic /w==", "Basic"])
def test_a_header_that_can_t_be_read_is_no_credential(http: TestClient, header: str) -> None:
    answer = http.post(TOKEN, data={"grant_type": "client_credentials"}, headers={"Authorization": header})

    assert answer.status_code in (400, 401)


def test_an_auditor_reads_nothing_here(http: TestClient) -> None:
    token = http.post(TOKEN, data={**ASK, "client_id": "aud"}).json()["access_token"]

    assert http.get("/openadr3/3.1.0/programs", headers={"Authorization": f"Bearer {token}"}).status_code == 403
