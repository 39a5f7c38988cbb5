"""A running service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gridnet.app.serving import Server, make_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here; each takes devices of its own."""
    made = make_server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()
