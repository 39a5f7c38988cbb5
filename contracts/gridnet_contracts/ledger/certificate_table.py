"""Certificates with all their attributes, a flat row each: what exports hold and what an auditor derives again from the log.

The attributes are those of a granular certificate (EnergyTag-shaped). What would name a home (device name, location, meter id)
stands under the salted hash `device_private`; who may see it finds it in the disclosures.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import and_, select

from gridnet_contracts.ledger.database import Connection
from gridnet_contracts.ledger.rows import Allocation, Certificate, Device, Issuance, Registry
from gridnet_contracts.ledger.schema import table_of
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.store import streamed

CertificateRow = tuple[str | int, ...]

OF_CERTIFICATE = ("certificate", "issuance", "lo", "hi", "status", "party", "beneficiary", "parent", "backing", "chain", "entry")
OF_ISSUANCE = (
    "start",
    "end",
    "issued",
    "expires",
    "from_storage",
    "disclosure",
    "dissemination",
    "emissions_mg_per_kwh",
    "emissions_method",
    "evidence",
)
OF_DEVICE = (
    "device",
    "carrier",
    "source",
    "technology",
    "capacity_w",
    "commissioned",
    "grid_operator",
    "grid_connection",
    "support",
    "private",
    "storage_wh",
)
OF_REGISTRY = ("origin", "issuer", "country", "market_zone", "legal_status", "purpose", "quality_scheme", "configuration")
COLUMNS: dict[str, type] = {
    **{name: int if name in {"lo", "hi", "entry"} else str for name in OF_CERTIFICATE},
    "wh": int,
    **{name: int if name in {"from_storage", "disclosure", "emissions_mg_per_kwh"} else str for name in OF_ISSUANCE},
    **{
        ("device_private" if name == "private" else name): int if name in {"capacity_w", "storage_wh"} else str
        for name in OF_DEVICE
    },
    "storage_efficiency_ppm": int,
    "after_conversion": int,
    "face_value_wh": int,
    **dict.fromkeys(OF_REGISTRY, str),
}
"""Columns and their types. `wh` = `hi - lo`; a unit's `face_value_wh` is 1; `storage_efficiency_ppm` is above 0 for energy from
storage alone."""


def stored_certificates(connection: Connection) -> Iterator[CertificateRow]:
    """Every certificate in the database, by entry and range, a chunk in memory at a time."""
    certificates, issuances, devices = table_of(Certificate), table_of(Issuance), table_of(Device)
    allocations = table_of(Allocation)
    registry = tuple(connection.execute(select(*(table_of(Registry).c[name] for name in OF_REGISTRY))).one())
    of_storage = and_(allocations.c.cancelled_certificate == certificates.c.backing, allocations.c.entry == issuances.c.entry)
    query = (
        select(
            *(certificates.c[name] for name in OF_CERTIFICATE),
            *(issuances.c[name] for name in OF_ISSUANCE),
            *(devices.c[name] for name in OF_DEVICE),
            allocations.c.efficiency_ppm,
        )
        .join(issuances, certificates.c.issuance == issuances.c.issuance)
        .join(devices, issuances.c.device == devices.c.device)
        .outerjoin(allocations, and_(certificates.c.backing != "", of_storage))
        .order_by(certificates.c.entry, certificates.c.lo)
    )
    one, two, three = len(OF_CERTIFICATE), len(OF_CERTIFICATE) + len(OF_ISSUANCE), -1
    for found in streamed(connection, query):
        yield (*found[:one], found.hi - found.lo, *found[one:two], *found[two:three], found[-1] or 0, 1, 1, *registry)


def derived_certificates(state: State) -> Iterator[CertificateRow]:
    """The same rows, in the same order, from a state that was made again from the log."""
    registry = next(iter(state.all_rows(Registry)))
    ending = (1, 1, *(getattr(registry, name) for name in OF_REGISTRY))
    efficiencies = {
        (a.cancelled_certificate, a.entry): a.efficiency_ppm for a in state.all_rows(Allocation) if a.cancelled_certificate
    }
    for certificate in sorted(state.all_rows(Certificate), key=lambda each: (each.entry, each.lo)):
        issuance = state.held(Issuance, certificate.issuance)
        device = state.held(Device, issuance.device)
        yield (
            *(getattr(certificate, name) for name in OF_CERTIFICATE),
            certificate.wh,
            *(getattr(issuance, name) for name in OF_ISSUANCE),
            *(getattr(device, name) for name in OF_DEVICE),
            efficiencies.get((certificate.backing, issuance.entry), 0),
            *ending,
        )
