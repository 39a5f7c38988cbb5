"""What a consumer drew, hour by hour, against the certificates claimed for it: CFE score and emissions.

    matched    min(load, claimed) in each clock hour; what is claimed beyond the load is surplus and counts nowhere
    score      sum matched / sum load; with the grid term, sum (matched + carbon-free share x unmatched) / sum load
    location   sum load x the grid's average factor
    market     sum matched x the mean factor of all claimed in the hour + unmatched x the residual factor

Whole Wh times whole mg per kWh are whole micrograms, so sums are exact; the one division, by what was claimed in an hour, rounds
up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger import report_queries as ask
from gridnet_contracts.ledger.actions.base import HOUR, QUARTER, instant, moment
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.rows import Consumption, Factor
from gridnet_contracts.reports.table import CERTIFICATES, MILLION, RULE, aligned, kilograms, kwh, part, percent


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose consumption is reported, with the grid factors of which zone, over which period: half-open, whole clock hours, UTC.

    Raises `InputError` for a period that is none, all faults at once.
    """

    consumer: str
    zone: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        faults = [
            Fault(where, str(time), "a full clock hour with a time zone, in UTC")
            for where, time in (("start", self.start), ("end", self.end))
            if time.tzinfo is None or time.astimezone(UTC) != time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        ]
        if not faults and self.start >= self.end:
            faults = [Fault("end", str(self.end), f"a time after the start, {self.start}")]
        if faults:
            raise InputError("can't report on this period:", faults)
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))

    @property
    def span(self) -> ask.Span:
        """The period as the ledger writes instants."""
        return instant(self.start), instant(self.end)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is made of, in any order. `claimed` may be in pieces: they are added up by clock hour."""

    consumed: Iterable[Consumption]
    claimed: Iterable[ask.ClaimedWh]
    factors: Iterable[Factor]


@dataclass(frozen=True, slots=True)
class GridFactor:
    """A grid's hour. Where it was recorded in quarter-hours: their mean, the emissions rounded up, the carbon-free share down."""

    emissions_mg_per_kwh: int
    residual_mg_per_kwh: int
    carbon_free_ppm: int


@dataclass(frozen=True, slots=True)
class Hour:
    """One clock hour. `claimed_ug`: emissions of all that was claimed in it. `factor`: None where the grid's is not recorded."""

    start: str
    load_wh: int
    claimed_wh: int
    claimed_ug: int
    factor: GridFactor | None

    @property
    def matched_wh(self) -> int:
        """Never more than the load."""
        return min(self.load_wh, self.claimed_wh)

    @property
    def surplus_wh(self) -> int:
        """Claimed beyond the load: never counted."""
        return self.claimed_wh - self.matched_wh

    @property
    def unmatched_wh(self) -> int:
        """Drawn, and not claimed."""
        return self.load_wh - self.matched_wh

    @property
    def share(self) -> Fraction | None:
        """Of the load, what is matched; None without load."""
        return Fraction(self.matched_wh, self.load_wh) if self.load_wh else None

    @property
    def matched_ug(self) -> int:
        """Emissions of the matched energy at the mean factor of all claimed in the hour, rounded up. No choice among certificates,
        so none that flatters."""
        return -(-self.matched_wh * self.claimed_ug // self.claimed_wh) if self.claimed_wh else 0

    @property
    def location_ug(self) -> int | None:
        """Emissions of the load at the grid's average; None without a grid factor."""
        return None if self.factor is None else self.load_wh * self.factor.emissions_mg_per_kwh

    @property
    def market_ug(self) -> int | None:
        """Emissions of the matched energy, and of the rest at the residual factor; None without a grid factor."""
        return None if self.factor is None else self.matched_ug + self.unmatched_wh * self.factor.residual_mg_per_kwh


@dataclass(frozen=True, slots=True)
class GridFigures:
    """What can be said only where the grid's factor is known in every hour with load. `score` is None without load."""

    location_ug: int
    market_ug: int
    score: Fraction | None


@dataclass(frozen=True)
class ConsumerReport:
    """A consumer's period. `hours`: those with load or claimed certificates, in order."""

    scope: Scope
    hours: tuple[Hour, ...]
    unrecorded_quarters: int
    """Quarter-hours of the period without a consumption record: nothing drawn, or not metered."""
    undisclosed_wh: int
    """Claimed, but of certificates that may not be used for disclosure: never counted."""

    @cached_property
    def load_wh(self) -> int:
        """Drawn in the period."""
        return sum(hour.load_wh for hour in self.hours)

    @cached_property
    def claimed_wh(self) -> int:
        """Claimed for disclosure in the period."""
        return sum(hour.claimed_wh for hour in self.hours)

    @cached_property
    def matched_wh(self) -> int:
        """The sum of what each hour matched."""
        return sum(hour.matched_wh for hour in self.hours)

    @property
    def surplus_wh(self) -> int:
        """Claimed beyond the load of its hour: never counted."""
        return self.claimed_wh - self.matched_wh

    @property
    def score(self) -> Fraction | None:
        """CFE score without the grid term, 0 to 1; None without load."""
        return Fraction(self.matched_wh, self.load_wh) if self.load_wh else None

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Starts of the hours with load and without a grid factor."""
        return tuple(hour.start for hour in self.hours if hour.load_wh and hour.factor is None)

    @cached_property
    def with_grid(self) -> GridFigures | None:
        """Emissions and the score with the grid term; None, as a whole, while a grid factor is missing."""
        if self.missing:
            return None
        known = [(hour, hour.factor) for hour in self.hours if hour.factor is not None and hour.load_wh]
        free = sum(hour.matched_wh * MILLION + hour.unmatched_wh * factor.carbon_free_ppm for hour, factor in known)
        return GridFigures(
            location_ug=sum(hour.location_ug or 0 for hour, _ in known),
            market_ug=sum(hour.market_ug or 0 for hour, _ in known),
            score=Fraction(free, self.load_wh * MILLION) if self.load_wh else None,
        )

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values; emissions in whole micrograms of CO2 equivalent, null where they can't be stated."""
        stated, (start, end) = self.with_grid, self.scope.span
        return {
            "consumer": self.scope.consumer,
            "zone": self.scope.zone,
            "start": start,
            "end": end,
            "load_wh": self.load_wh,
            "claimed_wh": self.claimed_wh,
            "matched_wh": self.matched_wh,
            "surplus_wh": self.surplus_wh,
            "undisclosed_wh": self.undisclosed_wh,
            "unrecorded_quarters": self.unrecorded_quarters,
            "cfe_score": part(self.score),
            "missing_grid_factors": list(self.missing),
            "cfe_score_with_grid": None if stated is None else part(stated.score),
            "location_based_ug": None if stated is None else stated.location_ug,
            "market_based_hourly_ug": None if stated is None else stated.market_ug,
            "certificates": CERTIFICATES,
            "matching": RULE,
            "hours": [_hour_json(hour) for hour in self.hours],
        }

    def table(self) -> str:
        """The totals, one a line."""
        stated, (start, end) = self.with_grid, self.scope.span
        rows = [
            ("load", f"{kwh(self.load_wh)} kWh"),
            ("claimed", f"{kwh(self.claimed_wh)} kWh"),
            ("matched, hour by hour", f"{kwh(self.matched_wh)} kWh"),
            ("surplus, not counted", f"{kwh(self.surplus_wh)} kWh"),
            ("not for disclosure, not counted", f"{kwh(self.undisclosed_wh)} kWh"),
            ("CFE score, without the grid", percent(self.score)),
            ("CFE score, with the grid", "not stated" if stated is None else percent(stated.score)),
            ("location-based, CO2e", "not stated" if stated is None else f"{kilograms(stated.location_ug)} kg"),
            ("market-based hourly, CO2e", "not stated" if stated is None else f"{kilograms(stated.market_ug)} kg"),
            ("quarter-hours without a record", str(self.unrecorded_quarters)),
        ]
        lines = [f"{self.scope.consumer}, grid zone {self.scope.zone}, from {start} until {end}", aligned(rows)]
        if self.missing:
            lines.append(f"not stated, since hours with load have no grid factor: {len(self.missing)}")
            lines.extend(f"  from {first} until {last}" for first, last in _runs(self.missing))
        return "\n".join([*lines, f"{CERTIFICATES}, claimed for this consumer; {RULE}"])

    def hour_table(self) -> str:
        """The hours, one a line: energy in kWh, factors in mg of CO2 equivalent per kWh."""
        heads = ["hour", "load", "claimed", "matched", "surplus", "share", "claimed at", "residual", "grid", "carbon-free"]
        units = ["UTC", *["kWh"] * 4, "", *["mg/kWh"] * 3, ""]
        return aligned([heads, units, *(_hour_cells(hour) for hour in self.hours)])


@dataclass(slots=True)
class _Sums:
    """An hour in the making. The last three are sums over its `known` quarter-hours."""

    load_wh: int = 0
    claimed_wh: int = 0
    claimed_ug: int = 0
    known: int = 0
    grid: list[int] = field(default_factory=lambda: [0, 0, 0])

    def factor(self) -> GridFactor | None:
        """None unless all four quarter-hours are known, once each."""
        if self.known != HOUR // QUARTER:
            return None
        emissions, residual, free = self.grid
        return GridFactor(-(-emissions // self.known), -(-residual // self.known), free // self.known)


def consumer_report(database: Database, scope: Scope) -> ConsumerReport:
    """The report on what the ledger holds now, from one state of it. Raises `LedgerError`."""
    with database.read() as connection:
        consumed = ask.consumptions(connection, scope.consumer, scope.span)
        claimed = ask.claimed_wh(connection, scope.consumer, scope.span)
        return assess(scope, Facts(consumed, claimed, ask.factors(connection, scope.zone, scope.span)))


def assess(scope: Scope, facts: Facts) -> ConsumerReport:
    """The report on these facts, all of the scope's consumer, zone and period. Memory grows with the hours, not with the facts."""
    hours: defaultdict[str, _Sums] = defaultdict(_Sums)
    recorded = undisclosed = 0
    for record in facts.consumed:
        hours[record.start[:13]].load_wh += record.wh
        recorded += _quarters(record)
    for claim in facts.claimed:
        if claim.disclosure:
            hours[claim.hour].claimed_wh += claim.wh
            hours[claim.hour].claimed_ug += claim.wh * claim.emissions_mg_per_kwh
        else:
            undisclosed += claim.wh
    for factor in facts.factors:
        sums, quarters = hours[factor.start[:13]], _quarters(factor)
        sums.known += quarters
        for k, each in enumerate((factor.emissions_mg_per_kwh, factor.residual_mg_per_kwh, factor.carbon_free_ppm)):
            sums.grid[k] += each * quarters
    rows = (Hour(f"{at}:00Z", s.load_wh, s.claimed_wh, s.claimed_ug, s.factor()) for at, s in sorted(hours.items()))
    return ConsumerReport(
        scope=scope,
        hours=tuple(row for row in rows if row.load_wh or row.claimed_wh),
        unrecorded_quarters=(scope.end - scope.start) // QUARTER - recorded,
        undisclosed_wh=undisclosed,
    )


def _quarters(record: Consumption | Factor) -> int:
    return (moment(record.end) - moment(record.start)) // QUARTER


def _hour_json(hour: Hour) -> dict[str, Any]:
    factor = hour.factor
    return {
        "start": hour.start,
        "load_wh": hour.load_wh,
        "claimed_wh": hour.claimed_wh,
        "matched_wh": hour.matched_wh,
        "surplus_wh": hour.surplus_wh,
        "share": part(hour.share),
        "claimed_ug": hour.claimed_ug,
        "matched_ug": hour.matched_ug,
        "location_based_ug": hour.location_ug,
        "market_based_hourly_ug": hour.market_ug,
        "grid_mg_per_kwh": None if factor is None else factor.emissions_mg_per_kwh,
        "residual_mg_per_kwh": None if factor is None else factor.residual_mg_per_kwh,
        "carbon_free_ppm": None if factor is None else factor.carbon_free_ppm,
    }


def _hour_cells(hour: Hour) -> list[str]:
    claimed_at = str(-(-hour.claimed_ug // hour.claimed_wh)) if hour.claimed_wh else "-"
    grid = ["missing" if hour.load_wh else "-"] * 3
    if hour.factor is not None:
        free = percent(Fraction(hour.factor.carbon_free_ppm, MILLION))
        grid = [str(hour.factor.residual_mg_per_kwh), str(hour.factor.emissions_mg_per_kwh), free]
    energy = (hour.load_wh, hour.claimed_wh, hour.matched_wh, hour.surplus_wh)
    return [hour.start, *map(kwh, energy), percent(hour.share), claimed_at, *grid]


def _runs(hours: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Hours that follow one another as (start of the first, end of the last)."""
    first, end = moment(hours[0]), moment(hours[0])
    for start in map(moment, hours):
        if start > end:
            yield instant(first), instant(end)
            first = start
        end = start + timedelta(hours=1)
    yield instant(first), instant(end)
