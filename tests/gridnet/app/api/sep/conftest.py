"""The world of these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.gridnet.app.api.sep.parties import World, standing


@pytest.fixture(scope="session")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Makes the world new."""
    with standing(tmp_path_factory.mktemp("sep")) as renew:
        yield renew


@pytest.fixture
def world(renewed: Callable[[], World]) -> World:
    """Two batteries, an operator, and a clock that stands still."""
    return renewed()
