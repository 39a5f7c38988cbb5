"""The device's own meter: counts energy, and signs a reading of every quarter-hour.

Readings form a chain (sequence, and the hash of the one before), so what the meter remembers must outlive the process: `Memory` is
written to disk before a reading leaves. A reading that was signed and not yet received waits in it.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from gridnet.errors import Fault, InputError
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import SECRET_BYTES, DeviceKey
from gridnet.metering.reading import FIRST, SOC_FULL_PPM, Flag, Reading

QUARTER = timedelta(minutes=15)
NOMINAL_MV = 230_000
"""The simulation has no grid: the meter sees the nominal voltage."""
_MICRO = 1_000_000
_W_PER_KW = 1000.0
_MOST_WAITING = 4 * 24 * 7
"""Readings of a week; verification takes none that are older."""


@dataclass(frozen=True)
class Memory:
    """What device and meter remember. Energies are injected, drawn and reactive (> 0 injects)."""

    at: datetime
    """Up to when time went by."""
    soc: float
    sequence: int = 0
    """Readings signed so far."""
    previous: bytes = FIRST
    """Hash of the last one."""
    counted: tuple[int, int, int] = (0, 0, 0)
    """Exact registers, millionths of Wh and varh."""
    shown: tuple[int, int, int] = (0, 0, 0)
    """What the displays showed at the last reading, Wh and varh."""
    started: bool = True
    """Whether the meter started within the running quarter-hour."""
    waiting: tuple[bytes, ...] = ()
    """Signed readings that the service has not got yet, oldest first."""

    def write(self, path: Path) -> None:
        """Writes it, whole or not at all: on disk when this returns. Raises `InputError`."""
        plain: dict[str, Any] = {**vars(self), "at": self.at.isoformat(), "previous": self.previous.hex()}
        plain["waiting"] = [base64.b64encode(raw).decode() for raw in self.waiting]
        _write_durably(path, json.dumps(plain, indent=1))

    @classmethod
    def read(cls, path: Path) -> Self:
        """What was written. Raises `InputError`."""
        try:
            plain = json.loads(path.read_text())
            return cls(
                at=datetime.fromisoformat(plain["at"]).astimezone(UTC),
                soc=float(plain["soc"]),
                sequence=int(plain["sequence"]),
                previous=bytes.fromhex(plain["previous"]),
                counted=_three(plain["counted"]),
                shown=_three(plain["shown"]),
                started=bool(plain["started"]),
                waiting=tuple(base64.b64decode(each) for each in plain["waiting"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                "the device's memory can't be read:", [Fault(str(path), repr(error), "a file that it wrote")]
            ) from error

    def count(self, p_kw: float, q_kvar: float, dt_h: float) -> tuple[int, int, int]:
        """The registers after `dt_h` hours at these powers."""
        injected, drawn, reactive = self.counted
        moved = round(p_kw * dt_h * _W_PER_KW * _MICRO)
        return injected + max(0, moved), drawn + max(0, -moved), reactive + round(q_kvar * dt_h * _W_PER_KW * _MICRO)


@dataclass(frozen=True)
class Meter:
    """The sub-meter `name` of a feeder, and the key that it signs with."""

    name: str
    key: DeviceKey

    def close(self, memory: Memory) -> Memory:
        """The memory with the reading of the quarter-hour that ends at `memory.at` signed and waiting."""
        shows = tuple(each // _MICRO for each in memory.counted)
        injected, drawn, reactive = (after - before for after, before in zip(shows, memory.shown, strict=True))
        reading = Reading(
            device=self.name,
            sequence=memory.sequence,
            previous=memory.previous,
            start=memory.at - QUARTER,
            injected_wh=injected,
            drawn_wh=drawn,
            reactive_varh=reactive,
            voltage_mv=NOMINAL_MV,
            soc_ppm=min(max(round(memory.soc * SOC_FULL_PPM), 0), SOC_FULL_PPM),
            flags=frozenset({Flag.RESTARTED} if memory.started else ()),
        )
        raw = sign(reading, self.key)
        return replace(
            memory,
            sequence=memory.sequence + 1,
            previous=message_hash(raw),
            shown=_three(shows),
            started=False,
            waiting=(*memory.waiting, raw)[-_MOST_WAITING:],
        )


def quarter_end(at: datetime) -> datetime:
    """The end of the quarter-hour that holds `at`."""
    return at - (at - datetime.min.replace(tzinfo=UTC)) % QUARTER + QUARTER


def own_key(path: Path) -> DeviceKey:
    """The key in a file that its owner alone may read; made in the first run. Raises `InputError`."""
    if not path.exists():
        key = DeviceKey.generate()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.secret.hex())
        return key
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise InputError("the meter has no key:", [Fault(str(path), repr(error), f"{SECRET_BYTES} bytes in hex")]) from error
    return DeviceKey(secret)


def _write_durably(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise InputError("the device can't remember:", [Fault(str(path), str(error), "a file that it can write")]) from error


def _three(values: Any) -> tuple[int, int, int]:
    one, two, three = (int(each) for each in values)
    return one, two, three
