"""What the service carries: the commands' refusals, and a short measurement that is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridnet.app.bench.capacity_telemetry import BATCH, PER_S, telemetry_figures
from gridnet.app.cli import main
from gridnet_contracts.ledger.database import Database, database_beside
from tests.contracts.gridnet_contracts.ledger.stores import running_postgres


def test_faults_are_listed_before_anything_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["--capacity", "--db", "sqlite:///x.db", "--seconds", "1", "--json", str(tmp_path / "none" / "x.json")]
    assert main(["bench", *given]) == 2
    said = capsys.readouterr().err
    assert "--db" in said
    assert "--seconds" in said
    assert "--json" in said


def test_a_server_that_is_away_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--capacity", "--db", "postgresql://nobody@127.0.0.1:1/none"]) == 4
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.conformance
def test_reports_of_many_meters_are_taken_in_and_counted(tmp_path: Path) -> None:
    with running_postgres() as server, database_beside(server.get_uri()) as url:
        figures = {each.name: each.value for each in telemetry_figures(tmp_path, url, 4.0, lambda words: None)}
        assert figures[f"reports of {BATCH} that failed"] == 0.0
        database = Database.reading(url)
        with database.read() as connection:
            kept = connection.exec_driver_sql("SELECT count(*) FROM service_readings WHERE feeder <> ''").scalar_one()
        database.close()
        assert kept == PER_S * 4.0
        names = Database(server.get_uri())
        with names.read() as connection:
            left = connection.exec_driver_sql("SELECT count(*) FROM pg_database WHERE left(datname, 8) = 'gridnet_'").scalar_one()
        names.close()
        assert left == 1
