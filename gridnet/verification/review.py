"""Level 5: a queue of devices for a person to look at, and what the person decides.

A verdict that holds a device puts it in the queue; nothing leaves it but by a decision, which is a verdict itself. What is rejected
(level 0) does not count, and needs nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gridnet.errors import InputError
from gridnet.verification.verdict import Level, Outcome, Verdict

Decision = Literal["pass", "reject"]


class Noted(Protocol):
    """What the queue needs to know of a verdict: a `Verdict` has it, and so may the record of one."""

    @property
    def device(self) -> str:
        """Whom it is about."""

    @property
    def start(self) -> datetime:
        """Start of its interval."""

    @property
    def level(self) -> Level:
        """The rung that gave it."""

    @property
    def outcome(self) -> Outcome:
        """What it says."""

    @property
    def finding(self) -> str:
        """Why, in words."""

    def digest(self) -> str:
        """SHA-256 of the whole verdict, in hex."""


@dataclass(frozen=True)
class Doubt:
    """A device in the queue, with the verdicts that brought it there, in order of arrival."""

    device: str
    verdicts: tuple[Noted, ...]

    @property
    def since(self) -> datetime:
        """Start of the first doubtful interval."""
        return min(verdict.start for verdict in self.verdicts)

    @property
    def level(self) -> Level:
        """The highest rung that doubts."""
        return max(verdict.level for verdict in self.verdicts)

    @property
    def finding(self) -> str:
        """What that rung found, the last time."""
        return [verdict.finding for verdict in self.verdicts if verdict.level == self.level][-1]


@dataclass(frozen=True)
class ReviewQueue:
    """Open doubts by device."""

    doubts: tuple[Doubt, ...] = ()

    def with_verdicts(self, verdicts: Iterable[Noted]) -> ReviewQueue:
        """The queue after these verdicts; one that does not hold changes nothing, nor does one that is in it."""
        by_device = {doubt.device: doubt.verdicts for doubt in self.doubts}
        for verdict in verdicts:
            known = by_device.get(verdict.device, ())
            if verdict.outcome == "hold" and verdict not in known:
                by_device[verdict.device] = (*known, verdict)
        return ReviewQueue(tuple(Doubt(device, known) for device, known in by_device.items()))

    def pending(self) -> tuple[Doubt, ...]:
        """What to look at first: highest rung, then oldest, then name."""
        return tuple(sorted(self.doubts, key=lambda doubt: (-doubt.level, doubt.since, doubt.device)))

    def about(self, device: str) -> Doubt | None:
        """What is open about a device."""
        return next((each for each in self.doubts if each.device == device), None)

    def without(self, device: str) -> ReviewQueue:
        """The queue with nothing open about a device."""
        return ReviewQueue(tuple(each for each in self.doubts if each.device != device))

    def decide(self, device: str, outcome: Decision, who: str, words: str) -> tuple[ReviewQueue, Verdict]:
        """Closes the doubts about `device`: the queue without them, and the verdict to record, which lists their digests.

        `pass` releases what was held, `reject` withdraws it. Raises `InputError` where nothing about the device is open, or where
        nobody decides or says why.
        """
        doubt = self.about(device)
        if doubt is None or not who.strip() or not words.strip():
            raise InputError(f"{device}: a decision needs an open doubt, a name and a reason")
        evidence: dict[str, int | str] = {f"verdict_{k}": verdict.digest() for k, verdict in enumerate(doubt.verdicts)}
        decided = Verdict(device, doubt.since, Level.REVIEWED, outcome, words, {"who": who, **evidence})
        return self.without(device), decided
