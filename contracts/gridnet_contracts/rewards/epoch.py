"""One epoch's rewards: the budget shared out, with every number that it takes to do so by hand.

1. A service's pot is the budget times its weight, in whole units by largest remainder; what the weights leave of a million is a
   pot of its own that nobody gets.
2. A participant's points for a service are what was verified of it, 0 where that is below zero, times its reputation in parts per
   million.
3. A pot is shared in proportion to points, by largest remainder: `pot x points / all points` rounded down, and one unit more for
   the largest remainders until the pot is empty. Of equal remainders the name that sorts first is served. A pot without points is
   not given.

Nothing that is not given goes elsewhere: a service nobody renders makes no other one dearer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.registry import OpenAsset
from gridnet_contracts.ledger.canonical import canonical
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.rewards.programme import MILLION, UNITS, Programme, Service
from gridnet_contracts.settlement.shares import apportion

LEGS = 200
"""Of one entry, as in `gridnet_contracts.settlement.booking`."""
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What was verified of one service, by one participant, in an epoch."""

    party: str
    service: Service
    amount: int
    """In the service's unit; may be below zero, which counts as 0."""
    reputation_ppm: int
    """At the end of the epoch, 0 to 1,000,000."""


@dataclass(frozen=True, slots=True)
class Row:
    """One participant's share of one pot: `quotient, remainder = divmod(pot * points, all_points)`, `reward = quotient + extra`."""

    service: Service
    party: str
    amount: int
    counted: int
    reputation_ppm: int
    points: int
    all_points: int
    pot: int
    quotient: int
    remainder: int
    extra: int
    """1 for the largest remainders, as many as the pot has units left over, else 0."""
    reward: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """A programme's rewards for one epoch, `[start, start + epoch_days)`."""

    programme: Programme
    start: datetime
    pots: dict[str, int]
    """By service, and `nobody` for what the weights leave; together the budget."""
    rows: tuple[Row, ...]

    @property
    def rewards(self) -> dict[str, int]:
        """By participant, those that get something, in the order of their names."""
        total: Counter[str] = Counter()
        for row in self.rows:
            total[row.party] += row.reward
        return {party: total[party] for party in sorted(total) if total[party]}

    @property
    def given(self) -> int:
        """Whole units in all; the budget at most."""
        return sum(row.reward for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        return {
            "programme": self.programme.model_dump(mode="json"),
            "start": instant(self.start),
            "end": instant(self.start + timedelta(days=self.programme.epoch_days)),
            "pots": self.pots,
            "rows": [asdict(row) for row in self.rows],
            "rewards": self.rewards,
            "given": self.given,
            "not_given": self.programme.budget - self.given,
        }

    def digest(self) -> str:
        """SHA-256 of `as_json` in canonical form, in hexadecimal: stands in the ledger beside the rewards."""
        return hashlib.sha256(canonical(self.as_json())).hexdigest()

    def table(self) -> str:
        """The arithmetic as plain text, a participant and service a line."""
        programme, columns, weights = self.programme, tuple(Row.__dataclass_fields__), _weights(self.programme)
        head = [
            f"{programme.title}, from {instant(self.start)} for {programme.epoch_days} days",
            f"budget {programme.budget} {programme.asset}, given {self.given}, not given {programme.budget - self.given}",
            *(f"pot {name}: {pot} (weight {weights[name]} ppm{_counted_in(name)})" for name, pot in self.pots.items()),
        ]
        cells = [columns, *(tuple(str(getattr(row, column)) for column in columns) for row in self.rows)]
        widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        return "\n".join([*head, *lines, *(f"{party}: {reward}" for party, reward in self.rewards.items())])


def reward(programme: Programme, start: datetime, rendered: Sequence[Rendered]) -> Epoch:
    """The rewards of the epoch that begins at `start` (UTC).

    Raises `InputError` with every fault: a service that the programme has not, one twice for a party, a party with two reputations
    or one that is no share of a million; and for a start without a time zone.
    """
    _check(programme, start, rendered)
    pots = apportion(programme.budget, _weights(programme))
    rows: list[Row] = []
    for service in programme.weights_ppm:
        of_it = sorted((each for each in rendered if each.service == service), key=lambda each: each.party)
        rows += _share(pots[service], of_it)
    return Epoch(programme, start, pots, tuple(rows))


def open_asset(programme: Programme) -> Order:
    """Opens the asset that a programme gives; once per ledger."""
    return Order(f"open:{programme.asset}", OpenAsset(asset=programme.asset, unit=programme.unit))


def reward_orders(epoch: Epoch) -> list[Order]:
    """The entries that give the rewards, from `source/programme:NAME`; mostly one, none where nobody earned anything.

    An epoch is rewarded once: the keys hold its start, so other figures for it are refused by the ledger. What comes late is not
    made up.
    """
    programme = epoch.programme
    legs = [
        (programme.asset, f"source/programme:{programme.name}", f"owned/{party}", amount) for party, amount in epoch.rewards.items()
    ]
    key = f"reward:{programme.name}:{instant(epoch.start)}"
    memo = f"rewards of {programme.epoch_days} days from {instant(epoch.start)}, sha256 {epoch.digest()}"
    moves = [Move(legs=tuple(legs[k : k + LEGS]), memo=memo) for k in range(0, len(legs), LEGS)]
    return [Order(key if not k else f"{key}:part-{k + 1}", move) for k, move in enumerate(moves)]


def _weights(programme: Programme) -> dict[str, int]:
    """Parts per million, that of nobody included: a million in all."""
    weights = {str(service): weight for service, weight in programme.weights_ppm.items()}
    return weights | {NOBODY: MILLION - sum(weights.values())}


def _counted_in(service: str) -> str:
    return "".join(f", in {unit}" for name, unit in UNITS.items() if name == service)


def _share(pot: int, rendered: Sequence[Rendered]) -> list[Row]:
    points = {each.party: max(each.amount, 0) * each.reputation_ppm for each in rendered}
    everything = sum(points.values())
    shares = apportion(pot if everything else 0, points)
    rows = []
    for each in rendered:
        quotient, remainder = divmod(pot * points[each.party], everything) if everything else (0, 0)
        rows.append(
            Row(
                service=each.service,
                party=each.party,
                amount=each.amount,
                counted=max(each.amount, 0),
                reputation_ppm=each.reputation_ppm,
                points=points[each.party],
                all_points=everything,
                pot=pot,
                quotient=quotient,
                remainder=remainder,
                extra=shares[each.party] - quotient,
                reward=shares[each.party],
            )
        )
    return rows


def _check(programme: Programme, start: datetime, rendered: Sequence[Rendered]) -> None:
    faults = [] if start.utcoffset() == timedelta(0) else [Fault("start", str(start), "a time in UTC")]
    reputations: dict[str, int] = {}
    seen = set()
    for each in rendered:
        where = f"{each.party}: {each.service}"
        if each.service not in programme.weights_ppm:
            faults.append(Fault(where, "a service", f"one of {', '.join(programme.weights_ppm)}"))
        if (each.party, each.service) in seen:
            faults.append(Fault(where, "two amounts", "one for an epoch"))
        seen.add((each.party, each.service))
        if not 0 <= each.reputation_ppm <= MILLION:
            faults.append(Fault(f"{where}: reputation_ppm", str(each.reputation_ppm), "0 to 1000000"))
        if reputations.setdefault(each.party, each.reputation_ppm) != each.reputation_ppm:
            faults.append(Fault(f"{where}: reputation_ppm", str(each.reputation_ppm), f"{reputations[each.party]}, as before"))
    if faults:
        raise InputError("these services can't be rewarded:", faults)
