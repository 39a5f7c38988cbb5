"""Rules of the registry, of free assets and of the records that reports need."""

from __future__ import annotations

from dataclasses import replace

from gridnet_contracts.ledger.actions import money, records, registry
from gridnet_contracts.ledger.errors import AlreadyThere, MalformedAction, NotFounded, NotMatched, UnknownAsset
from gridnet_contracts.ledger.rows import Asset, Consumption, Device, Efficiency, Factor, Judgement, Registry, Saving, Verification
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY, Context


def found(context: Context, action: registry.Found) -> None:
    """The registry; entry 0 alone."""
    if context.entry != 0:
        raise NotFounded(f"entry {context.entry}: a ledger is founded once, by its first entry")
    context.state.add(Registry(**action.body()))


def open_asset(context: Context, action: registry.OpenAsset) -> None:
    """A new asset."""
    if action.asset in {CERTIFIED, GREY}:
        raise AlreadyThere(f"asset {action.asset} is the ledger's own")
    context.state.add(Asset(**action.body()))


def register_device(context: Context, action: registry.RegisterDevice) -> None:
    """A new device."""
    if bool(action.storage_wh) != bool(action.efficiency_ppm):
        raise MalformedAction(f"device {action.device}: storage_wh and efficiency_ppm are given for storage, both or none")
    context.state.add(Device(**action.body()))


def set_efficiency(context: Context, action: registry.SetEfficiency) -> None:
    """What draws from a storage device give back, from here on."""
    device = context.device(action.device)
    if not device.storage_wh or not action.efficiency_ppm:
        raise NotMatched(f"{action.device}: an efficiency above 0 is for storage devices")
    context.state.change(replace(device, efficiency_ppm=action.efficiency_ppm))
    context.state.add(Efficiency(entry=context.entry, **action.body()))


def move(context: Context, action: money.Move) -> None:
    """Amounts of free assets, leg by leg."""
    for asset, debit, credit, amount in action.legs:
        if asset in {CERTIFIED, GREY} or context.state.find(Asset, asset) is None:
            raise UnknownAsset(f"asset {asset!r} was not opened, or is moved with certificates alone")
        if debit == credit:
            raise NotMatched(f"a movement from {debit} to itself says nothing")
        context.move(asset, debit, credit, amount)


def consume(context: Context, action: records.Consume) -> None:
    """A record, once for each quarter-hour."""
    context.once(action.consumer, "consume", action.quarters())
    context.state.add(Consumption(entry=context.entry, **action.body()))


def grid_factor(context: Context, action: records.GridFactor) -> None:
    """A record, once for each quarter-hour."""
    context.once(action.zone, "factor", action.quarters())
    context.state.add(Factor(entry=context.entry, **action.body()))


def impact(context: Context, action: records.Impact) -> None:
    """A record, once for each quarter-hour."""
    context.once(action.community, "impact", action.quarters())
    context.state.add(Saving(entry=context.entry, **action.body()))


def verify(context: Context, action: records.Verify) -> None:
    """A record."""
    context.state.add(Verification(entry=context.entry, **action.body()))


def verdict(context: Context, action: records.Verdict) -> None:
    """A record."""
    context.state.add(Judgement(entry=context.entry, **action.body()))
