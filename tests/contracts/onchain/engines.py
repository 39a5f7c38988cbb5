"""The machines that the contract's tests run on: an embedded EVM in an environment of its own, and a real node, anvil.

Both are skipped, and say so, where they can't be had: the environment needs a package index once, anvil its binary (on the path, in
`$GRIDNET_ANVIL`, or below `.anvil`, where `npm install --prefix .anvil @foundry-rs/anvil-linux-amd64@1.7.1` puts it).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import requests

from gridnet_contracts.log.durable import locked

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SOURCE = ROOT / "contracts" / "onchain" / "CreditRegistry.vy"
REQUIREMENTS = HERE / "requirements.txt"
ACCOUNTS = [f"0x{k:040x}" for k in range(0xA11CE, 0xA11CE + 8)]
BRANCHES = os.environ.get("GRIDNET_CONTRACT_BRANCHES")
"""A file: where it is set, the embedded EVM says there, when it ends, which ways the contract's conditional jumps went."""


class Missing(Exception):
    """A machine that can't be had here, and why."""


@dataclass(frozen=True)
class Outcome:
    """What a transaction came to. `logs`: topics and content."""

    ok: bool
    reason: str
    gas: int
    logs: tuple[tuple[tuple[bytes, ...], bytes], ...]
    output: bytes


class Engine(Protocol):
    """A chain."""

    chain_id: int
    accounts: list[str]

    def deploy(self, sender: str, code: bytes) -> tuple[str, Outcome]:
        """A new contract's address."""
        ...

    def transact(self, sender: str, to: str, payload: bytes, value: int = 0) -> Outcome:
        """A transaction, mined at once; `value`: what it pays, in wei."""
        ...

    def read(self, to: str, payload: bytes) -> Outcome:
        """A call that changes nothing."""
        ...


def environment() -> Path:
    """The interpreter of the environment with titanoboa, made once per list of requirements. Raises `Missing`."""
    content = REQUIREMENTS.read_bytes()
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()[:12]
    folder = Path(os.environ["GRIDNET_CACHE"]) / f"evm-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        ready, python = folder / ".ready", folder / "bin" / "python"
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make = [sys.executable, "-m", "venv", str(folder)]
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            for command in (make, [*install, "-r", str(REQUIREMENTS)]):
                done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
                if done.returncode:
                    raise Missing(f"no embedded EVM: {' '.join(command[1:4])} failed: {done.stderr.strip().splitlines()[-1:]}")
            ready.touch()
    return python


class Embedded:
    """The worker in the environment of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.accounts = ACCOUNTS
        self.chain_id = 0
        self.set_chain(31337)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One question to the worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the embedded EVM has ended"
        found: dict[str, Any] = json.loads(answer)
        return found

    def set_chain(self, chain_id: int) -> None:
        """Makes this another chain, with all that stands on it."""
        self.ask("set_chain", chain_id=chain_id)
        self.chain_id = chain_id

    def deploy(self, sender: str, code: bytes) -> tuple[str, Outcome]:
        """A new contract's address."""
        answer = self.ask("deploy", sender=sender, code=code.hex())
        return answer["address"], _outcome(answer)

    def transact(self, sender: str, to: str, payload: bytes, value: int = 0) -> Outcome:
        """A transaction, mined at once."""
        return _outcome(self.ask("transact", sender=sender, to=to, payload=payload.hex(), value=value))

    def read(self, to: str, payload: bytes) -> Outcome:
        """A call that changes nothing."""
        return _outcome(self.ask("read", to=to, payload=payload.hex()))


def _outcome(answer: dict[str, Any]) -> Outcome:
    logs = tuple((tuple(map(bytes.fromhex, each["topics"])), bytes.fromhex(each["payload"])) for each in answer["logs"])
    return Outcome(answer["ok"], answer["reason"], answer["gas"], logs, bytes.fromhex(answer["output"]))


@contextmanager
def embedded() -> Iterator[Embedded]:
    """Raises `Missing`."""
    python = str(environment())
    command = [python, str(HERE / "evm_worker.py"), str(SOURCE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        machine = Embedded(process)
        yield machine
        if BRANCHES:
            Path(BRANCHES).write_text(json.dumps(machine.ask("branches")["branches"]), encoding="utf-8")
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def anvil_binary() -> Path:
    """Raises `Missing`."""
    named = os.environ.get("GRIDNET_ANVIL") or shutil.which("anvil")
    path = Path(named) if named else ROOT / ".anvil/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    if not path.is_file():
        raise Missing("no anvil: install it by npm (see tests/contracts/onchain/engines.py), or name it in GRIDNET_ANVIL")
    return path


class Anvil:
    """A real node, over JSON-RPC."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self._session = requests.Session()
        self.url = url
        self.process = process
        self.accounts: list[str] = []
        self.chain_id = 0

    def ask(self, method: str, *parameters: Any) -> Any:
        """The node's answer; `RuntimeError` with its words where it refuses."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = self._session.post(self.url, json=body, timeout=20).json()
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(200):
            try:
                self.chain_id = int(self.ask("eth_chainId"), 16)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        self.accounts = self.ask("eth_accounts")[:8]

    def deploy(self, sender: str, code: bytes) -> tuple[str, Outcome]:
        """A new contract's address."""
        receipt = self._send({"from": sender, "data": f"0x{code.hex()}"})
        return receipt["contractAddress"] or "", self._outcome(receipt, "")

    def transact(self, sender: str, to: str, payload: bytes, value: int = 0) -> Outcome:
        """A transaction, mined at once."""
        asked = {"from": sender, "to": to, "data": f"0x{payload.hex()}", "value": hex(value)}
        reason = ""
        try:
            self.ask("eth_call", asked, "latest")
        except RuntimeError as error:
            reason = str(error).removeprefix("execution reverted: ")
        return self._outcome(self._send(asked), reason)

    def read(self, to: str, payload: bytes) -> Outcome:
        """A call that changes nothing."""
        try:
            output = self.ask("eth_call", {"to": to, "data": f"0x{payload.hex()}"}, "latest")
        except RuntimeError as error:
            return Outcome(False, str(error).removeprefix("execution reverted: "), 0, (), b"")
        return Outcome(True, "", 0, (), bytes.fromhex(output[2:]))

    def _send(self, asked: dict[str, str]) -> dict[str, Any]:
        transaction = self.ask("eth_sendTransaction", asked | {"gas": hex(8_000_000)})
        for _ in range(400):
            receipt: dict[str, Any] | None = self.ask("eth_getTransactionReceipt", transaction)
            if receipt is not None:
                return receipt
            time.sleep(0.005)
        raise RuntimeError(f"{transaction} was not mined")

    @staticmethod
    def _outcome(receipt: dict[str, Any], reason: str) -> Outcome:
        logs = tuple(
            (tuple(bytes.fromhex(topic[2:]) for topic in each["topics"]), bytes.fromhex(each["data"][2:]))
            for each in receipt["logs"]
        )
        return Outcome(receipt["status"] == "0x1", reason, int(receipt["gasUsed"], 16), logs, b"")


@contextmanager
def anvil(*options: str) -> Iterator[Anvil]:
    """A node of its own on a free port. Raises `Missing`."""
    binary = anvil_binary()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([str(binary), "--port", str(port), "--silent", *options]) as process:
        node = Anvil(f"http://127.0.0.1:{port}", process)
        try:
            node.wait()
            yield node
        finally:
            process.kill()
