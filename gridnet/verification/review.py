"""Level 5: a queue of devices for a person to look at, and what the person decides.

Verdicts of levels 2 to 4 that hold a device put it in the queue; nothing leaves it but by a decision, which is a verdict itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gridnet.errors import InputError
from gridnet.verification.verdict import Level, Verdict

FIRST_LEVEL = Level.BALANCED


@dataclass(frozen=True)
class Doubt:
    """A device in the queue, with the verdicts that brought it there, in order of arrival."""

    device: str
    verdicts: tuple[Verdict, ...]

    @property
    def since(self) -> datetime:
        """Start of the first doubtful interval."""
        return min(verdict.start for verdict in self.verdicts)

    @property
    def level(self) -> Level:
        """The highest rung that doubts."""
        return max(verdict.level for verdict in self.verdicts)


@dataclass(frozen=True)
class ReviewQueue:
    """Open doubts by device."""

    doubts: tuple[Doubt, ...] = ()

    def with_verdicts(self, verdicts: Iterable[Verdict]) -> ReviewQueue:
        """The queue after these verdicts; those that pass, and levels 0, 1 and 5, change nothing, nor does one that is in it."""
        by_device = {doubt.device: doubt.verdicts for doubt in self.doubts}
        for verdict in verdicts:
            known = by_device.get(verdict.device, ())
            if verdict.outcome != "pass" and FIRST_LEVEL <= verdict.level < Level.REVIEWED and verdict not in known:
                by_device[verdict.device] = (*known, verdict)
        return ReviewQueue(tuple(Doubt(device, known) for device, known in by_device.items()))

    def pending(self) -> tuple[Doubt, ...]:
        """What to look at first: highest rung, then oldest, then name."""
        return tuple(sorted(self.doubts, key=lambda doubt: (-doubt.level, doubt.since, doubt.device)))

    def decide(self, device: str, outcome: Literal["pass", "reject"], who: str, words: str) -> tuple[ReviewQueue, Verdict]:
        """Closes the doubts about `device`: the queue without them, and the verdict to record, which lists their digests.

        `pass` releases what was held, `reject` withdraws it. Raises `InputError` where nothing about the device is open, or where
        nobody decides or says why.
        """
        doubt = next((each for each in self.doubts if each.device == device), None)
        if doubt is None or not who.strip() or not words.strip():
            raise InputError(f"{device}: a decision needs an open doubt, a name and a reason")
        evidence: dict[str, int | str] = {f"verdict_{k}": verdict.digest() for k, verdict in enumerate(doubt.verdicts)}
        decided = Verdict(device, doubt.since, Level.REVIEWED, outcome, words, {"who": who, **evidence})
        return ReviewQueue(tuple(each for each in self.doubts if each is not doubt)), decided
