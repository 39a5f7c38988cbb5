"""What a rule gets: the state, and when and as which entry it acts. What it moves is gathered here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gridnet_contracts.ledger.errors import UnknownDevice, WrongOwner
from gridnet_contracts.ledger.rows import Device, DeviceQuarter
from gridnet_contracts.ledger.state import Movement, State

CERTIFIED = "gc"
"""Asset: Wh that certificates stand for, and that are in lots with a certificate behind them."""
GREY = "grey"
"""Asset: Wh that were charged without a certificate."""
CHAIN = "chain:"
"""How the name of a party begins that stands for a contract on a chain."""


@dataclass(slots=True)
class Context:
    """One entry in the making."""

    state: State
    entry: int
    time: str
    """UTC, to the second."""
    movements: list[Movement] = field(default_factory=list)

    def move(self, asset: str, debit: str, credit: str, amount: int) -> None:
        """Moves an amount; nothing where it is 0."""
        if amount:
            movement = (asset, debit, credit, amount)
            self.state.move(movement)
            self.movements.append(movement)

    def is_over(self, expires: str) -> bool:
        """Whether an instant has come; both are UTC texts that agree to the minute."""
        return self.time[:16] >= expires[:16]

    def device(self, name: str) -> Device:
        """A device. Raises `UnknownDevice`."""
        device = self.state.find(Device, name)
        if device is None:
            raise UnknownDevice(f"no device {name!r} is registered; register it first")
        return device

    def storage(self, name: str, owner: str) -> Device:
        """A storage device of that owner."""
        device = self.device(name)
        if not device.storage_wh:
            raise UnknownDevice(f"{name} is no storage device")
        own(f"device {name}", device.owner, owner)
        return device

    def once(self, device: str, role: str, quarters: Iterable[str]) -> None:
        """Marks quarter-hours as recorded. Raises `AlreadyThere` for one that is."""
        for quarter in quarters:
            self.state.add(DeviceQuarter(device, role, quarter, self.entry))


def own(what: str, holder: str, owner: str) -> None:
    """Raises `WrongOwner` unless both are the same."""
    if holder != owner:
        raise WrongOwner(f"{what} belongs to {holder}, not to {owner}", device=what, expected=holder, got=owner)
