"""Rules of storage: charge = discharge + loss + remaining, lot by lot, in double entry for certified and for grey energy apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gridnet_contracts.ledger.actions import storage as actions
from gridnet_contracts.ledger.actions.certificates import CertificateAction
from gridnet_contracts.ledger.errors import NotMatched
from gridnet_contracts.ledger.rows import Allocation, Certificate, Charging, Device, Discharging, Issuance, Lot
from gridnet_contracts.ledger.rules.certificates import account_of, first_range, usable, within_capacity
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY, Context

MILLION = 1_000_000
LOTS_PER_ENTRY = 1 << 12
"""More than one charging record can make, so that a lot's rank is unique."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is taken from a lot, and how much of it is given back."""

    lot: Lot
    charge_wh: int
    discharge_wh: int


def charge(context: Context, action: actions.Charge) -> None:
    """Certificates and grey energy to lots."""
    within_capacity(context.storage(action.device, action.owner), action.wh, action.minutes)
    context.once(action.device, "charge", action.quarters())
    scr = f"scr:{action.device}@{action.start}"
    context.state.add(Charging(scr, action.device, action.start, action.end, action.wh, action.evidence, context.entry))
    if len(set(action.certificates)) != len(action.certificates):
        raise NotMatched(f"{action.device}: a certificate can be cancelled for it once, and is named twice")
    cancelled = [_for_storage(context, action, name) for name in action.certificates]
    grey = action.wh - sum(certificate.wh for certificate in cancelled)
    if grey < 0:
        raise NotMatched(f"{action.device} charged {action.wh} Wh: certificates for {action.wh - grey} can't be cancelled for it")
    contents = [(GREY, "", grey)] if grey else []
    contents += [(CERTIFIED, certificate.certificate, certificate.wh) for certificate in cancelled]
    for place, (asset, certificate, wh) in enumerate(contents):
        name, rank = f"{scr}/{certificate or GREY}", context.entry * LOTS_PER_ENTRY + place
        context.state.add(Lot(name, action.device, rank, scr, action.start, asset, certificate, wh, wh))
    context.move(GREY, f"source/{action.device}", f"lot/{action.device}", grey)
    for before in cancelled:
        context.state.change(replace(before, status="cancelled_for_storage"))
        context.move(CERTIFIED, account_of(before), f"lot/{action.device}", before.wh)


def _for_storage(context: Context, action: actions.Charge, name: str) -> Certificate:
    certificate = usable(context, _Storing(certificate=name, owner=action.owner), "cancelled_for_storage")
    start = context.state.held(Issuance, certificate.issuance).start
    if start[:13] != action.start[:13]:
        raise NotMatched(f"certificate {name} was produced at {start}, not in the hour of the charging, {action.start}")
    return certificate


class _Storing(CertificateAction):
    kind = "charge"


def discharge(context: Context, action: actions.Discharge) -> None:
    """From lots to storage certificates, delivered energy and loss."""
    device = context.storage(action.device, action.owner)
    within_capacity(device, action.wh, action.minutes)
    context.once(action.device, "discharge", action.quarters())
    draws = list(_draws(context, device, action))
    given = {asset: sum(draw.discharge_wh for draw in draws if draw.lot.asset == asset) for asset in (CERTIFIED, GREY)}
    record = Discharging(
        sdr=f"sdr:{action.device}@{action.start}",
        device=action.device,
        start=action.start,
        end=action.end,
        wh=action.wh,
        certified_wh=given[CERTIFIED],
        grey_wh=given[GREY],
        unbacked_wh=action.wh - sum(given.values()),
        evidence=action.evidence,
        entry=context.entry,
    )
    context.state.add(record)
    certificates = _storage_certificates(context, action, draws) if given[CERTIFIED] else {}
    for draw in draws:
        certificate = certificates.get(draw.lot.lot)
        _draw(context, draw, record.sdr, device.efficiency_ppm, "" if certificate is None else certificate.certificate)
        to = f"delivered/{action.device}" if certificate is None else account_of(certificate)
        context.move(draw.lot.asset, f"lot/{action.device}", to, draw.discharge_wh)


def _draws(context: Context, device: Device, action: actions.Discharge) -> Iterator[Draw]:
    """What a discharge takes from the lots, oldest first; it ends with the lots where they hold too little."""
    efficiency, missing = device.efficiency_ppm, action.wh
    for lot in list(context.state.lots(device.device).values()):
        if lot.start >= action.start:
            continue  # charged no earlier than this discharge, though recorded before it
        whole = lot.remaining_wh * efficiency // MILLION
        if whole > missing:
            yield Draw(lot, -(-missing * MILLION // efficiency), missing)
            return
        yield Draw(lot, lot.remaining_wh, whole)
        missing -= whole
        if not missing:
            return


def _draw(context: Context, draw: Draw, sdr: str, efficiency_ppm: int, storage_certificate: str) -> None:
    """Takes a draw's charge from its lot, books its loss and records the allocation."""
    lot, loss = draw.lot, draw.charge_wh - draw.discharge_wh
    context.state.change(replace(lot, remaining_wh=lot.remaining_wh - draw.charge_wh))
    context.move(lot.asset, f"lot/{lot.device}", f"loss/{lot.device}", loss)
    context.state.add(
        Allocation(
            lot=lot.lot,
            entry=context.entry,
            scr=lot.scr,
            sdr=sdr,
            method="fifo",
            charge_wh=draw.charge_wh,
            discharge_wh=draw.discharge_wh,
            loss_wh=loss,
            efficiency_ppm=efficiency_ppm,
            cancelled_certificate=lot.certificate,
            storage_certificate=storage_certificate,
        )
    )


def _storage_certificates(context: Context, action: actions.Discharge, draws: list[Draw]) -> dict[str, Certificate]:
    """One issuance for the discharge, one certificate for each certified lot that gave something; by lot."""
    green = [draw for draw in draws if draw.lot.asset == CERTIFIED and draw.discharge_wh]
    behind = [context.state.held(Issuance, context.state.held(Certificate, draw.lot.certificate).issuance) for draw in green]
    wh = sum(draw.discharge_wh for draw in green)
    carried = sum(draw.charge_wh * issuance.emissions_mg_per_kwh for draw, issuance in zip(green, behind, strict=True))
    issuance = Issuance(
        issuance=f"{action.device}@{action.start}",
        device=action.device,
        start=action.start,
        end=action.end,
        wh=wh,
        from_storage=1,
        issued=context.time,
        expires=action.expires,
        evidence=action.evidence,
        dissemination=action.dissemination,
        disclosure=min(issuance.disclosure for issuance in behind),
        emissions_mg_per_kwh=-(-carried // wh),
        emissions_method="of the certificates cancelled, with storage losses",
        entry=context.entry,
    )
    context.state.add(issuance)
    certificates, lo = {}, 0
    for draw in green:
        hi = lo + draw.discharge_wh
        certificate = first_range(issuance, (lo, hi), action.owner, action.held, backing=draw.lot.certificate)
        context.state.add(certificate)
        certificates[draw.lot.lot], lo = certificate, hi
    return certificates


def write_off(context: Context, action: actions.WriteOff) -> None:
    """From lots to loss."""
    device = context.device(action.device)
    missing = action.wh
    for lot in list(context.state.lots(action.device).values()):
        taken = min(missing, lot.remaining_wh)
        _draw(context, Draw(lot, taken, 0), "", device.efficiency_ppm, "")
        missing -= taken
        if not missing:
            return
    raise NotMatched(f"the lots of {action.device} hold {action.wh - missing} Wh: {action.wh} can't be written off")
