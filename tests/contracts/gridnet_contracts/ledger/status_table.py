"""What each action on a certificate does to its status, as the actions' docstrings have it."""

from __future__ import annotations

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import (
    Cancel,
    Claim,
    Expire,
    Lock,
    Release,
    Reserve,
    Split,
    Transfer,
    Unlock,
    Unreserve,
    Withdraw,
)

FROM: dict[type[Action], set[str]] = {
    Release: {"held"},
    Withdraw: {"held", "active", "locked", "reserved"},
    Transfer: {"active"},
    Split: {"active"},
    Cancel: {"active"},
    Claim: {"active", "locked", "reserved"},
    Lock: {"active"},
    Unlock: {"locked"},
    Reserve: {"active"},
    Unreserve: {"reserved"},
    Expire: {"held", "active", "reserved"},
}
"""Out of which statuses an action takes a certificate."""
ENDS: dict[type[Action], str] = {
    Release: "active",
    Withdraw: "withdrawn",
    Cancel: "cancelled",
    Claim: "claimed",
    Lock: "locked",
    Unlock: "active",
    Reserve: "reserved",
    Unreserve: "active",
    Expire: "expired",
}
"""And into which."""
NEEDS_TIME_LEFT = (Transfer, Split, Cancel, Claim, Lock, Reserve)
ACCOUNT = {
    "held": "held",
    "active": "owned",
    "locked": "locked",
    "reserved": "reserved",
    "claimed": "retired",
    "cancelled": "cancelled",
    "withdrawn": "withdrawn",
    "expired": "expired",
}
"""Whose balance of `gc` counts a certificate of a status; a split one and one in a battery are counted elsewhere."""
