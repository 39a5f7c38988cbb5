"""Movements of assets other than certificates: money, rewards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gridnet_contracts.ledger.actions.base import Account, Action, Amount, Name, Words

Leg = Annotated[tuple[Name, Account, Account, Amount], Field(strict=False)]
"""(asset, from, to, amount)."""


class Move(Action):
    """Amounts from account to account, all of them or none."""

    kind = "move"
    legs: Annotated[tuple[Leg, ...], Field(strict=False, min_length=1, max_length=10_000)]
    memo: Words
    corrects: Words | None = None
    """Key of the entry that this one puts right."""
