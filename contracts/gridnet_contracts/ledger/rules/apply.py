"""From an order to an entry: the rule of its kind applied to the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.errors import NotFounded
from gridnet_contracts.ledger.rules import certificates, facts, storage
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY, Context
from gridnet_contracts.ledger.state import Place

Rule = Callable[[Context, Any], None]

RULES: dict[str, Rule] = {
    "found": facts.found,
    "open_asset": facts.open_asset,
    "register_device": facts.register_device,
    "set_efficiency": facts.set_efficiency,
    "issue": certificates.issue,
    "release": certificates.release,
    "withdraw": certificates.withdraw,
    "transfer": certificates.transfer,
    "split": certificates.split,
    "cancel": certificates.cancel,
    "claim": certificates.claim,
    "lock": certificates.lock,
    "unlock": certificates.unlock,
    "reserve": certificates.reserve,
    "unreserve": certificates.unreserve,
    "expire": certificates.expire,
    "charge": storage.charge,
    "discharge": storage.discharge,
    "write_off": storage.write_off,
    "move": facts.move,
    "consume": facts.consume,
    "grid_factor": facts.grid_factor,
    "impact": facts.impact,
    "verify": facts.verify,
    "verdict": facts.verdict,
}

SIDES = {
    "charge": (("source", GREY), ("lot", GREY), ("lot", CERTIFIED)),
    "discharge": tuple((side, asset) for side in ("lot", "loss", "delivered") for asset in (GREY, CERTIFIED)),
}
"""Of a storage device: the accounts that a record moves something in."""


def places_of(action: Action) -> list[Place]:
    """The balances that an action most often moves: worth looking up together, before a batch. Others are found as they are met."""
    if isinstance(action, Move):
        return [(account, leg[0]) for leg in action.legs for account in leg[1:3]]
    fields = action.__dict__
    parties = [fields[name] for name in ("owner", "to") if name in fields]
    accounts = [f"owned/{party}" for party in parties]
    accounts += [f"held/{fields['owner']}"] if fields.get("held") or action.kind == "release" else []
    accounts += [f"source/{fields['device']}"] if action.kind == "issue" else []
    accounts += [f"retired/{fields['beneficiary']}"] if action.kind == "claim" else []
    stored = [(f"{side}/{fields['device']}", asset) for side, asset in SIDES.get(action.kind, ())]
    return [*((account, CERTIFIED) for account in accounts), *stored]


def apply(context: Context, action: Action) -> None:
    """Does what the action says to `context.state`, gathering movements. Raises the `LedgerError` that says why not; the state
    is then half changed and must be thrown away."""
    if context.entry == 0 and action.kind != "found":
        raise NotFounded(f"the first entry must found the ledger; {action.kind} comes after it")
    RULES[action.kind](context, action)
