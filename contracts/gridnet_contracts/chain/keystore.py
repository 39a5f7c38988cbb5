"""Keystore files: an account's key under a password, as every Ethereum wallet writes them (Web3 Secret Storage, version 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from eth_account import Account

from gridnet.errors import Fault, InputError


@dataclass(frozen=True, slots=True)
class Key:
    """An account that can sign. `address` in lower case."""

    address: str
    secret: bytes = field(repr=False)


def open_keystore(path: Path, password: str) -> Key:
    """The key in a file. Raises `InputError` for a file that is none, and for another password."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        secret = bytes(Account.decrypt(content, password))
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = "a file in the keystore format (version 3), and its password"
        raise InputError("can't open the key:", [Fault("--key", f"{path}: {error}", reason)]) from error
    return Key(str(Account.from_key(secret).address).lower(), secret)
