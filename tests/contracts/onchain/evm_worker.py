"""An EVM (py-evm, through titanoboa) that answers on standard output what standard input asks, one JSON object a line.

It runs in an environment of its own, where nothing of gridnet is: titanoboa and Vyper ask for other versions of what gridnet needs.
"""

from __future__ import annotations

import json
import sys
import warnings
from bisect import bisect
from itertools import pairwise
from typing import Any

warnings.simplefilter("ignore")

import boa  # noqa: E402  (it warns while it is imported)
from boa.util.abi import Address, abi_decode  # noqa: E402

INTRINSIC = 21_000
GAS = 16_777_216
"""What one transaction may use at most on Ethereum (EIP-7825)."""
JUMPI, PUSH0, PUSH32 = 0x57, 0x5F, 0x7F


class Branches:
    """Which way every conditional jump of a contract's runtime code went, whoever called it."""

    def __init__(self, source: Any) -> None:
        self._code = source.bytecode_runtime
        self._jumps = self._conditional(source.assembly_runtime.count("JUMPI"))
        self._nodes = source.source_map["pc_raw_ast_map"]
        self._known = sorted(self._nodes)
        self._checks = source.source_map["error_map"]
        self._seen: set[tuple[int, bool]] = set()

    def _conditional(self, count: int) -> list[int]:
        """Where the first `count` of them stand: what comes after the code are tables, whose bytes look like jumps."""
        found, place = [], 0
        while len(found) < count:
            code = self._code[place]
            if code == JUMPI:
                found.append(place)
            place += 1 + max(code - PUSH0, 0) * (code <= PUSH32)
        return found

    def follow(self, computation: Any) -> None:
        """Takes in a call with all that it called."""
        for each in computation.children:
            self.follow(each)
        if computation.code._raw_code_bytes == self._code:
            trace = computation.code._trace
            steps = set(pairwise(trace))
            self._seen |= {(place, after != place + 1) for place, after in steps if self._code[place] == JUMPI}

    def told(self) -> list[dict[str, Any]]:
        """Every jump: the line of the last code before it that has one, what the compiler says it checks, which ways it went."""
        return [
            {
                "line": self._nodes[self._known[bisect(self._known, place) - 1]].lineno,
                "check": self._checks.get(place, ""),
                "ways": sorted(taken for at, taken in self._seen if at == place),
            }
            for place in self._jumps
        ]


class Worker:
    """One chain."""

    def __init__(self, source: str) -> None:
        self._source = boa.load_partial(source)
        self._branches = Branches(self._source.compiler_data)

    def compile(self) -> dict[str, Any]:
        """What the source compiles to."""
        return {"bytecode": self._source.compiler_data.bytecode.hex(), "runtime": self._source.compiler_data.bytecode_runtime.hex()}

    def branches(self) -> dict[str, Any]:
        """Which ways the source's runtime code went so far."""
        return {"branches": self._branches.told()}

    def set_chain(self, chain_id: int) -> dict[str, Any]:
        """Makes this the chain with another id."""
        boa.env.evm.patch.chain_id = chain_id
        return {}

    def deploy(self, sender: str, code: str) -> dict[str, Any]:
        """A new contract."""
        raw = bytes.fromhex(code)
        self._begin(sender)
        address, computation = boa.env.deploy(sender=Address(sender), bytecode=raw, gas=GAS)
        return self._outcome(computation, raw) | {"address": str(address).lower()}

    def transact(self, sender: str, to: str, payload: str, value: int) -> dict[str, Any]:
        """A call that changes what it changes, for whom a transaction would be charged."""
        raw = bytes.fromhex(payload)
        boa.env.set_balance(Address(sender), value)
        self._begin(sender, to)
        computation = boa.env.execute_code(Address(to), Address(sender), data=raw, gas=GAS, value=value)
        self._branches.follow(computation)
        return self._outcome(computation, raw)

    def read(self, to: str, payload: str) -> dict[str, Any]:
        """A call whose changes are forgotten."""
        raw = bytes.fromhex(payload)
        computation = boa.env.execute_code(Address(to), data=raw, gas=GAS, simulate=True)
        self._branches.follow(computation)
        return self._outcome(computation, raw)

    @staticmethod
    def _begin(*warm: str) -> None:
        """Forgets what the last transaction looked at, as the start of the next one does: it is paid for again."""
        state = boa.env.evm.vm.state
        state.lock_changes()
        state.clear_transient_storage()
        for each in warm:
            state.mark_address_warm(Address(each).canonical_address)
        state.mark_address_warm((2).to_bytes(20, "big"))  # SHA-256, as every precompiled contract

    @staticmethod
    def _outcome(computation: Any, raw: bytes) -> dict[str, Any]:
        paid = INTRINSIC + sum(16 if byte else 4 for byte in raw) + computation.get_gas_used()
        logs = [
            {"topics": [topic.to_bytes(32, "big").hex() for topic in topics], "payload": content.hex()}
            for _, topics, content in (computation.get_log_entries() if computation.is_success else ())
        ]
        output = bytes(computation.output)
        reason = abi_decode("(string)", output[4:])[0] if computation.is_error and output[:4].hex() == "08c379a0" else ""
        return {"ok": computation.is_success, "reason": reason, "gas": paid, "logs": logs, "output": output.hex()}


def main() -> None:
    """Answers until standard input ends."""
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(worker, asked.pop("do"))(**asked)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
