"""The world of these tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gridnet.app.api.sep.parties import DATABASE, World, fill, make_world


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service's folder, made once."""
    folder = tmp_path_factory.mktemp("sep")
    fill(folder)
    return folder


@pytest.fixture
def world(filled: Path, tmp_path: Path) -> Iterator[World]:
    """Two batteries, an operator, and a clock that stands still."""
    shutil.copyfile(filled / DATABASE, tmp_path / DATABASE)
    made = make_world(tmp_path)
    with made.http:
        yield made
    made.service.store.database.close()
