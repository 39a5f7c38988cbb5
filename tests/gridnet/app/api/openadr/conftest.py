"""Both versions of the VTN, with the askers' names for credentials."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from gridnet.app.api.app import make_app
from tests.gridnet.app.api.openadr.vtns import DATABASE, PEOPLE, Clock, Vtn, make_service


@pytest.fixture(scope="session")
def one_vtn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Vtn, Path]]:
    """An application, made once as that takes a while, and its database as it was at first."""
    folder, clock = tmp_path_factory.mktemp("vtn"), Clock()
    open_hooks = {"webhook_private": True, "webhook_plain_http": True, "requests_per_minute": 1_000_000}
    app = make_app(make_service(folder, clock, **open_hooks))
    # Tokens are tested on their own: here a test says who asks.
    app.state.service.people.by_token = PEOPLE.__getitem__
    shutil.copy(folder / DATABASE, folder / "first.db")
    with TestClient(app) as http:
        yield Vtn(app.state.service, http, clock, ""), folder


@pytest.fixture(params=["3.1.0", "3.0.1"])
def vtn(request: pytest.FixtureRequest, one_vtn: tuple[Vtn, Path]) -> Vtn:
    """One version, on a clock that stands still at five past noon."""
    made, folder = one_vtn
    made.service.store.database.close()
    shutil.copy(folder / "first.db", folder / DATABASE)
    made.clock.now = Clock().now
    made.version = request.param
    return made
