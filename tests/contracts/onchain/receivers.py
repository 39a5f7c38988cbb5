"""Contracts that stand for other people's, in a few bytes of code each."""

from __future__ import annotations

from tests.contracts.onchain.engines import Engine

ONE, MANY = bytes.fromhex("f23a6e61"), bytes.fromhex("bc197c81")
"""What a contract answers that can hold credits: of one batch, of several."""


def answering(engine: Engine, word: bytes, size: int = 32) -> str:
    """A contract that answers every call with `word` and zeros, `size` bytes in all."""
    runtime = b"\x7f" + word.ljust(32, b"\0") + bytes([0x5F, 0x52, 0x60, size, 0x5F, 0xF3])  # push it, store it, return
    return _standing(engine, runtime)


def recording(engine: Engine, word: bytes) -> str:
    """A contract that answers every call with `word` and writes what it was called with into the log, without a topic."""
    logged = bytes.fromhex("365f5f37365fa0")  # copy the call's bytes, log them
    return _standing(engine, logged + b"\x7f" + word.ljust(32, b"\0") + bytes.fromhex("5f5260205ff3"))


def passing_on(engine: Engine, to: str) -> str:
    """A contract that passes every call on to `to`, as its own, and answers as one that can hold credits."""
    called = bytes.fromhex("365f5f375f5f365f5f73") + bytes.fromhex(to[2:]) + bytes.fromhex("5af150")  # copy, call, drop
    runtime = called + b"\x7f" + ONE.ljust(32, b"\0") + bytes.fromhex("5f5260205ff3")
    return _standing(engine, runtime)


def _standing(engine: Engine, runtime: bytes) -> str:
    start = bytes([0x60, len(runtime), 0x60, 11, 0x5F, 0x39, 0x60, len(runtime), 0x5F, 0xF3, 0x00])
    address, outcome = engine.deploy(engine.accounts[0], start + runtime)
    assert outcome.ok
    return address.lower()
