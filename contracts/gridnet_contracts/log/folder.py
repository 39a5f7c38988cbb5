"""A log as a folder of files that any static file server can serve and any C2SP client can read (tlog-tiles).

`tile/<level>/...` holds hashes, `tile/entries/...` the entries themselves in bundles of up to 256, each entry after its length
in two bytes, big-endian. The last tile of a level is partial and has its width in its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from gridnet.errors import InputError, LedgerError, VerificationError
from gridnet_contracts.log import durable
from gridnet_contracts.log.canonical import HASH_BYTES
from gridnet_contracts.log.checkpoint import Head
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.tiles import (
    LEVEL_MAX,
    TILE_HEIGHT,
    TILE_WIDTH,
    MemoryTiles,
    TileIncomplete,
    Tiles,
    entries_path,
    root,
    tile_path,
)

ENTRY_BYTES_MAX = 2**16 - 1
_LENGTH_BYTES = 2
# Whole bundles at a time, so that checking a long log takes little memory.
_BATCH = 64 * TILE_WIDTH


class EntryTooLong(LedgerError):
    """An entry does not fit the two bytes that hold its length."""


class FolderDamaged(VerificationError):
    """A log's folder does not hold what its checkpoint says."""


class FolderTiles:
    """The tiles in `folder` of a log of `size` leaves; `size` tells how wide the last tile of each level is.

    Where a partial tile is gone because the full one is there (a log may delete it), the full one is read.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size

    def read(self, level: int, index: int) -> bytes:
        """The tile's hashes at this size, b"" where there are none; raises `TileIncomplete` for a missing or wrong file."""
        width = _width(self._size, level, index)
        if width == 0:
            return b""
        path, wide, content = _found(self._folder, width, partial(tile_path, level, index))
        if content is None:
            raise TileIncomplete(f"{path} is missing; fetch or export it again")
        if len(content) != wide * HASH_BYTES:
            raise TileIncomplete(f"{path}: {len(content)} bytes where {wide} hashes are due; fetch or export it again")
        return content[: width * HASH_BYTES]


def file_paths(size: int) -> Iterator[str]:
    """The paths of every tile and entry bundle of a log of `size` leaves, partial ones at their width."""
    for level, index, width in _tiles(size):
        yield tile_path(level, index, width)
        if level == 0:
            yield entries_path(index, width)


def write_tiles(folder: Path, tiles: Tiles, size: int, since: int = 0) -> None:
    """Writes the tiles of the first `size` leaves below `folder`; those that `since` leaves had made full are there already.

    Raises `TileIncomplete` where `tiles` hold fewer leaves, `OSError` where the disk fails. Write the checkpoint after it.
    """
    for level, index, width in _tiles(size, since):
        content = tiles.read(level, index)[: width * HASH_BYTES]
        if len(content) != width * HASH_BYTES:
            raise TileIncomplete(f"{tile_path(level, index)} holds {len(content) // HASH_BYTES} hashes, {width} are due")
        durable.publish(folder / tile_path(level, index, width), content)


def write_entries(folder: Path, first: int, entries: Sequence[bytes]) -> None:
    """Writes bundles with the log's last `entries`, of which the first has index `first`, a multiple of 256.

    Raises `InputError` for another `first`, `EntryTooLong` (nothing is written), `OSError`.
    """
    if first < 0 or first % TILE_WIDTH:
        raise InputError(
            f"entries from {first} on: bundles begin at multiples of {TILE_WIDTH}; write from the bundle's first entry"
        )
    bundles = [bundle(entries[at : at + TILE_WIDTH]) for at in range(0, len(entries), TILE_WIDTH)]
    for place, content in enumerate(bundles):
        width = min(TILE_WIDTH, len(entries) - place * TILE_WIDTH)
        durable.publish(folder / entries_path(first // TILE_WIDTH + place, width), content)


def read_entries(folder: Path, size: int, first: int = 0) -> Iterator[bytes]:
    """The entries of a log of `size` leaves from the bundle on that holds index `first`, a multiple of 256.

    Raises `InputError` for another `first`, `FolderDamaged` for a missing or damaged bundle. Trust them after `verify_folder`.
    """
    if first < 0 or first % TILE_WIDTH:
        raise InputError(f"entries from {first} on: bundles begin at multiples of {TILE_WIDTH}")
    for index in range(first // TILE_WIDTH, -(-size // TILE_WIDTH)):
        width = _width(size, 0, index)
        path, wide, content = _found(folder, width, partial(entries_path, index))
        if content is None:
            raise FolderDamaged(f"{path} is missing; fetch or export it again")
        entries = unbundle(content)
        if len(entries) != wide:
            raise FolderDamaged(f"{path}: {len(entries)} entries where {wide} are due; fetch or export it again")
        yield from entries[:width]


def verify_folder(folder: Path, head: Head) -> None:
    """Checks that `folder` holds the log whose checkpoint has this `head`, which the caller must have from a trusted source.

    1. Every entry is there, and the entries hash to the root.
    2. Every tile is there and holds the hashes that follow from the entries.

    Raises `FolderDamaged` or `TileIncomplete` at the first check that fails.
    """
    # 1
    grown, size, leaves = MemoryTiles(), 0, list[bytes]()
    for entry in read_entries(folder, head.size):
        leaves.append(leaf_hash(entry))
        if len(leaves) == _BATCH:
            grown.append(size, leaves)
            size, leaves = size + len(leaves), []
    grown.append(size, leaves)
    if root(grown, head.size) != head.root:
        raise FolderDamaged(
            f"1: the {head.size} entries in {folder} do not hash to the root; an entry was changed, or the log lies"
        )
    # 2
    held = FolderTiles(folder, head.size)
    for level, index, _ in _tiles(head.size):
        if held.read(level, index) != grown.read(level, index):
            raise FolderDamaged(f"2: {tile_path(level, index)} does not follow from the entries; fetch or export it again")


def bundle(entries: Sequence[bytes]) -> bytes:
    """Up to 256 entries in one file, each after its length; raises `EntryTooLong` beyond 65,535 bytes."""
    for place, entry in enumerate(entries):
        if len(entry) > ENTRY_BYTES_MAX:
            raise EntryTooLong(
                f"entry {place} of the bundle has {len(entry)} bytes, {ENTRY_BYTES_MAX} at most; split what it records",
                expected=ENTRY_BYTES_MAX,
                got=len(entry),
            )
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def unbundle(content: bytes) -> list[bytes]:
    """The entries in a bundle; raises `FolderDamaged` where the lengths don't add up."""
    entries: list[bytes] = []
    at = 0
    while at < len(content):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(content[at:start], "big")
        if at > len(content):
            raise FolderDamaged(f"an entry bundle of {len(content)} bytes ends inside entry {len(entries)}")
        entries.append(content[start:at])
    return entries


def _tiles(size: int, since: int = 0) -> Iterator[tuple[int, int, int]]:
    """(level, index, width) of every tile at `size` that was not full at `since`."""
    for level in range(LEVEL_MAX + 1):
        hashes = size >> TILE_HEIGHT * level
        for index in range((since >> TILE_HEIGHT * level) // TILE_WIDTH, -(-hashes // TILE_WIDTH)):
            yield level, index, _width(size, level, index)


def _width(size: int, level: int, index: int) -> int:
    """How many hashes tile (`level`, `index`) holds in a log of `size` leaves, 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def _found(folder: Path, width: int, path_at: Callable[[int], str]) -> tuple[str, int, bytes | None]:
    """Path, width and content of the file of this `width`, or of the full one if that is gone; content None without both."""
    for wide in (width, TILE_WIDTH):
        with suppress(FileNotFoundError):
            return path_at(wide), wide, (folder / path_at(wide)).read_bytes()
    return path_at(width), width, None
