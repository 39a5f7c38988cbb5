"""What a symbolic execution of the bytecode finds: Mythril (MIT), which looks for ways to destroy the contract, to make it call or
run what the caller names, to fail an assertion, and for other known weaknesses. It looks for a minute or two. What it finds is so;
what it does not find may still be.

It reads no code newer than Ethereum's of 2023, and no tables of jumps: the source is compiled for it without both.
`make conformance` makes its environment; by hand: `python3 -m venv .mythril`, then
`.mythril/bin/pip install --no-deps -r tests/contracts/onchain/mythril.txt`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.contracts.onchain.engines import ROOT, SOURCE, Missing, environment

pytestmark = pytest.mark.conformance
MYTH = Path(os.environ.get("GRIDNET_MYTHRIL") or ROOT / ".mythril" / "bin" / "myth")
READABLE = ("# pragma evm-version cancun\n", "# pragma evm-version paris\n# pragma optimize none\n")
BUDGET_S = 100
"""For an analysis. On an idle core it covers four fifths of the contract's instructions, on a busy one less."""
HOLE = """# pragma version 0.4.3
# pragma evm-version paris
# pragma optimize none
@external
def leave(to: address):
    selfdestruct(to)
"""


def found_in(source: str, folder: Path) -> set[str]:
    """The titles of what is found in a contract."""
    if not MYTH.is_file():
        pytest.skip(f"no Mythril at {MYTH}: see tests/contracts/onchain/test_analysis.py for its installation")
    try:
        vyper = environment().parent / "vyper"
    except Missing as error:
        pytest.skip(str(error))
    (folder / "contract.vy").write_text(source, encoding="utf-8")
    made = _output([str(vyper), "-f", "bytecode_runtime", str(folder / "contract.vy")], folder, 60)
    (folder / "contract.hex").write_text(made.strip().removeprefix("0x"), encoding="utf-8")
    limits = ["-t", "1", "-b", "1", "--execution-timeout", str(BUDGET_S), "--solver-timeout", "30000", "--no-onchain-data"]
    command = [str(MYTH), "analyze", "-f", str(folder / "contract.hex"), "--bin-runtime", "-o", "json", *limits]
    told = json.loads(_output(command, folder, 6 * BUDGET_S))
    assert told["success"], told["error"]
    return {each["title"] for each in told["issues"]}


def _output(command: list[str], home: Path, seconds: int) -> str:
    own = os.environ | {"HOME": str(home), "MYTHRIL_DIR": str(home)}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.stdout, done.stderr[-1000:]
    return done.stdout


def test_a_hole_that_was_made_is_found(tmp_path: Path) -> None:
    assert "Unprotected Selfdestruct" in found_in(HOLE, tmp_path)


def test_none_is_found_in_the_contract(tmp_path: Path) -> None:
    source = SOURCE.read_text(encoding="utf-8")
    assert source.count(READABLE[0]) == 1
    assert found_in(source.replace(*READABLE), tmp_path) == set()
