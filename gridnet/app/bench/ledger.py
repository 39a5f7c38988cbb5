"""`gridnet bench --ledger`: how fast the ledger settles, proves, replays and exports, on SQLite, one process."""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from gridnet.app.bench.figures import Figure, figure_table, median_s
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.errors import Fault, InputError
from gridnet_contracts.audit.proof import audit_proof
from gridnet_contracts.ledger.actions.base import QUARTER, instant
from gridnet_contracts.ledger.actions.certificates import Issue, Transfer
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.registry import Found, OpenAsset, RegisterDevice
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.replay import Replay
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import stored_leaves
from gridnet_contracts.log import tiles
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.tiles import MemoryTiles

HOMES = 1000
SETTLEMENT = 5000
"""Orders of one batch: what a settlement interval of a thousand homes brings."""
ORIGIN = "bench.gridnet.example/log"
FIRST = datetime(2018, 1, 1, tzinfo=UTC)
EVIDENCE = "0" * 64
SAMPLES = 9


def bench_ledger(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and shows: progress goes to `say`, the table to standard output. Raises `InputError` before anything is run."""
    faults = file_faults("--json", arguments.json)
    if arguments.entries < SETTLEMENT:
        faults.append(Fault("--entries", str(arguments.entries), f"{SETTLEMENT} or more"))
    if faults:
        raise InputError("the ledger can't be measured:", faults)
    with tempfile.TemporaryDirectory() as folder:
        figures = _Measuring(Path(folder), arguments.entries, arguments.seed, say).figures()
    write_json({"ledger": [figure.as_json() for figure in figures]}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(figure_table(figures))


class _Measuring:
    """A ledger that grows to `entries` issued certificates, and what is measured on the way."""

    def __init__(self, folder: Path, entries: int, seed: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._entries = entries
        self._rng = np.random.default_rng(seed)
        self._say = say
        self._url = f"sqlite:///{folder / 'ledger.db'}"
        words = dict.fromkeys(set(Found.model_fields) - {"origin"}, "bench")
        self._ledger = Ledger.found(self._url, Seal.make(folder / "seal", ORIGIN), Found(origin=ORIGIN, **words))
        self._batches = 0

    def figures(self) -> list[Figure]:
        """Everything, in an order in which one step makes what the next one needs."""
        self._say("opening accounts and devices")
        self._ledger.commit(list(_openings()))
        self._say("settling")
        figures = self._settling()
        self._say(f"issuing {self._entries} certificates")
        figures += self._issuing()
        self._say("proving")
        figures += self._proving()
        self._say("exporting")
        figures += self._exporting()
        self._say("replaying")
        figures += self._replaying()
        self._ledger.close()
        return figures

    def _commit_s(self, orders: list[Order]) -> float:
        began = time.perf_counter()
        self._ledger.commit(orders)
        return time.perf_counter() - began

    def _moves(self, count: int) -> list[Order]:
        self._batches += 1
        pairs = self._rng.integers(0, HOMES, (count, 2))
        payments = ((giver, (giver + 1 + taker % (HOMES - 1)) % HOMES) for giver, taker in pairs.tolist())
        return [
            Order(f"m{self._batches}-{k}", Move(legs=(("eur", f"owned/p{giver}", f"owned/p{taker}", 1000 + k),), memo="settled"))
            for k, (giver, taker) in enumerate(payments)
        ]

    def _settling(self) -> list[Figure]:
        alone = statistics.median(self._commit_s(self._moves(1)) for _ in range(100))
        together = statistics.median(self._commit_s(self._moves(SETTLEMENT)) for _ in range(SAMPLES))
        return [
            Figure("one payment a commit (reference)", 1 / alone, "payments/s"),
            Figure(
                f"payments settled, {SETTLEMENT} a commit",
                SETTLEMENT / together,
                "payments/s",
                ">= 10,000",
                alone * SETTLEMENT / together,
            ),
        ]

    def _issuing(self) -> list[Figure]:
        times, transfers = [], []
        for step in range(-(-self._entries // SETTLEMENT)):
            names = [(k % HOMES, step * (SETTLEMENT // HOMES) + k // HOMES) for k in range(SETTLEMENT)]
            times.append(self._commit_s([_issue(home, quarter) for home, quarter in names]))
            if step < SAMPLES:
                transfers.append(self._commit_s([_transfer(home, quarter) for home, quarter in names]))
        return [
            Figure(
                f"certificates transferred, {SETTLEMENT} a commit",
                SETTLEMENT / statistics.median(transfers),
                "transfers/s",
                ">= 10,000",
            ),
            Figure(f"certificates issued, {SETTLEMENT} a commit", SETTLEMENT / statistics.median(times), "issues/s"),
        ]

    def _proving(self) -> list[Figure]:
        some = self._rng.integers(0, self._entries, 200).tolist()
        times = []
        for entry in some:
            began = time.perf_counter()
            self._ledger.prove(entry)
            times.append(time.perf_counter() - began)
        prove = statistics.median(times)
        began = time.perf_counter()
        self._naive_proof(some[0])
        naive = time.perf_counter() - began
        raw = self._ledger.prove(some[0]).encode()
        key = self._ledger.seal.key.verifier
        verify = median_s(lambda: list(audit_proof(raw, Policy(ORIGIN, key))), 200)
        return [
            Figure("proof from all leaves (reference)", naive * 1e3, "ms"),
            Figure(f"proof of an entry of {self._entries:,}", prove * 1e3, "ms", "< 5", naive / prove),
            Figure("proof verified, signature and entry with it", verify * 1e3, "ms", "< 1"),
        ]

    def _naive_proof(self, entry: int) -> None:
        with self._ledger.database.read() as connection:
            leaves = [leaf_hash(leaf) for _, leaf in stored_leaves(connection)]
        tree = MemoryTiles()
        tree.append(0, leaves)
        tiles.inclusion(tree, entry, len(leaves))

    def _exporting(self) -> list[Figure]:
        command = [
            sys.executable,
            "-m",
            "gridnet.app.cli",
            "ledger",
            "export",
            "--db",
            self._url,
            "--out",
            str(self._folder / "out"),
        ]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return [
            Figure(f"export of {self._entries:,} certificates", took, "s", "< 60"),
            Figure("memory of the export, Python and libraries with it", peak, "MiB"),
        ]

    def _replaying(self) -> list[Figure]:
        ledger = Replay()
        with self._ledger.database.read() as connection:
            began = time.perf_counter()
            count = sum(1 for _ in ledger.entries(leaf for _, leaf in stored_leaves(connection)))
            took = time.perf_counter() - began
        return [Figure(f"replay of {count:,} entries", took, "s", "< 60 for 1,000,000")]


def _openings() -> Iterator[Order]:
    yield Order("eur", OpenAsset(asset="eur", unit="micro-euro"))
    device = partial(RegisterDevice, carrier="electricity", source="solar", technology="photovoltaic", capacity_w=10_000)
    about = partial(device, commissioned="2015-01-01T00:00Z", grid_operator="bench", grid_connection="low voltage", support="none")
    for home in range(HOMES):
        yield Order(f"pv{home}", about(device=f"pv{home}", owner=f"p{home}", private=EVIDENCE))
        yield Order(f"money{home}", Move(legs=(("eur", "source/bank", f"owned/p{home}", 10**12),), memo="opening"))


def _times(quarter: int) -> tuple[str, str]:
    return instant(FIRST + quarter * QUARTER), instant(FIRST + (quarter + 1) * QUARTER)


def _issue(home: int, quarter: int) -> Order:
    start, end = _times(quarter)
    issue = partial(Issue, device=f"pv{home}", owner=f"p{home}", start=start, end=end, wh=1000 + home)
    return Order(f"i{home}-{quarter}", issue(expires="2030-01-01T00:00Z", held=False, evidence=EVIDENCE))


def _transfer(home: int, quarter: int) -> Order:
    name = f"pv{home}@{_times(quarter)[0]}/0-{1000 + home}"
    return Order(f"t{home}-{quarter}", Transfer(certificate=name, owner=f"p{home}", to=f"p{(home + 1) % HOMES}"))
