"""What the tests of the chain client are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from gridnet_contracts.chain.batch import Registry
from gridnet_contracts.chain.contract import CreditContract, deployment
from gridnet_contracts.chain.sender import Sender
from gridnet_contracts.ledger.rules import certificates
from tests.contracts.gridnet_contracts.ledger.builders import certificate

SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
"""The first of the accounts that every development node makes: no secret."""
KEY = ("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", SECRET)
OWNER, OTHER = KEY[0], "0x" + "ab" * 20
SOMEWHERE = Registry(31337, "0x" + "12" * 20)


def produced(k: int) -> str:
    """The name of the certificate of the k-th quarter-hour."""
    return certificate(15 * k, 0, 1000 + k)


def gifts(*numbers: int, owner: str = OWNER) -> list[tuple[str, str]]:
    """Certificates for an owner on the chain."""
    return [(produced(k), owner) for k in numbers]


def registry_on(sender: Sender) -> CreditContract:
    """A new registry."""
    receipt = sender.send(deployment(sender.key.address, sender.key.address))
    assert receipt.contract is not None
    return CreditContract(sender.node, Registry(sender.node.chain_id(), receipt.contract))


@contextmanager
def without_the_rule_on_chains() -> Iterator[None]:
    """The ledger as who holds its seal may have altered it: what was locked for a chain is like any other lock."""
    with patch.object(certificates, "CHAIN", "no such party"):
        yield


@contextmanager
def hand_in(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a ledger's file that no trigger stops: below all rules."""
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        connection.commit()
