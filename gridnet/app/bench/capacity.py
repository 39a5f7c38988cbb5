"""`gridnet bench --capacity`: how much one service carries on PostgreSQL, and what each device and feeder costs it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from gridnet.app.bench.capacity_feeders import feeder_figures
from gridnet.app.bench.capacity_ledger import ledger_figures
from gridnet.app.bench.capacity_telemetry import telemetry_figures
from gridnet.app.bench.figures import Figure, figure_table
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.database import database_beside

LEAST_S = 5.0


def bench_capacity(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and shows: progress goes to `say`, the table to standard output. Databases of its own are made on the server of
    `--db`, and dropped. Raises `InputError` before anything is measured, `LedgerError`, `ModelError`."""
    _check(arguments)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        with database_beside(arguments.db) as url:
            figures += telemetry_figures(Path(folder), url, arguments.seconds, say)
        with database_beside(arguments.db) as url:
            figures += ledger_figures(say, url)
    figures += feeder_figures(say)
    write_json({"capacity": [figure.as_json() for figure in figures]}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(figure_table(figures))


def _check(arguments: argparse.Namespace) -> None:
    faults = file_faults("--json", arguments.json)
    if arguments.seconds < LEAST_S:
        faults.append(Fault("--seconds", f"{arguments.seconds:g}", f"{LEAST_S:g} or more"))
    if arguments.db is None or not arguments.db.startswith("postgresql://"):
        faults.append(Fault("--db", repr(arguments.db), "postgresql://USER@HOST/NAME, of a server where databases may be made"))
    if faults:
        raise InputError("the capacity can't be measured:", faults)
