"""One browser, and the console over a service that has lived: one to be read alone, and a copy that is written to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gridnet.app.dashboard.browser.browsing import Site, launched, sited
from tests.gridnet.app.service.lived import Lived, reopened


# Of a module, and of nothing longer: while it runs, no other loop of asyncio can run in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def site(browser: Any, lived_once: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing is done here but logging in and out."""
    with sited(browser, lived_once, tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(scope="module")
def own_site(browser: Any, lived_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that do things, and undo them or go on from there."""
    made = reopened(Path(shutil.copytree(lived_folder, tmp_path_factory.mktemp("own") / "lived")))
    with sited(browser, made, tmp_path_factory.mktemp("tls")) as served:
        yield served
    made.service.store.database.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of every page are left for review."""
    named = os.environ.get("GRIDNET_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
