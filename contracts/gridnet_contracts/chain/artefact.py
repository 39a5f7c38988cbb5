"""The contract as it ships: what its source compiles to. Compiling needs Vyper, which can't share an environment with gridnet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from gridnet.resources import onchain_dir


@dataclass(frozen=True)
class Artefact:
    """`bytecode` deploys it, `runtime` is what then stands on the chain."""

    abi: list[dict[str, Any]]
    bytecode: str
    runtime: bytes
    source_sha256: str


@cache
def artefact() -> Artefact:
    """The shipped `CreditRegistry`."""
    content = json.loads((onchain_dir() / "CreditRegistry.json").read_text(encoding="utf-8"))
    runtime = bytes.fromhex(content["bytecode_runtime"].removeprefix("0x"))
    return Artefact(content["abi"], content["bytecode"], runtime, content["source_sha256"])
