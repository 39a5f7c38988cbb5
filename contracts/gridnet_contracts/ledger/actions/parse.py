"""From a kind and a body, as an entry of the log holds them, to the action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridnet_contracts.ledger.actions import certificates, money, records, registry, storage
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.errors import MalformedAction

KINDS: dict[str, type[Action]] = {
    action.kind: action
    for action in (
        registry.Found,
        registry.OpenAsset,
        registry.RegisterDevice,
        registry.SetEfficiency,
        certificates.Issue,
        certificates.Release,
        certificates.Withdraw,
        certificates.Transfer,
        certificates.Split,
        certificates.Cancel,
        certificates.Claim,
        certificates.Lock,
        certificates.Unlock,
        certificates.Reserve,
        certificates.Unreserve,
        certificates.Expire,
        storage.Charge,
        storage.Discharge,
        storage.WriteOff,
        money.Move,
        records.Consume,
        records.GridFactor,
        records.Impact,
        records.Verify,
        records.Verdict,
    )
}
"""Every action there is, by its kind."""


def parse_action(kind: object, body: Mapping[str, Any]) -> Action:
    """The action that `body` describes. Raises `MalformedAction`, `NotWholeNumber` or `AmountOverflow`, all faults in one."""
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise MalformedAction(f"the ledger knows no action {str(kind)[:60]!r}; it knows {', '.join(KINDS)}")
    return model(**body)
