"""A node: any Ethereum JSON-RPC endpoint, through web3. It may vanish at any moment; every call then raises `ChainUnreachable`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import requests
from eth_account import Account
from eth_typing import ChecksumAddress, HexStr
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import TxParams

from gridnet.errors import Fault, InputError
from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable
from gridnet_contracts.chain.keystore import Key

TIMEOUT_S = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a transaction stands: mined in `block`, which has the hash `block_hash`."""

    transaction: str
    block: int
    block_hash: bytes
    succeeded: bool
    gas: int
    contract: str | None
    """What it deployed."""


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559, wei per gas: at most `most` in all, of which `tip` is for whoever makes the block."""

    most: int
    tip: int

    def outbidding(self, fresh: Fees) -> Fees:
        """What replaces a transaction with these fees: a quarter more (nodes ask for a tenth), or today's where that is more."""
        return Fees(max(self.most * 5 // 4 + 1, fresh.most), max(self.tip * 5 // 4 + 1, fresh.tip))


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction does: `payload` to a contract, or a deployment where `to` is None."""

    payload: str
    to: str | None


@dataclass(frozen=True, slots=True)
class Bid:
    """A call as a transaction: which one of the account, with how much gas, at what price, on which chain."""

    call: Call
    nonce: int
    gas: int
    fees: Fees
    chain_id: int


class Node:
    """An endpoint by URL. Raises `InputError` for a URL that is none."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError("can't reach a node:", [Fault("--rpc", repr(url), "http://HOST:PORT or https://..")])
        self.url = url
        self._web3 = Web3(HTTPProvider(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None))

    def contract(self, address: str, abi: list[dict[str, Any]]) -> Any:
        """web3's contract object; for `CreditContract` alone."""
        return self._web3.eth.contract(address=_checksum(address), abi=cast(Any, abi))

    def ask(self, question: Callable[[], T]) -> T:
        """The answer of a call through `contract`, errors as this package has them."""
        with self._own_errors():
            return question()

    def chain_id(self) -> int:
        """Which chain it is a node of."""
        with self._own_errors():
            return self._web3.eth.chain_id

    def head(self) -> int:
        """Number of the newest block."""
        with self._own_errors():
            return self._web3.eth.block_number

    def block_hash(self, number: int) -> bytes:
        """Of the block that has this number now."""
        with self._own_errors():
            return bytes(self._web3.eth.get_block(number)["hash"])

    def code(self, address: str) -> bytes:
        """What is deployed there."""
        with self._own_errors():
            return bytes(self._web3.eth.get_code(_checksum(address)))

    def mined(self, account: str) -> int:
        """How many transactions of an account were mined: the nonce that is due."""
        with self._own_errors():
            return self._web3.eth.get_transaction_count(_checksum(account), "latest")

    def fees(self) -> Fees:
        """What gets a transaction into one of the next blocks: twice the base fee, which then may double."""
        with self._own_errors():
            tip = self._web3.eth.max_priority_fee
            return Fees(2 * self._web3.eth.get_block("latest")["baseFeePerGas"] + tip, tip)

    def estimate(self, sender: str, call: Call) -> int:
        """Gas. Raises `ChainRefused` with the contract's reason where the call would fail."""
        asked: TxParams = {"from": _checksum(sender), "data": HexStr(call.payload)}
        if call.to is not None:
            asked["to"] = _checksum(call.to)
        with self._own_errors():
            return self._web3.eth.estimate_gas(asked)

    def broadcast(self, raw: bytes) -> None:
        """Hands in a signed transaction. Raises `ChainRefused`."""
        with self._own_errors():
            self._web3.eth.send_raw_transaction(raw)

    def receipt(self, transaction: str) -> Receipt | None:
        """None where it is in no block of the chain as it is now."""
        with self._own_errors():
            try:
                found = self._web3.eth.get_transaction_receipt(HexStr(transaction))
            except TransactionNotFound:
                return None
        deployed = found.get("contractAddress")
        return Receipt(
            transaction,
            found["blockNumber"],
            bytes(found["blockHash"]),
            found["status"] == 1,
            found["gasUsed"],
            None if deployed is None else str(deployed).lower(),
        )

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except ContractLogicError as error:
            raise ChainRefused(f"the contract refuses: {_reason(error)}") from error
        except Web3RPCError as error:
            raise ChainRefused(f"the node refuses: {_reason(error)}") from error
        except (requests.RequestException, Web3Exception, ValueError, KeyError, TypeError) as error:
            # A proxy before a node that is down answers with a page, or with JSON that lacks what a node says.
            raise ChainUnreachable(f"no answer from {self.url}: {type(error).__name__}; try again when it is back") from error


def signed(key: Key, bid: Bid) -> tuple[str, bytes]:
    """A transaction's hash and its signed bytes."""
    asked: dict[str, Any] = {
        "type": 2,
        "chainId": bid.chain_id,
        "nonce": bid.nonce,
        "gas": bid.gas,
        "maxFeePerGas": bid.fees.most,
        "maxPriorityFeePerGas": bid.fees.tip,
        "value": 0,
        "data": bid.call.payload,
    }
    if bid.call.to is not None:
        asked["to"] = _checksum(bid.call.to)
    made = Account.sign_transaction(asked, key.secret)
    return "0x" + bytes(made.hash).hex(), bytes(made.raw_transaction)


def _checksum(address: str) -> ChecksumAddress:
    return Web3.to_checksum_address(address)


def _reason(error: Web3Exception) -> str:
    said = error.rpc_response if isinstance(error, Web3RPCError) else None
    message = said.get("error") if said else None
    text = message.get("message") if isinstance(message, dict) else None
    return str(text or error.args[0] if error.args else error).removeprefix("execution reverted: ")[:200]
