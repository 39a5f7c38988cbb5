"""A service with several feeders on one database, and a clock that is told or that runs fast."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from gridnet.app.cli import main
from gridnet.app.community import seal_in
from gridnet.app.service import marks
from gridnet.app.service.assembled import Assembled, assemble
from gridnet.app.service.config import Config
from gridnet.app.service.loop import Loop
from gridnet.app.service.schema import setpoints
from gridnet.app.service.service import Service
from gridnet.app.service.telemetry import QUARTER_S
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.log.keys import SignerKey
from tests.gridnet.app.service.parts import Clock
from tests.gridnet.app.service.plant import FAR

METERS = 3
"""Of each feeder."""


@dataclass(frozen=True)
class FastClock:
    """Runs `times` as fast as the wall's from a moment on, in every process that is told the same."""

    begun_s: float
    times: float

    def __call__(self) -> datetime:
        return FAR + timedelta(seconds=(time.time() - self.begun_s) * self.times)


def config_of(year: Path, names: Sequence[str]) -> Config:
    """A main feeder and further ones, all on the series of a year."""
    return Config(scenario=str(year), feeders=tuple(f"{name}={year}" for name in names), policy="rule", decision_limit_s=60.0)


def assembled(url: str, folder: Path, config: Config, clock: Callable[[], datetime]) -> Assembled:
    """A process on a database; the ledger's seal is in the folder."""
    return assemble(config, Database(url), lambda name: seal_in(folder / "seal", name), clock)


def loop_of(made: Assembled, tick_s: float = 0.05) -> Loop:
    """Its threads, which look often."""
    return Loop(made.service, made.keepers, tick_s, tick_s)


def mark_of(service: Service, feeder: str, key: str = marks.SETTLED) -> int:
    """A quarter-hour that is noted of a feeder; -1 where none is."""
    with service.store.read() as connection:
        return int(marks.marked(connection, marks.of(feeder, key)) or -1)


def decided(service: Service, quarter: int | None = None) -> dict[str, str]:
    """By meter: who decided of it in a quarter-hour (the present one)."""
    now_q = service.store.now_s() // QUARTER_S if quarter is None else quarter
    with service.store.read() as connection:
        found = connection.execute(select(setpoints.c.meter, setpoints.c.source).where(setpoints.c.start_s == now_q * QUARTER_S))
        return {row.meter: row.source for row in found}


def is_sound(url: str, folder: Path) -> bool:
    """Whether an outside auditor finds nothing."""
    key = SignerKey.load(folder / "seal" / "log.key").verifier.encode()
    return main(["audit", "verify", "--db", url, "--key", key]) == 0


def until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    """Waits for something to come to pass."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def lives(url: str, folder: str, scenario: str, names: str, clock: str) -> None:
    """A process: keeps its share of the feeders going until it is killed. `names` of further feeders, by comma; `clock`: when it
    began, by the wall's, and how many times as fast it runs."""
    begun_s, _, times = clock.partition("x")
    config = config_of(Path(scenario), names.split(","))
    made = assembled(url, Path(folder), config, FastClock(float(begun_s), float(times)))
    loop_of(made, 0.02).start()
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    while True:
        time.sleep(60.0)


def breeds(*arguments: str) -> None:
    """A process that has everything loaded and compiled, and parts into one that `lives` for each line that it is sent."""
    clock, config = Clock(FAR), config_of(Path(arguments[2]), ["warm"])
    with tempfile.TemporaryDirectory() as folder:
        made = assembled(f"sqlite:///{folder}/warm.db", Path(folder), config, clock)
        for _ in range(2):
            loop_of(made).tick()
            clock.forward(minutes=15)
        made.service.store.database.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of them
    for _ in sys.stdin:
        if not os.fork():
            lives(*arguments)


class Breed:
    """Processes that live elsewhere, and can be killed."""

    def __init__(self, *arguments: str) -> None:
        paths = os.pathsep.join(each for each in sys.path if each)
        code = "import sys; from tests.gridnet.app.service.many import breeds; breeds(*sys.argv[1:])"
        self._parent = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        self._living: set[int] = set()

    def start(self) -> int:
        """One more; its number, when it has begun."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write("one more\n")
        self._parent.stdin.flush()
        born = int(self._parent.stdout.readline())
        self._living.add(born)
        return born

    def kill(self, number: int) -> None:
        """At once, whatever it does."""
        self._living.remove(number)
        os.kill(number, signal.SIGKILL)

    def end(self) -> None:
        """Kills all that live."""
        for number in tuple(self._living):
            self.kill(number)
        self._parent.kill()
        self._parent.communicate(timeout=20)
