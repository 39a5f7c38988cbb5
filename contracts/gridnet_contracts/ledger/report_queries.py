"""What reports ask of the database: sums by hour, month and device. The database adds up, so that what comes back is small however
many certificates there are. A certificate that was split is left out: its children stand for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from gridnet_contracts.ledger.rows import Allocation, Certificate, Charging, Consumption, Discharging, Factor, Issuance, Lot, Saving
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY
from gridnet_contracts.ledger.schema import balances, table_of
from gridnet_contracts.ledger.state import Place
from gridnet_contracts.ledger.store import streamed

Span = tuple[str, str]
"""Two instants, from the first up to, not including, the second."""


@dataclass(frozen=True, slots=True)
class ClaimedWh:
    """Wh of claimed certificates of one clock hour (`2018-06-01T10`) and one emissions factor."""

    hour: str
    disclosure: int
    emissions_mg_per_kwh: int
    wh: int


@dataclass(frozen=True, slots=True)
class DrawnWh:
    """What a storage device's lots of one asset took and gave: `charged_wh` and `remaining_wh` as the lots say, the rest as the
    allocations say."""

    charged_wh: int = 0
    remaining_wh: int = 0
    discharged_wh: int = 0
    loss_wh: int = 0


@dataclass(frozen=True, slots=True)
class SavedG:
    """A community's emissions savings against one baseline, in g of CO2 equivalent: the sum, and what of it is below zero."""

    community: str
    baseline: str
    start: str
    end: str
    records: int
    saved_g: int
    risen_g: int


def consumptions(connection: Connection, consumer: str, span: Span) -> Iterator[Consumption]:
    """A consumer's records that start in the span."""
    table = table_of(Consumption)
    query = select(table).where(table.c.consumer == consumer, *_within(table.c.start, span))
    return (Consumption(*found) for found in streamed(connection, query))


def factors(connection: Connection, zone: str, span: Span) -> Iterator[Factor]:
    """A zone's grid factors that start in the span."""
    table = table_of(Factor)
    return (
        Factor(*found) for found in streamed(connection, select(table).where(table.c.zone == zone, *_within(table.c.start, span)))
    )


def claimed_wh(connection: Connection, beneficiary: str, span: Span) -> Iterator[ClaimedWh]:
    """Certificates claimed for a beneficiary whose issuance starts in the span, by clock hour, disclosure and emissions factor.

    By factor rather than times factor: a product of two large numbers would pass what a database holds.
    """
    one, made = table_of(Certificate), table_of(Issuance)
    # What was consumed behind the meter is in no metered load: counting it would cover other energy with it.
    counts = case((made.c.dissemination == "self-consumed", 0), else_=made.c.disclosure)
    groups = (func.substr(made.c.start, 1, 13), counts, made.c.emissions_mg_per_kwh)
    query = (
        select(*groups, func.sum(one.c.hi - one.c.lo))
        .join_from(one, made, one.c.issuance == made.c.issuance)
        .where(one.c.beneficiary == beneficiary, one.c.status == "claimed", *_within(made.c.start, span))
        .group_by(*groups)
    )
    return (ClaimedWh(hour, disclosure, factor, int(wh)) for hour, disclosure, factor, wh in streamed(connection, query))


def issued_wh(connection: Connection) -> Iterator[tuple[str, str, bool, int]]:
    """(device, month of production, from storage, Wh issued)."""
    made = table_of(Issuance)
    groups = (made.c.device, func.substr(made.c.start, 1, 7), made.c.from_storage)
    query = select(*groups, func.sum(made.c.wh)).group_by(*groups)
    return ((device, month, bool(stored), int(wh)) for device, month, stored, wh in streamed(connection, query))


def certificate_wh(connection: Connection) -> Iterator[tuple[str, str, str, int]]:
    """(device, month of production, status, Wh). Device and month are empty where the issuance is missing."""
    one, made = table_of(Certificate), table_of(Issuance)
    groups = (func.coalesce(made.c.device, ""), func.coalesce(func.substr(made.c.start, 1, 7), ""), one.c.status)
    query = (
        select(*groups, func.sum(one.c.hi - one.c.lo))
        .join_from(one, made, one.c.issuance == made.c.issuance, isouter=True)
        .where(one.c.status != "split")
        .group_by(*groups)
    )
    return ((device, month, status, int(wh)) for device, month, status, wh in streamed(connection, query))


def drawn_wh(connection: Connection) -> dict[Place, DrawnWh]:
    """By (storage device, asset)."""
    lot, draw = table_of(Lot), table_of(Allocation)
    groups = (lot.c.device, lot.c.asset)
    given = select(*groups, func.sum(draw.c.discharge_wh), func.sum(draw.c.loss_wh)).join_from(draw, lot, draw.c.lot == lot.c.lot)
    out = {(device, asset): (int(wh), int(loss)) for device, asset, wh, loss in connection.execute(given.group_by(*groups))}
    kept = select(*groups, func.sum(lot.c.charged_wh), func.sum(lot.c.remaining_wh)).group_by(*groups)
    return {
        (device, asset): DrawnWh(int(charged), int(remaining), *out.get((device, asset), ()))
        for device, asset, charged, remaining in connection.execute(kept)
    }


def charging_records_wh(connection: Connection) -> dict[str, int]:
    """Wh charged, by storage device."""
    table = table_of(Charging)
    return _by_name(connection, select(table.c.device, func.sum(table.c.wh)).group_by(table.c.device))


def discharging_records_wh(connection: Connection) -> dict[str, tuple[int, int, int]]:
    """Wh discharged (certified, grey, unbacked), by storage device."""
    table = table_of(Discharging)
    sums = (func.sum(table.c.certified_wh), func.sum(table.c.grey_wh), func.sum(table.c.unbacked_wh))
    query = select(table.c.device, *sums).group_by(table.c.device)
    return {device: (int(green), int(grey), int(unbacked)) for device, green, grey, unbacked in connection.execute(query)}


def cancelled_for_lots_wh(connection: Connection) -> dict[str, int]:
    """Wh of the certificates that were cancelled for a storage device's lots, by device."""
    lot, one = table_of(Lot), table_of(Certificate)
    query = select(lot.c.device, func.sum(one.c.hi - one.c.lo)).join_from(lot, one, lot.c.certificate == one.c.certificate)
    return _by_name(connection, query.where(one.c.status == "cancelled_for_storage").group_by(lot.c.device))


def energy_balances(connection: Connection) -> Iterator[tuple[str, str, int]]:
    """(account, asset, amount) of every account of Wh, certified and grey."""
    query = select(balances.c.account, balances.c.asset, balances.c.amount).where(balances.c.asset.in_((CERTIFIED, GREY)))
    return ((account, asset, amount) for account, asset, amount in streamed(connection, query))


def savings(connection: Connection) -> list[SavedG]:
    """Savings by community and baseline."""
    table = table_of(Saving)
    groups = (table.c.community, table.c.baseline)
    below = func.sum(case((table.c.saved_g < 0, table.c.saved_g), else_=0))
    query = select(*groups, func.min(table.c.start), func.max(table.c.end), func.count(), func.sum(table.c.saved_g), below)
    found = connection.execute(query.group_by(*groups))
    return [
        SavedG(community, baseline, start, end, records, int(saved), int(risen))
        for community, baseline, start, end, records, saved, risen in found
    ]


def _within(column: ColumnElement[Any], span: Span) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return column >= span[0], column < span[1]


def _by_name(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {name: int(wh) for name, wh in connection.execute(query)}
