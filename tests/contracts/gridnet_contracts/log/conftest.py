"""What the tests of the log share: the tree as RFC 6962 defines it, word by word, and keys that never change."""

from __future__ import annotations

from hashlib import sha256

import pytest

from gridnet_contracts.log.keys import Algorithm, SignerKey


class NaiveTree:
    """RFC 6962, section 2.1, as recursive as it is written there; it shares no line with the code under test."""

    def __init__(self, entries: list[bytes]) -> None:
        self.leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
        self._known: dict[tuple[int, int], bytes] = {}

    def mth(self, start: int, end: int) -> bytes:
        """MTH(D[start:end])"""
        if (start, end) not in self._known:
            if end == start:
                made = sha256().digest()
            elif end - start == 1:
                made = self.leaves[start]
            else:
                k = start + self._below(end - start)
                made = sha256(b"\x01" + self.mth(start, k) + self.mth(k, end)).digest()
            self._known[start, end] = made
        return self._known[start, end]

    def root(self, size: int) -> bytes:
        return self.mth(0, size)

    def path(self, m: int, start: int, end: int) -> list[bytes]:
        """PATH(m, D[start:end]), `m` counted from `start`"""
        n = end - start
        if n == 1:
            return []
        k = self._below(n)
        if m < k:
            return [*self.path(m, start, start + k), self.mth(start + k, end)]
        return [*self.path(m - k, start + k, end), self.mth(start, start + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[n]), which the RFC defines for 0 < m < n, and nothing to prove beyond"""
        return self._subproof(m, 0, n, True) if 0 < m < n else []

    def _subproof(self, m: int, start: int, end: int, whole: bool) -> list[bytes]:
        n = end - start
        if m == n:
            return [] if whole else [self.mth(start, end)]
        k = self._below(n)
        if m <= k:
            return [*self._subproof(m, start, start + k, whole), self.mth(start + k, end)]
        return [*self._subproof(m - k, start + k, end, False), self.mth(start, start + k)]

    @staticmethod
    def _below(n: int) -> int:
        """The largest power of two smaller than `n`"""
        k = 1
        while 2 * k < n:
            k *= 2
        return k


@pytest.fixture(scope="session")
def naive() -> NaiveTree:
    """A tree of 700 leaves, entry i being the text of i."""
    return NaiveTree([str(number).encode() for number in range(700)])


@pytest.fixture(scope="session")
def tree_of() -> type[NaiveTree]:
    """Makes a naive tree of other entries."""
    return NaiveTree


@pytest.fixture(scope="session")
def log_key() -> SignerKey:
    return SignerKey("example.org/log", b"\x01" * 32)


@pytest.fixture(scope="session")
def witness_keys() -> tuple[SignerKey, ...]:
    return tuple(SignerKey(f"witness{n}.example", bytes([n]) * 32, Algorithm.COSIGNATURE) for n in (11, 12, 13))
