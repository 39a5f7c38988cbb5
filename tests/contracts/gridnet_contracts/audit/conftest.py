"""The story's ledger, told once and copied for each test."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.gridnet_contracts.audit.story import Home, small_file, tell


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The story, in pages of 512 bytes, its write-ahead log written back and gone. Not to be changed."""
    folder = tmp_path_factory.mktemp("told")
    home = tell(small_file(folder / "ledger.db"), folder / "seal")
    assert [path.name for path in folder.iterdir() if "ledger.db" in path.name] == ["ledger.db"]
    return home


@pytest.fixture
def home(told: Home, tmp_path: Path) -> Home:
    """A copy of the story to do things to."""
    shutil.copyfile(told.file, tmp_path / "ledger.db")
    shutil.copytree(told.seal, tmp_path / "seal")
    return replace(told, url=f"sqlite:///{tmp_path}/ledger.db", seal=tmp_path / "seal")
