"""What ships is what the source compiles to, and stays within what a chain takes."""

from __future__ import annotations

import hashlib

from gridnet_contracts.chain.artefact import artefact
from tests.contracts.onchain.engines import SOURCE, Embedded

LARGEST_CODE = 24_576
"""Bytes of a contract at most (EIP-170)."""


def test_the_artefact_is_the_sources() -> None:
    assert artefact().source_sha256 == hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def test_the_artefact_is_what_the_compiler_makes(evm: Embedded) -> None:
    made = evm.ask("compile")
    assert artefact().bytecode.removeprefix("0x") == made["bytecode"]
    assert artefact().runtime.hex() == made["runtime"]


def test_the_contract_is_one_short_file() -> None:
    source = SOURCE.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 200
    assert not [
        line for line in source.splitlines() if line.startswith(("import ", "from ", "implements:", "uses:", "initializes:"))
    ]
    assert len(artefact().runtime) <= LARGEST_CODE
