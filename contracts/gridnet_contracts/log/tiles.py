"""The tree, stored as tiles: how it grows, and how roots and proofs are read from it (C2SP tlog-tiles, tile height 8).

Tile (level, index) holds up to 256 hashes of 32 bytes. Level 0 holds leaf hashes; each hash of a higher level is the root of
one full tile below it. Hashes between these levels are computed when asked for, so a store keeps about 1.004 hashes a leaf,
and a full tile never changes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Protocol

from gridnet.errors import InputError, LedgerError, VerificationError
from gridnet_contracts.log.canonical import HASH_BYTES
from gridnet_contracts.log.merkle import EMPTY_ROOT, NODE_PREFIX, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVEL_MAX = 63


class TileIncomplete(VerificationError):
    """A tile lacks hashes that a tree of the stated size must have."""


class WrongAppend(LedgerError):
    """Leaves were to be appended at another size than the store holds, which would fork the log."""


class Tiles(Protocol):
    """A store of tiles."""

    def read(self, level: int, index: int) -> bytes:
        """The concatenated hashes that tile (`level`, `index`) holds so far, 32 bytes each; b"" where there is none."""


class MemoryTiles:
    """Tiles in memory; `tiles` maps (level, index) to the content."""

    def __init__(self, tiles: Mapping[tuple[int, int], bytes] | None = None) -> None:
        self.tiles = dict(tiles or {})

    def read(self, level: int, index: int) -> bytes:
        """The tile's content so far, b"" where there is none."""
        return self.tiles.get((level, index), b"")

    def append(self, size: int, leaf_hashes: Sequence[bytes]) -> None:
        """Appends leaves to a tree of `size`; as `grow`, and stores what it gives."""
        self.tiles |= grow(self, size, leaf_hashes)


def grow(tiles: Tiles, size: int, leaf_hashes: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """The new whole content of every tile that changes when `leaf_hashes` (32 bytes each) follow the first `size` leaves.

    Raises `WrongAppend` where `tiles` don't end at `size`, and `InputError` for a hash of another length.
    """
    if any(len(each) != HASH_BYTES for each in leaf_hashes):
        raise InputError(f"a leaf hash has {HASH_BYTES} bytes; hash each entry with merkle.leaf_hash")
    changed: dict[tuple[int, int], bytes] = {}
    level, held, added = 0, size, b"".join(leaf_hashes)
    while added:
        first = held // TILE_WIDTH
        before = tiles.read(level, first)
        if len(before) != held % TILE_WIDTH * HASH_BYTES:
            raise WrongAppend(
                f"appending at size {size}: tile {level}/{first} holds {len(before) // HASH_BYTES} hashes; read the size again",
                expected=held % TILE_WIDTH,
                got=len(before) // HASH_BYTES,
            )
        row = before + added
        contents = [row[start : start + TILE_BYTES] for start in range(0, len(row), TILE_BYTES)]
        changed.update({(level, first + place): content for place, content in enumerate(contents)})
        added = b"".join(_reduced(content) for content in contents if len(content) == TILE_BYTES)
        level, held = level + 1, first
    return changed


def root(tiles: Tiles, size: int) -> bytes:
    """The root (32 bytes) of the first `size` leaves; raises `TileIncomplete` where `tiles` hold fewer."""
    return _Reading(tiles).span(0, size) if size else EMPTY_ROOT


def inclusion(tiles: Tiles, index: int, size: int) -> list[bytes]:
    """The proof that leaf `index` stands in the tree of the first `size` leaves (RFC 6962, section 2.1.1), leaf's sibling first.

    Raises `InputError` for an index outside the tree, `TileIncomplete` where `tiles` hold fewer leaves.
    """
    if not 0 <= index < size:
        raise InputError(f"leaf {index} lies outside a tree of {size} leaves; ask for 0 to size - 1")
    spans: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return _hashes(tiles, spans)


def consistency(tiles: Tiles, old_size: int, new_size: int) -> list[bytes]:
    """The proof that the first `new_size` leaves begin with the first `old_size` (RFC 6962, section 2.1.2).

    Empty where `old_size` is 0 or equals `new_size`. Raises `InputError` for sizes out of order, `TileIncomplete` where
    `tiles` hold fewer leaves.
    """
    if not 0 <= old_size <= new_size:
        raise InputError(f"no tree of {new_size} leaves begins with {old_size}; the older size comes first")
    if old_size == 0:
        return []
    spans: list[tuple[int, int]] = []
    start, end = 0, new_size
    while old_size < end:
        middle = _middle(start, end)
        if old_size <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:  # else the old tree is one whole subtree, whose root the verifier has
        spans.append((start, end))
    return _hashes(tiles, spans)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Where a tile of `width` hashes lies below the log's address: `tile/0/x001/x234/067`, with `.p/<width>` if partial."""
    if not 0 <= level <= LEVEL_MAX:
        raise InputError(f"tile level {level}: levels run from 0 to {LEVEL_MAX}")
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Where the bundle with the entries of tile (0, `index`) lies below the log's address."""
    return f"tile/entries/{_numbered(index, width)}"


class _Reading:
    """One question to a store: reads each tile once and forgets all with the answer."""

    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles
        self._read: dict[tuple[int, int], bytes] = {}

    def span(self, start: int, end: int) -> bytes:
        """The Merkle hash of leaves [start, end), of which `start` is a multiple of the largest power of two in the length."""
        peaks: list[bytes] = []
        while start < end:
            height = (end - start).bit_length() - 1
            peaks.append(self._subtree(height, start >> height))
            start += 1 << height
        reached = peaks.pop()
        while peaks:
            reached = node_hash(peaks.pop(), reached)
        return reached

    def _subtree(self, height: int, position: int) -> bytes:
        """The root of the complete subtree of 2^height leaves at `position` among those of its height."""
        level, inside = divmod(height, TILE_HEIGHT)
        index, first = divmod(position << inside, TILE_WIDTH)
        hashes = self._tile(level, index)[first * HASH_BYTES : (first + (1 << inside)) * HASH_BYTES]
        if len(hashes) != HASH_BYTES << inside:
            raise TileIncomplete(
                f"tile {tile_path(level, index)} lacks hash {first + len(hashes) // HASH_BYTES}; fetch or export it again"
            )
        return _reduced(hashes)

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._read:
            self._read[level, index] = self._tiles.read(level, index)
        return self._read[level, index]


def _hashes(tiles: Tiles, spans: list[tuple[int, int]]) -> list[bytes]:
    """The hashes of `spans`, which were found from the root down and stand in a proof from the leaf up."""
    reading = _Reading(tiles)
    return [reading.span(start, end) for start, end in reversed(spans)]


def _reduced(hashes: bytes) -> bytes:
    """The root over a power of two of concatenated hashes."""
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([sha256(NODE_PREFIX + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


def _middle(start: int, end: int) -> int:
    """Where RFC 6962 parts leaves [start, end): after the largest power of two below their number."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _numbered(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise InputError(f"no tile {index} of width {width}; indices start at 0, widths run from 1 to {TILE_WIDTH}")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
