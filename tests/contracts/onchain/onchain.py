"""The contract as the tests call it: names and plain values in, values and events out, whatever it runs on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from web3 import Web3

from gridnet.resources import onchain_dir
from gridnet_contracts.chain.batch import Credit, CreditBatch, Registry
from gridnet_contracts.chain.contract import deployment
from tests.contracts.onchain.engines import Engine, Outcome

ABI: list[dict[str, Any]] = json.loads((onchain_dir() / "CreditRegistry.json").read_text(encoding="utf-8"))["abi"]
CODEC = Web3().codec
INPUTS = {
    each["name"]: (function_abi_to_4byte_selector(each), [kind["type"] for kind in each["inputs"]])  # type: ignore[arg-type]
    for each in ABI
    if each["type"] == "function"
}
OUTPUTS = {each["name"]: [kind["type"] for kind in each["outputs"]] for each in ABI if each["type"] == "function"}
EVENTS = {event_abi_to_log_topic(each): each for each in ABI if each["type"] == "event"}  # type: ignore[arg-type]
CHECKPOINT = b"\x11" * 32
NOBODY = "0x" + "0" * 40


@dataclass
class Onchain:
    """A registry on an engine. The first account is admin, the second anchors."""

    engine: Engine
    address: str

    @property
    def registry(self) -> Registry:
        return Registry(self.engine.chain_id, self.address)

    def do(self, sender: str, name: str, *values: Any) -> Outcome:
        """A transaction."""
        return self.engine.transact(sender, self.address, payload(name, *values))

    def read(self, name: str, *values: Any) -> Any:
        """What a view gives."""
        outcome = self.engine.read(self.address, payload(name, *values))
        assert outcome.ok, outcome.reason
        [value] = CODEC.decode(OUTPUTS[name], outcome.output)
        return value

    def anchor(self, batch: CreditBatch, sender: str | None = None) -> Outcome:
        """Anchors a batch as it is."""
        anchorer = sender or self.engine.accounts[1]
        return self.do(anchorer, "anchor", batch.number, batch.root(), batch.size, batch.total_wh, CHECKPOINT)

    def claim(self, made: CreditBatch, leaf: int, **changes: Any) -> Outcome:
        """Claims a leaf, or what is changed of it, as the last account, who owns nothing."""
        return self.do(self.engine.accounts[-1], "claim", *claiming(made, leaf, **changes))

    def would_claim(self, made: CreditBatch, leaf: int, **changes: Any) -> bool:
        """Whether it would succeed; nothing is changed."""
        return self.engine.read(self.address, payload("claim", *claiming(made, leaf, **changes))).ok

    def balance(self, owner: str, batch: int) -> int:
        """Wh of a batch that an account holds."""
        return int(self.read("balanceOf", owner, batch))

    def sums(self, batch: int) -> tuple[int, int, int, int]:
        """Leaves, Wh retired, Wh anchored, Wh claimed of a batch."""
        word = int(self.read("sums", batch))
        return word >> 192, word >> 128 & 2**64 - 1, word >> 64 & 2**64 - 1, word & 2**64 - 1


def claiming(made: CreditBatch, leaf: int, **changes: Any) -> list[Any]:
    """The arguments of a claim."""
    credit = made.credits[leaf]
    said = {
        "batch": made.number,
        "index": leaf,
        "owner": credit.owner,
        "certificate": credit.chain_hash.to_bytes(32, "big"),
        "wh": credit.wh,
        "proof": made.proof(leaf),
    }
    return list((said | changes).values())


def payload(name: str, *values: Any) -> bytes:
    """A call's bytes."""
    selector, types = INPUTS[name]
    return selector + CODEC.encode(types, values)


def events(outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
    """What a transaction told, in order: names and values."""
    told = []
    for topics, content in outcome.logs:
        event = EVENTS[topics[0]]
        indexed = [each for each in event["inputs"] if each["indexed"]]
        plain = [each for each in event["inputs"] if not each["indexed"]]
        values = [CODEC.decode([each["type"]], topic)[0] for each, topic in zip(indexed, topics[1:], strict=True)]
        values += CODEC.decode([each["type"] for each in plain], content)
        told.append((event["name"], dict(zip([each["name"] for each in indexed + plain], values, strict=True))))
    return told


def deployed(engine: Engine) -> Onchain:
    """A new registry."""
    call = deployment(engine.accounts[0], engine.accounts[1])
    address, outcome = engine.deploy(engine.accounts[0], bytes.fromhex(call.payload.removeprefix("0x")))
    assert outcome.ok, outcome.reason
    return Onchain(engine, address.lower())


def batch_of(registry: Registry, size: int, number: int = 0, owners: tuple[str, ...] = ()) -> CreditBatch:
    """A batch of `size` credits, each of another amount, for `owners` in turn."""
    given = owners or ("0x" + "ab" * 20,)
    credits = [Credit(f"pv@{number}/{k}", (number << 128) + k + 1, given[k % len(given)].lower(), 1000 + k) for k in range(size)]
    return CreditBatch(registry, number, tuple(credits))
