"""What must add up in any honest ledger, checked on a whole state without looking at how it came about."""

from __future__ import annotations

from collections import defaultdict

from gridnet.errors import VerificationError
from gridnet_contracts.ledger.rows import Allocation, Certificate, Charging, Discharging, Issuance, Lot
from gridnet_contracts.ledger.rules.certificates import account_of
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY
from gridnet_contracts.ledger.state import Place, State, may_owe


def conserved(state: State) -> str:
    """Checks that energy is conserved; gives a line of totals. Raises `VerificationError`.

    1. What leaves one account arrives at another: balances of each asset sum to 0, none below 0 but the world outside.
    2. The certificates of each issuance that are not split are ranges that partition `[0, wh)`.
    3. Certificates and lots, account by account, are the balances of certified Wh.
    4. Each charge is in lots; each lot: charged = given back + lost + remaining; each discharge = certified + grey + unbacked, as
       its lots gave it.
    5. Certified lots are certificates that were cancelled for them, whole, one each; each storage certificate is what one of these
       lots gave, and names it.
    """
    _balanced(state)
    _partitioned(state)
    _accounted(state)
    _charged(state)
    _drawn(state)
    _backed(state)
    produced, stored = (sum(each.wh for each in state.all_rows(Issuance) if each.from_storage == kind) for kind in (0, 1))
    return f"{produced} Wh issued as produced, {stored} Wh from storage, {len(state.rows[Certificate])} certificates"


def _balanced(state: State) -> None:
    totals: dict[str, int] = defaultdict(int)
    for (account, asset), amount in state.balances.items():
        totals[asset] += amount
        if amount < 0 and not may_owe(account):
            raise VerificationError(f"{account} holds {amount} of {asset}")
    for asset, total in totals.items():
        if total:
            raise VerificationError(f"the balances of {asset} sum to {total}, not to 0")


def _partitioned(state: State) -> None:
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for certificate in state.all_rows(Certificate):
        if certificate.status != "split":
            ranges[certificate.issuance].append((certificate.lo, certificate.hi))
    for issuance in state.all_rows(Issuance):
        at = 0
        for lo, hi in sorted(ranges.pop(issuance.issuance, [])):
            if lo != at:
                raise VerificationError(
                    f"issuance {issuance.issuance}: Wh {min(lo, at)} to {max(lo, at)} are missing, or there twice"
                )
            at = hi
        if at != issuance.wh:
            raise VerificationError(f"issuance {issuance.issuance}: certificates over {at} of its {issuance.wh} Wh")
    if ranges:
        raise VerificationError(f"certificates of {next(iter(ranges))}, which was never issued")


def _accounted(state: State) -> None:
    owned: dict[Place, int] = defaultdict(int)
    for certificate in state.all_rows(Certificate):
        if certificate.status not in {"split", "cancelled_for_storage"}:
            owned[account_of(certificate), CERTIFIED] += certificate.wh
    for lot in state.all_rows(Lot):
        owned[f"lot/{lot.device}", lot.asset] += lot.remaining_wh
    for (account, asset), amount in state.balances.items():
        kind = account.partition("/")[0]
        counted = kind == "lot" or (asset == CERTIFIED and kind not in {"source", "loss"})
        if counted and owned.pop((account, asset), 0) != amount:
            raise VerificationError(f"{account} holds {amount} of {asset}, its certificates or lots another sum")
    if any(owned.values()):
        raise VerificationError(f"certificates or lots of {next(iter(owned))} stand in no account")


def _charged(state: State) -> None:
    charged: dict[str, int] = defaultdict(int)
    for lot in state.all_rows(Lot):
        charged[lot.scr] += lot.charged_wh
    for record in state.all_rows(Charging):
        if charged.pop(record.scr, 0) != record.wh:
            raise VerificationError(f"{record.scr}: its lots are not its {record.wh} Wh")
    if charged:
        raise VerificationError(f"lots of {next(iter(charged))}, which was never recorded")


def _drawn(state: State) -> None:
    drawn: dict[str, int] = defaultdict(int)
    given: dict[tuple[str, str], int] = defaultdict(int)
    for allocation in state.all_rows(Allocation):
        drawn[allocation.lot] += allocation.charge_wh
        lot = state.find(Lot, allocation.lot)
        if lot is not None:
            given[allocation.sdr, lot.asset] += allocation.discharge_wh
        if allocation.charge_wh != allocation.discharge_wh + allocation.loss_wh:
            raise VerificationError(f"allocation of {allocation.lot} in entry {allocation.entry}: charge is not discharge + loss")
    for lot in state.all_rows(Lot):
        if lot.charged_wh != drawn.pop(lot.lot, 0) + lot.remaining_wh:
            raise VerificationError(
                f"lot {lot.lot}: its {lot.charged_wh} Wh are not what was drawn and the {lot.remaining_wh} left"
            )
    for record in state.all_rows(Discharging):
        if record.wh != record.certified_wh + record.grey_wh + record.unbacked_wh:
            raise VerificationError(f"{record.sdr}: {record.wh} Wh are not certified + grey + unbacked")
        if (given.pop((record.sdr, CERTIFIED), 0), given.pop((record.sdr, GREY), 0)) != (record.certified_wh, record.grey_wh):
            raise VerificationError(f"{record.sdr}: its certified and grey Wh are not what its lots gave")
    if drawn or any(given.values()):
        raise VerificationError("something was drawn from a lot, or given, that was never recorded")


def _backed(state: State) -> None:
    cancelled = {each.certificate: each.wh for each in state.all_rows(Certificate) if each.status == "cancelled_for_storage"}
    for lot in state.all_rows(Lot):
        if (lot.asset == CERTIFIED) != bool(lot.certificate) or (
            lot.certificate and cancelled.pop(lot.certificate, 0) != lot.charged_wh
        ):
            raise VerificationError(f"lot {lot.lot}: no certificate over {lot.charged_wh} Wh was cancelled for it")
    if cancelled:
        raise VerificationError(f"certificate {next(iter(cancelled))} was cancelled for storage and is in no lot")
    given: dict[tuple[str, str], int] = defaultdict(int)
    for allocation in state.all_rows(Allocation):
        if state.held(Lot, allocation.lot).certificate != allocation.cancelled_certificate:
            raise VerificationError(f"allocation of {allocation.lot} in entry {allocation.entry} names another certificate")
        if allocation.cancelled_certificate:
            given[allocation.storage_certificate, allocation.cancelled_certificate] += allocation.discharge_wh
    for certificate in state.all_rows(Certificate):
        _backed_one(state, certificate, given)
    if any(given.values()):
        raise VerificationError(
            f"storage gave certified Wh of {next(each for each in given if given[each])} that no certificate holds"
        )


def _backed_one(state: State, certificate: Certificate, given: dict[tuple[str, str], int]) -> None:
    """A certificate of storage has one behind it, its parent's if it has a parent; another one has none."""
    parent = state.find(Certificate, certificate.parent) if certificate.parent else None
    stored = bool(state.held(Issuance, certificate.issuance).from_storage)
    right = bool(certificate.backing) == stored
    if parent is not None:
        right &= certificate.backing == parent.backing
    elif stored:
        right &= given.pop((certificate.certificate, certificate.backing), 0) == certificate.wh
    if not right:
        raise VerificationError(
            f"certificate {certificate.certificate} has not the cancelled certificate behind it that storage needs"
        )
