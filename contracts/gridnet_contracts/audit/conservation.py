"""What must add up in any honest ledger, checked on a whole state without looking at how it came about."""

from __future__ import annotations

from collections import defaultdict

from gridnet.errors import VerificationError
from gridnet_contracts.ledger.rows import Allocation, Certificate, Discharging, Issuance, Lot
from gridnet_contracts.ledger.rules.certificates import account_of
from gridnet_contracts.ledger.rules.context import CERTIFIED
from gridnet_contracts.ledger.state import Place, State, may_owe


def conserved(state: State) -> str:
    """Checks that energy is conserved; gives a line of totals. Raises `VerificationError`.

    1. What leaves one account arrives at another: balances of each asset sum to 0, none below 0 but the world outside.
    2. The certificates of each issuance that are not split are ranges that partition `[0, wh)`.
    3. Certificates and lots, account by account, are the balances of certified Wh.
    4. Each lot: charged = given back + lost + remaining; each discharge = certified + grey + unbacked.
    5. Storage gives no more certified Wh than certificates were cancelled for it, and each storage certificate names one of them.
    """
    _balanced(state)
    _partitioned(state)
    _accounted(state)
    _stored(state)
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


def _stored(state: State) -> None:
    drawn: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for allocation in state.all_rows(Allocation):
        drawn[allocation.lot] += allocation.charge_wh
        given[allocation.storage_certificate] += allocation.discharge_wh
        if allocation.charge_wh != allocation.discharge_wh + allocation.loss_wh:
            raise VerificationError(f"allocation of {allocation.lot} in entry {allocation.entry}: charge is not discharge + loss")
    for lot in state.all_rows(Lot):
        if lot.charged_wh != drawn[lot.lot] + lot.remaining_wh:
            raise VerificationError(f"lot {lot.lot}: {lot.charged_wh} Wh charged, {drawn[lot.lot]} drawn, {lot.remaining_wh} left")
    for record in state.all_rows(Discharging):
        if record.wh != record.certified_wh + record.grey_wh + record.unbacked_wh:
            raise VerificationError(f"{record.sdr}: {record.wh} Wh are not certified + grey + unbacked")
    for certificate in state.all_rows(Certificate):
        if not certificate.backing or certificate.parent:
            continue
        behind = state.find(Certificate, certificate.backing)
        if behind is None or behind.status != "cancelled_for_storage" or given[certificate.certificate] != certificate.wh:
            raise VerificationError(f"storage certificate {certificate.certificate} has no cancelled certificate behind it")
