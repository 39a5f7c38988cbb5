"""A ledger with certificates, and an account that pays on a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnet_contracts.chain.contract import CreditContract
from gridnet_contracts.chain.keystore import Key
from gridnet_contracts.chain.node import Node
from gridnet_contracts.chain.sender import Patience, Sender
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.chain.parts import KEY, registry_on
from tests.contracts.gridnet_contracts.ledger.builders import FOUND, NOW, ORIGIN, do, issue, solar
from tests.contracts.onchain.engines import Anvil

PRODUCED = 8


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """`ann` owns eight certificates of 1000 to 1007 Wh."""
    opened = Ledger.found(f"sqlite:///{tmp_path}/ledger.db", Seal.make(tmp_path / "seal", ORIGIN), FOUND, NOW)
    do(opened, solar(), *(issue(15 * k, wh=1000 + k) for k in range(PRODUCED)))
    yield opened
    opened.close()


@pytest.fixture
def sender(node: Anvil) -> Sender:
    """An account that waits for nothing longer than it must."""
    patience = Patience(confirmations=1, poll_s=0.02, outbid_s=1.0, give_up_s=10.0)
    return Sender(Node(node.url), Key(*KEY), patience)


@pytest.fixture
def contract(sender: Sender) -> CreditContract:
    """A new registry, the account admin and anchorer."""
    return registry_on(sender)
