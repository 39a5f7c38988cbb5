"""Compiles CreditRegistry.vy into CreditRegistry.json, which is what ships and what `gridnet chain deploy` deploys.

Runs where Vyper 0.4.3 is installed: it wants an older cbor2 than gridnet, so not in gridnet's own environment.
    python contracts/onchain/build.py [FILE]
A test holds the file against its source.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import vyper

HERE = Path(__file__).resolve().parent
NAME = "CreditRegistry"


def build() -> str:
    """The artefact's text."""
    source = (HERE / f"{NAME}.vy").read_text(encoding="utf-8")
    made = vyper.compile_code(source, output_formats=["abi", "bytecode", "bytecode_runtime"])
    content = {
        "contract": NAME,
        "compiler": f"vyper {vyper.__version__}",
        "source_sha256": hashlib.sha256(source.encode()).hexdigest(),
        **made,
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / f"{NAME}.json"
    target.write_text(build(), encoding="utf-8")
