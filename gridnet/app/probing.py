"""Level 4 at work: whom to probe, when, and what came of it.

Each day at 02:00 UTC, behind the balance of the day before, a few homes with a battery are chosen whose `Reputation.wants_probe`:
suspects first, then those least known. Until midnight UTC their batteries are asked for steps beside what the policy asks, in the
first intervals with room for them both ways. Whether there is room is seen before the sign is looked at, by asking the shield both
ways, so that no sign depends on the charge or on the grid. An interval has one home's step at most: two would disturb each other.
What is judged are the steps that were issued, behind the shield.

The signs are the operator's secret. Here they follow from the run's seed and the day, so that a run repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gridnet.app.community import Community
from gridnet.app.play import Shield
from gridnet.errors import InputError
from gridnet.simulate import State
from gridnet.verification.grid import Reported
from gridnet.verification.ladder import Ladder
from gridnet.verification.probes import FEWEST_SLOTS, Probe, draw_probe, judge_probe, probe_verdict, slots_needed
from gridnet.verification.reputation import Reputation
from gridnet.verification.verdict import Verdict

Floats = NDArray[np.float64]

PER_DAY = 3
"""Homes chosen a day."""
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of a battery's power, what a step may have: the least that some hours can decide is taken."""
SHORT, LONG = 8, 12
"""Intervals that may decide a weak step, and the strongest one."""
SPARE = 2
"""Times as many intervals as are needed: some readings will be missing, and the scatter of few intervals is itself uncertain."""
_WHOLE = 0.99
"""Share of a step that must be left of it behind the shield, both ways."""
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Probed:
    """A battery that can be probed: its home's place in the ladder, its device, and the step that is used."""

    name: str
    home: int
    device: int
    power_kw: float
    slots: int


@dataclass
class UnderWay:
    """A probe of a day: the steps drawn, and of those that were issued so far the time, the size and the setpoint beside."""

    battery: Probed
    drawn_kw: Floats
    at: list[datetime] = field(default_factory=list)
    issued_kw: list[float] = field(default_factory=list)
    beside_kw: list[float] = field(default_factory=list)

    @property
    def wanted_kw(self) -> float | None:
        """The next step; None where all were issued."""
        return float(self.drawn_kw[len(self.at)]) if len(self.at) < len(self.drawn_kw) else None


class Prober:
    """The probes of one community. `choose` and `judge` are called once a day, `steer` at every step in between."""

    def __init__(self, community: Community, ladder: Ladder, seed: int) -> None:
        self._clock = community.case.clock
        self._ladder = ladder
        self._secret = f"{seed}/probe/{community.name}"
        self._batteries = {each.name: each for each in _batteries(community, ladder)}
        self._failed: set[str] = set()
        self._day: date | None = None
        self.under_way: tuple[UnderWay, ...] = ()

    def choose(self, now: datetime, beliefs: Mapping[str, Reputation]) -> None:
        """Draws the probes of the rest of the day that `now` lies in. One that failed is a person's matter, and not repeated."""
        wanted = [name for name in self._batteries if beliefs[name].wants_probe and name not in self._failed]
        wanted.sort(key=lambda name: (-beliefs[name].suspicion_ppm, beliefs[name].good, name))
        self._day = now.date()
        rng = np.random.default_rng(int.from_bytes(sha256(f"{self._secret}/{self._day}".encode()).digest()))
        chosen = [self._batteries[name] for name in wanted[:PER_DAY]]
        self.under_way = tuple(UnderWay(b, draw_probe(b.home, b.power_kw, b.slots, rng).asked_kw) for b in chosen)

    def steer(self, state: State, safe: Floats, shield: Shield) -> Floats:
        """`safe` (1, 2, devices), or the same with the next step of the first probe that has room for one."""
        now = self._clock.time_of(int(state.step[0]))
        if now.date() != self._day:
            return safe
        for probe in self.under_way:
            wanted, device = probe.wanted_kw, probe.battery.device
            if wanted is None:
                continue
            issued, mirrored = (shield(state, _stepped(safe, device, step)) for step in (wanted, -wanted))
            beside = float(safe[0, 0, device])
            there, back = (float(each[0, 0, device]) - beside for each in (issued, mirrored))
            if min(there / wanted, -back / wanted) >= _WHOLE:
                probe.at.append(now)
                probe.issued_kw.append(there)
                probe.beside_kw.append(beside)
                return issued
        return safe

    def judge(self) -> Iterator[Verdict]:
        """A verdict on each probe under way that came far enough, once its readings are there; and ends them."""
        ended, self.under_way = self.under_way, ()
        for probe in ended:
            verdict = self._judged(probe)
            if verdict is not None:
                if verdict.outcome != "pass":
                    self._failed.add(probe.battery.name)
                yield verdict

    def _judged(self, probe: UnderWay) -> Verdict | None:
        known = [(k, rows) for k, at in enumerate(probe.at) if len((rows := self._ladder.reported(at, at + _QUARTER)).head_kw)]
        if len(known) < FEWEST_SLOTS:
            return None
        kept = [k for k, _ in known]
        asked, beside = np.array(probe.issued_kw)[kept], np.array(probe.beside_kw)[kept]
        reported = _joined([rows for _, rows in known])
        try:
            answer = judge_probe(self._ladder.grid, Probe(probe.battery.home, asked, beside), reported)
        except InputError:
            return None  # the other meters were silent just then
        return probe_verdict(answer, probe.battery.name, datetime.combine(probe.at[0].date(), time(), UTC))


def _batteries(community: Community, ladder: Ladder) -> Iterator[Probed]:
    """The largest battery of each home, where the other meters can judge it."""
    case = community.case
    rated_kw = {point: float(case.fleet.p_kw[point.device]) for point in community.of_kind("battery")}
    largest = {point.bus: point for point in sorted(rated_kw, key=lambda point: (rated_kw[point], point.name))}
    for home, name in enumerate(ladder.homes):
        point = largest.get(int(ladder.grid.bus[home]))
        size = None if point is None else _size(ladder, home, rated_kw[point])
        if point is not None and point.device is not None and size is not None:
            yield Probed(name, home, point.device, *size)


def _size(ladder: Ladder, home: int, rated_kw: float) -> tuple[float, int] | None:
    """Power and intervals of a battery's probes; None where no probe of a day could decide."""
    try:
        sizes = [(share * rated_kw, slots_needed(ladder.grid, home, share * rated_kw)) for share in SHARES]
    except InputError:
        return None  # nobody's voltage answers to it
    weak = next((size for size in sizes if size[1] <= SHORT), None)
    power_kw, needed = weak or sizes[-1]
    return (power_kw, max(SPARE * needed, SHORT)) if needed <= LONG else None


def _stepped(safe: Floats, device: int, step_kw: float) -> Floats:
    asked = safe.copy()
    asked[0, 0, device] += step_kw
    return asked


def _joined(rows: Sequence[Reported]) -> Reported:
    return Reported(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))
