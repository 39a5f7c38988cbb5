"""Every conditional jump of the contract's runtime code goes both ways in the tests, on bytecode: but for the compiler's own checks
that no transaction can fail, each with its reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.contracts.onchain.engines import HERE, ROOT, SOURCE, Missing, embedded, environment
from tests.contracts.onchain.onchain import deployed

TESTS = [str(HERE / name) for name in ("test_registry.py", "test_token.py", "test_calls.py")]


class OneWay(NamedTuple):
    """A check that nothing can fail: the line before it begins with `code`, and the compiler calls it `check`."""

    code: str
    check: str
    count: int
    reason: str


IDS, OWNERS = "DynArray[uint256, 64] bounds check", "DynArray[address, 64] bounds check"
DECODED = "a list that was read from calldata is no longer than it may be"
WITHIN = "k is below the length of the one list, and the other is as long"
OUT_OF_GAS = "the call of SHA-256 fails for want of gas alone, and what is left then is not enough for the jump"
ONE_WAY = [
    OneWay("self.batches = batch + 1", "safeadd", 1, "2^256 batches"),
    OneWay("assert wh <= ((sums >> 64) & LOW)", "safesub", 1, "no more was claimed than was anchored, as this line sees to"),
    OneWay("last: uint256 = (sums >> 192) - 1", "safesub", 1, "an index is below the size, so that is not 0"),
    OneWay("reached: bytes32 = sha256", "", 1, OUT_OF_GAS),
    OneWay("reached = sha256", "", 2, OUT_OF_GAS),
    OneWay("def claim(", "", 1, DECODED),
    OneWay("self.sums[batch] = sums + wh", "safeadd", 1, "size and sums are 224 bits"),
    OneWay("self.sums[id] += wh << 128", "safeadd", 1, "size and sums are 224 bits"),
    OneWay("for k: uint256 in range(len(ids)", "range() bounds check", 1, DECODED),
    OneWay("self._take(sender, ids[k]", IDS, 2, WITHIN),
    OneWay("self._give(receiver, ids[k]", IDS, 2, WITHIN),
    OneWay("log TransferBatch", "", 2, DECODED),
    OneWay("answer: bytes4 = extcall Receiver(receiver).onERC1155BatchReceived", "", 2, DECODED),
    OneWay("def balanceOfBatch(", "", 1, "it follows a check of the same length"),
    OneWay("for k: uint256 in range(len(owners)", "range() bounds check", 1, DECODED),
    OneWay("amounts.append", OWNERS, 1, WITHIN),
    OneWay("amounts.append", IDS, 2, f"{WITHIN}; and one is appended for each of 64 at most"),
    OneWay("return amounts", "", 1, "one was appended for each of 64 at most"),
    OneWay("self.shares[owner][id >> 2] += wh", "safeadd", 1, "four amounts below 2^64 are 256 bits"),
    OneWay("self.shares[owner][id >> 2] = word - ", "safesub", 1, "the line before sees that so much is held"),
]


@pytest.fixture(scope="module")
def jumps(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, tuple[bool, ...]]]:
    """Every jump after the contract's tests ran on one embedded EVM: the line before it, its check, which ways it went."""
    try:
        environment()
    except Missing as error:
        pytest.skip(str(error))
    told = tmp_path_factory.mktemp("branches") / "branches.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    asked = kept | {"GRIDNET_CONTRACT_BRANCHES": str(told), "GRIDNET_ANVIL": os.devnull}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=ROOT, env=asked, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return _read(told)


def _read(told: Path) -> list[tuple[str, str, tuple[bool, ...]]]:
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    branches = json.loads(told.read_text(encoding="utf-8"))
    return [(lines[each["line"] - 1].strip(), each["check"], tuple(each["ways"])) for each in branches]


def test_every_branch_goes_both_ways_but_those_that_nothing_can_fail(jumps: list[tuple[str, str, tuple[bool, ...]]]) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for line, check, ways in jumps:
        if ways != (False, True):
            assert ways == (False,), (line, check, ways)
            code = next((each.code for each in ONE_WAY if each.check == check and line.startswith(each.code)), line)
            found[code, check] += 1
    assert found == {(each.code, each.check): each.count for each in ONE_WAY}


def test_what_did_not_run_was_not_seen(jumps: list[tuple[str, str, tuple[bool, ...]]]) -> None:
    with embedded() as fresh:
        assert [each["ways"] for each in fresh.ask("branches")["branches"]] == [[]] * len(jumps)
        assert deployed(fresh).read("batches") == 0
        seen = [each for each in fresh.ask("branches")["branches"] if each["ways"]]
    assert 1 < len(seen) < 10
    assert all(len(each["ways"]) == 1 for each in seen)
    assert len(jumps) > 150
