"""The ledger as a few dictionaries: a second opinion, written from what the actions say of themselves, not from the rules.

`faults` gives every reason to refuse an action (none: it is accepted), so the order in which the ledger looks for them is its own
affair; `apply` does an accepted one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from gridnet_contracts.ledger import errors as e
from gridnet_contracts.ledger.actions.base import Action, Interval, instant
from gridnet_contracts.ledger.actions.certificates import (
    CertificateAction,
    Claim,
    Expire,
    Issue,
    Reserve,
    Split,
    Transfer,
    Unreserve,
)
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.records import Consume, GridFactor, Impact, Verdict, Verify
from gridnet_contracts.ledger.actions.registry import Found, OpenAsset, RegisterDevice, SetEfficiency
from gridnet_contracts.ledger.actions.storage import Charge, Discharge, WriteOff
from tests.contracts.gridnet_contracts.ledger.status_table import ACCOUNT, ENDS, FROM, NEEDS_TIME_LEFT

MOST = 2**53 - 1


@dataclass
class Piece:
    """A certificate."""

    issuance: str
    lo: int
    hi: int
    status: str
    party: str
    expires: str
    beneficiary: str = ""
    backing: str = ""

    @property
    def wh(self) -> int:
        return self.hi - self.lo


@dataclass
class Portion:
    """A lot: charge of one colour."""

    asset: str
    certificate: str
    start: str
    charged: int
    left: int


@dataclass
class Gadget:
    """A device; `lots` in the order in which they are drawn."""

    owner: str
    capacity_w: int
    storage_wh: int
    efficiency_ppm: int
    lots: list[Portion] = field(default_factory=list)
    delivered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    unbacked: int = 0


class PlainModel:
    """What a ledger that was founded holds."""

    def __init__(self, time: datetime) -> None:
        self.time = time
        self.assets: set[str] = set()
        self.devices: dict[str, Gadget] = {}
        self.quarters: set[tuple[str, str, str]] = set()
        self.pieces: dict[str, Piece] = {}
        self.issued: Counter[str] = Counter()
        """Wh per issuance."""
        self.money: Counter[tuple[str, str]] = Counter()

    def faults(self, action: Action) -> set[type[Exception]]:
        """Every reason to refuse it."""
        return set(self._faults(action))

    def _faults(self, action: Action) -> Iterator[type[Exception]]:  # noqa: PLR0912 (one branch an action)
        match action:
            case Found():
                yield e.NotFounded
            case OpenAsset():
                if action.asset in self.assets | {"gc", "grey"}:
                    yield e.AlreadyThere
            case RegisterDevice():
                if action.device in self.devices:
                    yield e.AlreadyThere
                if (action.storage_wh > 0) != (action.efficiency_ppm > 0):
                    yield e.MalformedAction
            case SetEfficiency():
                if action.device not in self.devices:
                    yield e.UnknownDevice
                elif not self.devices[action.device].storage_wh or not action.efficiency_ppm:
                    yield e.NotMatched
            case CertificateAction():
                yield from self._certificate_faults(action)
            case Issue():
                yield from self._device_faults(action, "issue", storage=False)
            case Charge():
                yield from self._device_faults(action, "charge", storage=True)
                yield from self._charge_faults(action)
            case Discharge():
                yield from self._device_faults(action, "discharge", storage=True)
            case WriteOff():
                gadget = self.devices.get(action.device)
                if gadget is None:
                    yield e.UnknownDevice
                elif sum(lot.left for lot in gadget.lots) < action.wh:
                    yield e.NotMatched
            case Move():
                yield from self._move_faults(action)
            case Consume() | GridFactor() | Impact():
                role, who = _recorded(action)
                if self._taken(who, role, action):
                    yield e.AlreadyThere
            case Verify() | Verdict():
                pass  # as often as there is something to say
            case _:
                raise AssertionError(f"the model knows no {action.kind}")

    def _taken(self, who: str, role: str, action: Interval) -> bool:
        return any((who, role, quarter) in self.quarters for quarter in action.quarters())

    def _device_faults(self, action: Issue | Charge | Discharge, role: str, storage: bool) -> Iterator[type[Exception]]:
        gadget = self.devices.get(action.device)
        if gadget is None:
            yield e.UnknownDevice
            return
        if bool(gadget.storage_wh) != storage:
            yield e.UnknownDevice if storage else e.NotMatched
        if gadget.owner != action.owner:
            yield e.WrongOwner
        if self._taken(action.device, role, action):
            yield e.AlreadyThere
        if action.wh > gadget.capacity_w * action.minutes // 60:
            yield e.NotMatched

    def _expired(self, piece: Piece) -> bool:
        return instant(self.time) >= piece.expires

    def _certificate_faults(self, action: CertificateAction) -> Iterator[type[Exception]]:
        piece = self.pieces.get(action.certificate)
        if piece is None:
            yield e.UnknownCertificate
            return
        if piece.party != action.owner:
            yield e.WrongOwner
        if piece.status not in FROM[type(action)]:
            yield e.StatusChangeRefused
        if isinstance(action, NEEDS_TIME_LEFT) and self._expired(piece):
            yield e.CertificateExpired
        match action:
            case Expire() if not self._expired(piece):
                yield e.NotYetExpired
            case Transfer() if action.to == piece.party:
                yield e.NotMatched
            case Split() if action.wh >= piece.wh:
                yield e.NotMatched
            case Claim() if piece.status == "reserved" and piece.beneficiary != action.beneficiary:
                yield e.NotMatched

    def _charge_faults(self, action: Charge) -> Iterator[type[Exception]]:
        pieces = [self.pieces.get(name) for name in action.certificates]
        for piece in pieces:
            if piece is None:
                yield e.UnknownCertificate
                continue
            if piece.party != action.owner:
                yield e.WrongOwner
            if piece.status != "active":
                yield e.StatusChangeRefused
            if self._expired(piece):
                yield e.CertificateExpired
            if piece.issuance.partition("@")[2][:13] != action.start[:13]:
                yield e.NotMatched
        if sum(piece.wh for piece in pieces if piece) > action.wh:
            yield e.NotMatched
        if len(set(action.certificates)) < len(action.certificates):
            yield e.AlreadyThere
            yield e.NotMatched
            yield e.StatusChangeRefused

    def _move_faults(self, action: Move) -> Iterator[type[Exception]]:
        money = self.money.copy()
        for asset, debit, credit, amount in action.legs:
            if asset not in self.assets:
                yield e.UnknownAsset
            if debit == credit:
                yield e.NotMatched
            money[debit, asset] -= amount
            money[credit, asset] += amount
            if money[debit, asset] < 0 and not debit.startswith("source/"):
                yield e.InsufficientBalance
            if money[credit, asset] > MOST or money[debit, asset] < -MOST:
                yield e.AmountOverflow

    def apply(self, action: Action) -> None:
        """Does what `faults` has nothing against."""
        match action:
            case OpenAsset():
                self.assets.add(action.asset)
            case RegisterDevice():
                self.devices[action.device] = Gadget(action.owner, action.capacity_w, action.storage_wh, action.efficiency_ppm)
            case SetEfficiency():
                self.devices[action.device].efficiency_ppm = action.efficiency_ppm
            case CertificateAction():
                self._change(action)
            case Issue():
                self._record(action.device, "issue", action)
                self._mint(action, [(action.wh, "")])
            case Charge():
                self._record(action.device, "charge", action)
                self._charge(action)
            case Discharge():
                self._record(action.device, "discharge", action)
                self._discharge(action)
            case WriteOff():
                self._write_off(action)
            case Move():
                for asset, debit, credit, amount in action.legs:
                    self.money[debit, asset] -= amount
                    self.money[credit, asset] += amount
            case Consume() | GridFactor() | Impact():
                role, who = _recorded(action)
                self._record(who, role, action)

    def _record(self, who: str, role: str, action: Interval) -> None:
        self.quarters |= {(who, role, quarter) for quarter in action.quarters()}

    def _mint(self, action: Issue | Discharge, parts: list[tuple[int, str]]) -> None:
        issuance, lo = f"{action.device}@{action.start}", 0
        status = "held" if action.held else "active"
        for wh, backing in parts:
            name = f"{issuance}/{lo}-{lo + wh}"
            self.pieces[name] = Piece(issuance, lo, lo + wh, status, action.owner, action.expires, backing=backing)
            lo += wh
        if lo:
            self.issued[issuance] = lo

    def _change(self, action: CertificateAction) -> None:
        piece = self.pieces[action.certificate]
        match action:
            case Transfer():
                piece.party = action.to
            case Split():
                piece.status = "split"
                middle = piece.lo + action.wh
                for lo, hi in ((piece.lo, middle), (middle, piece.hi)):
                    child = Piece(piece.issuance, lo, hi, "active", piece.party, piece.expires, backing=piece.backing)
                    self.pieces[f"{piece.issuance}/{lo}-{hi}"] = child
            case _:
                piece.status = ENDS[type(action)]
                if isinstance(action, Claim | Reserve):
                    piece.beneficiary = action.beneficiary
                elif isinstance(action, Unreserve):
                    piece.beneficiary = ""

    def _charge(self, action: Charge) -> None:
        gadget = self.devices[action.device]
        green = [Portion("gc", name, action.start, self.pieces[name].wh, self.pieces[name].wh) for name in action.certificates]
        grey = action.wh - sum(lot.charged for lot in green)
        gadget.lots += [Portion("grey", "", action.start, grey, grey)] * (grey > 0) + green
        for name in action.certificates:
            self.pieces[name].status = "cancelled_for_storage"

    def _discharge(self, action: Discharge) -> None:
        gadget = self.devices[action.device]
        wanted, green = action.wh, []
        for lot in gadget.lots:
            if not wanted or not lot.left or lot.start >= action.end:  # what is charged later can't have been given
                continue
            whole = lot.left * gadget.efficiency_ppm // 1_000_000
            taken = lot.left if whole <= wanted else -(-wanted * 1_000_000 // gadget.efficiency_ppm)
            given = taken * gadget.efficiency_ppm // 1_000_000
            lot.left -= taken
            wanted -= given
            gadget.lost[lot.asset] += taken - given
            if lot.asset == "grey":
                gadget.delivered += given
            elif given:
                green.append((given, lot.certificate))
        gadget.unbacked += wanted
        self._mint(action, green)

    def _write_off(self, action: WriteOff) -> None:
        wanted = action.wh
        gadget = self.devices[action.device]
        for lot in gadget.lots:
            taken = min(lot.left, wanted)
            lot.left -= taken
            wanted -= taken
            gadget.lost[lot.asset] += taken

    def balances(self) -> dict[tuple[str, str], int]:
        """Every account that holds something, (account, asset) to amount."""
        held: Counter[tuple[str, str]] = Counter(self.money)
        for piece in self.pieces.values():
            if piece.status in ACCOUNT:
                who = piece.beneficiary if piece.status == "claimed" else piece.party
                held[f"{ACCOUNT[piece.status]}/{who}", "gc"] += piece.wh
        for name, gadget in self.devices.items():
            for asset in ("gc", "grey"):
                lots = [lot for lot in gadget.lots if lot.asset == asset]
                held[f"lot/{name}", asset] = sum(lot.left for lot in lots)
                held[f"loss/{name}", asset] = gadget.lost[asset]
            held[f"delivered/{name}", "grey"] = gadget.delivered
            held[f"source/{name}", "grey"] = -sum(lot.charged for lot in gadget.lots if lot.asset == "grey")
            if not gadget.storage_wh:
                held[f"source/{name}", "gc"] = -sum(wh for made, wh in self.issued.items() if made.partition("@")[0] == name)
        return {place: amount for place, amount in held.items() if amount}

    def broken(self) -> list[str]:
        """Laws of conservation that do not hold; of the model itself, which the ledger is then held against."""
        return [*self._ranges_broken(), *self._storage_broken()]

    def _ranges_broken(self) -> Iterator[str]:
        whole = sorted(
            (piece for piece in self.pieces.values() if piece.status != "split"), key=lambda piece: (piece.issuance, piece.lo)
        )
        for issuance, group in groupby(whole, key=lambda piece: piece.issuance):
            ends = [0]
            for piece in group:
                if piece.lo != ends[-1]:
                    yield f"{issuance}: a gap or an overlap at {piece.lo}"
                ends.append(piece.hi)
            if ends[-1] != self.issued[issuance]:
                yield f"{issuance}: its certificates end at {ends[-1]}, it has {self.issued[issuance]}"

    def _storage_broken(self) -> Iterator[str]:
        for name, gadget in self.devices.items():
            green_in = sum(lot.charged for lot in gadget.lots if lot.asset == "gc")
            green_left = sum(lot.left for lot in gadget.lots if lot.asset == "gc")
            green_out = sum(wh for made, wh in self.issued.items() if made.partition("@")[0] == name) if gadget.storage_wh else 0
            if green_in != green_left + green_out + gadget.lost["gc"]:
                yield f"{name}: {green_in} green Wh in, {green_out} out, {gadget.lost['gc']} lost, {green_left} left"


def _recorded(action: Consume | GridFactor | Impact) -> tuple[str, str]:
    match action:
        case Consume():
            return "consume", action.consumer
        case GridFactor():
            return "factor", action.zone
        case Impact():
            return "impact", action.community
