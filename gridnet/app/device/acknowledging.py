"""What a device says of its controls, worked out from what it knows and the time alone: received, started, and how each ended.

Of what was published ahead nothing is said until it is in force: it is decided anew before that, as a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gridnet.app.client.follow import Known
from gridnet.app.service.model import AckStatus, Control


@dataclass(frozen=True)
class Due:
    """An acknowledgement to be sent. `status` None: the control is gone, and the service knows why."""

    control: str
    status: AckStatus | None
    at: datetime


class Acknowledger:
    """Remembers what was said."""

    def __init__(self) -> None:
        self._heard: dict[str, Control] = {}
        self._started: set[str] = set()
        self._left: set[str] = set()
        """Heard of, and not followed any more before their end."""

    def see(self, known: Known, now: datetime) -> list[Due]:
        """What is to be said at `now` that was not said yet."""
        in_force = {control.id for control in known.in_force(now)}
        listed = {each.id: each for each in known.controls if (not each.planned or each.id in in_force) and each.end > now}
        due = [Due(name, "received", now) for name in listed.keys() - self._heard.keys()]
        self._heard |= listed
        due += [Due(name, "started", now) for name in sorted(in_force - self._started - self._left)]
        self._started |= in_force - self._left
        for name, control in list(self._heard.items()):
            due += self._ended(name, control, Due(name, "opt_out" if known.opted_out else "superseded", now), (in_force, listed))
        return due

    def _ended(self, name: str, control: Control, left: Due, seen: tuple[set[str], dict[str, Control]]) -> Iterator[Due]:
        in_force, listed = seen
        if left.at >= control.end:
            if name in self._started:
                yield Due(name, "completed", control.end)
        elif name not in listed:
            if name not in self._left:
                yield Due(name, None, left.at)
        else:
            if name in self._started and name not in in_force:
                self._started.remove(name)
                self._left.add(name)
                yield left
            return
        del self._heard[name]
        self._started.discard(name)
        self._left.discard(name)
