"""What a check says of a reading, with the numbers it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from hashlib import sha256
from typing import Literal

from gridnet.errors import Fault, InputError

MOST_WORDS = 200
"""Longest finding, in characters."""


class Level(IntEnum):
    """The rungs of the ladder."""

    SIGNED = 0
    """Signature, sequence, chain, clock, replay."""
    POSSIBLE = 1
    """Nameplate, irradiance ceiling, battery energy balance."""
    BALANCED = 2
    """The feeder's head against the homes, losses counted; each voltage against the power flow."""
    LOCATED = 3
    """Which home explains an imbalance."""
    PROBED = 4
    """Battery probes, judged at other meters."""
    REVIEWED = 5
    """A person."""


Outcome = Literal["pass", "hold", "reject"]
"""`hold`: nothing is paid on it until a person or a later check has decided; `reject`: the reading does not count."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's word on one device and interval.

    `start` is the start of the interval, or of the window's last day for checks over a window. `finding` says it in plain words
    with the numbers, `evidence` holds them as whole numbers or short words. Raises `InputError` where the finding is too long or
    the evidence holds anything else.
    """

    device: str
    start: datetime
    level: Level
    outcome: Outcome
    finding: str
    evidence: Mapping[str, int | str]

    def __post_init__(self) -> None:
        faults = [Fault("finding", f"{len(self.finding)} characters", f"1 to {MOST_WORDS}")] if not self.finding_fits else []
        faults += [
            Fault(f"evidence {key}", repr(value), "a whole number or words")
            for key, value in self.evidence.items()
            if type(value) not in (int, str)
        ]
        if faults:
            raise InputError(f"the verdict on {self.device} can't be written", faults)

    @property
    def finding_fits(self) -> bool:
        """Whether the finding has a length that a record takes."""
        return 0 < len(self.finding) <= MOST_WORDS

    def encode(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        content = {
            "device": self.device,
            "start": self.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "level": int(self.level),
            "outcome": self.outcome,
            "finding": self.finding,
            "evidence": dict(self.evidence),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return sha256(self.encode().encode()).hexdigest()


def hold(level: Level, device: str, start: datetime, finding: str, **evidence: int | str) -> Verdict:
    """A verdict that stops payment until it is decided."""
    return Verdict(device, start, level, "hold", finding, evidence)
