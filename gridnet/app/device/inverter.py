"""The device as a whole: time goes by, the registers ask, the battery does, the meter counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from gridnet.app.device.battery import Asked, Done, Nameplate, run
from gridnet.app.device.meter import Memory, Meter, quarter_end
from gridnet.app.device.registers import Registers, Shown

_HOUR = timedelta(hours=1)
_KEEP_EVERY = timedelta(minutes=1)
_MICRO = 1_000_000


class Inverter:
    """A battery inverter. `keep` stores what it must not forget; readings leave only when that returned. Safe to use from several
    threads."""

    def __init__(self, registers: Registers, memory: Memory, meter: Meter | None, keep: Callable[[Memory], None]) -> None:
        self._registers, self._plate, self._meter, self._keep = registers, registers.plate, meter, keep
        self._memory, self._kept = memory, memory.at
        self._done = Done(0.0, 0.0, memory.soc)
        self._turn = threading.Lock()

    @property
    def plate(self) -> Nameplate:
        """What it can do."""
        return self._plate

    @property
    def registers(self) -> Registers:
        """Its map."""
        return self._registers

    @property
    def meter(self) -> Meter | None:
        """Its meter, where it has one that signs."""
        return self._meter

    @property
    def done(self) -> Done:
        """What it did last."""
        return self._done

    @property
    def waiting(self) -> tuple[bytes, ...]:
        """Signed readings that nobody took yet, oldest first."""
        return self._memory.waiting

    def start(self, now: datetime) -> None:
        """Goes on after a time without power: what the meter had counted belongs to its quarter-hour, the silent ones have no
        reading, and a battery that is off keeps its charge."""
        with self._turn:
            memory = self._memory
            end = quarter_end(memory.at)
            if self._meter is not None and now >= end and memory.shown != _display(memory.counted):
                memory = self._meter.close(replace(memory, at=end, started=True))
            self._store(replace(memory, at=max(now, memory.at), started=True))

    def advance(self, now: datetime) -> None:
        """Lets time go by until `now`, quarter-hour by quarter-hour. A clock that was set back is waited for."""
        with self._turn:
            asked = self._registers.asked()
            while self._memory.at < now:
                self._span(asked, min(now, quarter_end(self._memory.at)))
            self._registers.show(Shown(self._done, _display(self._memory.counted), asked.connected))

    def received(self, raws: Iterable[bytes]) -> None:
        """Forgets readings that the service has, or will never take."""
        gone = set(raws)
        with self._turn:
            self._store(replace(self._memory, waiting=tuple(raw for raw in self._memory.waiting if raw not in gone)))

    def stop(self) -> None:
        """Stores everything."""
        with self._turn:
            self._store(self._memory)

    def _span(self, asked: Asked, until: datetime) -> None:
        memory = self._memory
        dt_h = (until - memory.at) / _HOUR
        self._done = run(self._plate, memory.soc, asked, dt_h)
        memory = replace(memory, at=until, soc=self._done.soc, counted=memory.count(self._done.p_kw, self._done.q_kvar, dt_h))
        if until == quarter_end(until - timedelta(microseconds=1)):
            memory = replace(memory, started=False) if self._meter is None else self._meter.close(memory)
            self._store(memory)
        elif until - self._kept >= _KEEP_EVERY:
            self._store(memory)
        self._memory = memory

    def _store(self, memory: Memory) -> None:
        self._keep(memory)
        self._memory, self._kept = memory, memory.at


def _display(counted: tuple[int, int, int]) -> tuple[int, int, int]:
    injected, drawn, reactive = counted
    return injected // _MICRO, drawn // _MICRO, reactive // _MICRO
