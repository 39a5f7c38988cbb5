"""A log as a folder of tiles: what is written is read, and no changed byte passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError, VerificationError
from gridnet_contracts.log.checkpoint import Head
from gridnet_contracts.log.folder import (
    EntryTooLong,
    FolderDamaged,
    FolderTiles,
    bundle,
    file_paths,
    read_entries,
    unbundle,
    verify_folder,
    write_entries,
    write_tiles,
)
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.tiles import MemoryTiles, TileIncomplete, consistency, inclusion, root

ENTRIES = [b"%d" % number for number in range(1030)]


def tree(size: int) -> MemoryTiles:
    made = MemoryTiles()
    made.append(0, [leaf_hash(entry) for entry in ENTRIES[:size]])
    return made


def written(folder: Path, size: int) -> Head:
    """Writes a log of this size and gives its head."""
    tiles = tree(size)
    write_tiles(folder, tiles, size)
    write_entries(folder, 0, ENTRIES[:size])
    return Head(size, root(tiles, size))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600, 1030])
def test_what_is_written_verifies_and_answers_as_the_tree_does(tmp_path: Path, size: int) -> None:
    head = written(tmp_path, size)
    verify_folder(tmp_path, head)
    assert list(read_entries(tmp_path, size)) == ENTRIES[:size]
    held, tiles = FolderTiles(tmp_path, size), tree(size)
    assert root(held, size) == head.root
    assert {place: held.read(*place) for place in tiles.tiles} == tiles.tiles
    assert held.read(0, 999) == held.read(5, 0) == b""
    for index in range(0, size, 101):
        assert inclusion(held, index, size) == inclusion(tiles, index, size)
        assert consistency(held, index, size) == consistency(tiles, index, size)


def test_files_lie_where_the_specification_says(tmp_path: Path) -> None:
    written(tmp_path, 257)
    expected = ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"]
    assert files(tmp_path) == expected
    assert (tmp_path / "tile/0/000").read_bytes() == b"".join(map(leaf_hash, ENTRIES[:256]))
    assert (tmp_path / "tile/entries/001.p/1").read_bytes() == b"\x00\x03256"


@pytest.mark.parametrize("size", [0, 1, 256, 257, 600])
def test_the_listed_files_are_the_written_ones(tmp_path: Path, size: int) -> None:
    written(tmp_path, size)
    assert sorted(file_paths(size)) == files(tmp_path)


def test_every_flipped_byte_of_a_small_log_is_found(tmp_path: Path) -> None:
    head = written(tmp_path, 19)
    assert len(files(tmp_path)) == 2
    for name in files(tmp_path):
        every_flip_is_found(tmp_path, tmp_path / name, head, step=1)


def test_a_flipped_byte_in_any_file_of_a_larger_log_is_found(tmp_path: Path) -> None:
    head = written(tmp_path, 257)
    for name in files(tmp_path):
        every_flip_is_found(tmp_path, tmp_path / name, head, step=1 if "p/1" in name else 61)


def every_flip_is_found(folder: Path, path: Path, head: Head, step: int) -> None:
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(VerificationError):
            verify_folder(folder, head)
    path.write_bytes(whole)
    verify_folder(folder, head)


def test_a_missing_cut_or_longer_file_is_found(tmp_path: Path) -> None:
    head = written(tmp_path, 257)
    for name in files(tmp_path):
        path = tmp_path / name
        whole = path.read_bytes()
        for content in (whole[:-1], whole + b"\x00", whole + bytes(32), b""):
            path.write_bytes(content)
            with pytest.raises(VerificationError, match=r"fetch or export it again|ends inside|do not hash"):
                verify_folder(tmp_path, head)
        path.unlink()
        with pytest.raises(VerificationError, match="is missing"):
            verify_folder(tmp_path, head)
        path.write_bytes(whole)
    verify_folder(tmp_path, head)


def test_a_folder_is_checked_against_a_head_from_elsewhere(tmp_path: Path) -> None:
    head = written(tmp_path, 300)
    with pytest.raises(FolderDamaged, match=r"^1"):
        verify_folder(tmp_path, Head(300, bytes(32)))
    with pytest.raises(VerificationError):
        verify_folder(tmp_path, Head(301, head.root))
    with pytest.raises(VerificationError):
        verify_folder(tmp_path, Head(299, head.root))


def test_a_partial_tile_is_read_from_the_full_one_once_it_is_gone(tmp_path: Path) -> None:
    early = Head(200, root(tree(200), 200))
    late = written(tmp_path, 257)
    verify_folder(tmp_path, early)
    assert root(FolderTiles(tmp_path, 200), 200) == early.root
    verify_folder(tmp_path, late)


def test_a_log_that_grew_rewrites_only_what_changed(tmp_path: Path) -> None:
    written(tmp_path, 600)
    full = tmp_path / "tile/0/000"
    stamp = full.stat().st_mtime_ns
    write_tiles(tmp_path, tree(1030), 1030, since=600)
    write_entries(tmp_path, 512, ENTRIES[512:1030])
    verify_folder(tmp_path, Head(1030, root(tree(1030), 1030)))
    assert full.stat().st_mtime_ns == stamp
    verify_folder(tmp_path, Head(600, root(tree(600), 600)))


def test_tiles_that_are_too_few_are_not_written_as_if_whole(tmp_path: Path) -> None:
    with pytest.raises(TileIncomplete, match="holds 44 hashes, 45 are due"):
        write_tiles(tmp_path, tree(300), 301)


def test_entries_begin_at_a_bundle(tmp_path: Path) -> None:
    written(tmp_path, 600)
    assert list(read_entries(tmp_path, 600, first=512)) == ENTRIES[512:600]
    for first in (-256, 1, 255):
        with pytest.raises(InputError, match="multiples of 256"):
            write_entries(tmp_path, first, ENTRIES[:1])
        with pytest.raises(InputError, match="multiples of 256"):
            list(read_entries(tmp_path, 600, first=first))


def test_the_longest_entry_fits_and_a_longer_one_is_told(tmp_path: Path) -> None:
    longest = b"x" * 65_535
    assert unbundle(bundle([longest, b"", b"y"])) == [longest, b"", b"y"]
    with pytest.raises(EntryTooLong, match="65536 bytes, 65535 at most"):
        write_entries(tmp_path, 0, [b"short"] * 300 + [longest + b"x"])
    assert files(tmp_path) == []


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    assert unbundle(bundle(entries)) == entries


@pytest.mark.parametrize("content", [b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01a\x00", b"\xff\xff"])
def test_a_bundle_that_ends_inside_an_entry_is_refused(content: bytes) -> None:
    with pytest.raises(FolderDamaged, match="ends inside"):
        unbundle(content)
