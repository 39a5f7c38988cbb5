"""Tiles: every root and proof is the one RFC 6962 defines, however the leaves arrived."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.log.merkle import EMPTY_ROOT, verify_consistency, verify_inclusion
from gridnet_contracts.log.tiles import (
    MemoryTiles,
    TileIncomplete,
    WrongAppend,
    consistency,
    entries_path,
    grow,
    inclusion,
    root,
    tile_path,
)

MANY = [sha256(number.to_bytes(4, "big")).digest() for number in range(70_000)]


class CountingTiles(MemoryTiles):
    """Tiles that count how often each was read."""

    def __init__(self, tiles: dict[tuple[int, int], bytes]) -> None:
        super().__init__(tiles)
        self.reads: list[tuple[int, int]] = []

    def read(self, level: int, index: int) -> bytes:
        self.reads.append((level, index))
        return super().read(level, index)


@pytest.fixture(scope="module")
def tiles(naive: Any) -> MemoryTiles:
    made = MemoryTiles()
    made.append(0, naive.leaves)
    return made


@pytest.fixture(scope="module")
def deep() -> MemoryTiles:
    """A tree of three tile levels."""
    made = MemoryTiles()
    made.append(0, MANY)
    return made


def test_every_root_is_the_reference_tree_s(tiles: MemoryTiles, naive: Any) -> None:
    assert [root(tiles, size) for size in range(701)] == [naive.root(size) for size in range(701)]
    assert root(MemoryTiles(), 0) == EMPTY_ROOT


def test_every_inclusion_proof_to_size_256_is_the_reference_tree_s_and_holds(tiles: MemoryTiles, naive: Any) -> None:
    for size in range(1, 257):
        tree_root = naive.root(size)
        for index in range(size):
            proof = inclusion(tiles, index, size)
            assert proof == naive.path(index, 0, size)
            verify_inclusion(naive.leaves[index], index, size, proof, tree_root)


def test_consistency_proofs_to_size_256_are_the_reference_tree_s_and_hold(tiles: MemoryTiles, naive: Any) -> None:
    for new in range(257):
        for old in {*range(0, new + 1, 1 if new <= 128 else 5), 127, 128, 129, new} - {*range(new + 1, 130)}:
            proof = consistency(tiles, old, new)
            assert proof == naive.proof(old, new)
            verify_consistency(old, naive.root(old), new, naive.root(new), proof)


@pytest.mark.parametrize("size", [257, 258, 511, 512, 513, 640, 699, 700])
def test_proofs_across_tiles_are_the_reference_tree_s(tiles: MemoryTiles, naive: Any, size: int) -> None:
    for place in {*range(0, size, 37), 254, 255, 256, size - 1}:
        assert inclusion(tiles, place, size) == naive.path(place, 0, size)
        assert consistency(tiles, place, size) == naive.proof(place, size)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 69_999, 70_000])
def test_proofs_across_three_levels_hold(deep: MemoryTiles, size: int) -> None:
    tree_root = root(deep, size)
    for place in (0, 255, 256, 32_767, 65_279, 65_534, size - 1):
        verify_inclusion(MANY[place], place, size, inclusion(deep, place, size), tree_root)
        verify_consistency(place, root(deep, place), size, tree_root, consistency(deep, place, size))


def test_a_tree_of_70_000_has_the_tiles_of_the_specification_s_example(deep: MemoryTiles) -> None:
    # tlog-tiles, "Partial Tiles": 273 full tiles and one of 112 on level 0, one full and one of 17 on level 1, one of 1 on level 2.
    widths = {place: len(content) // 32 for place, content in deep.tiles.items()}
    expected = {(0, index): 256 for index in range(273)} | {(0, 273): 112, (1, 0): 256, (1, 1): 17, (2, 0): 1}
    assert widths == expected


@given(st.lists(st.integers(0, 400), max_size=8))
def test_batches_of_any_size_give_the_tiles_of_one_batch(batches: list[int]) -> None:
    size, grown, whole = 0, MemoryTiles(), MemoryTiles()
    for batch in batches:
        grown.append(size, MANY[size : size + batch])
        size += batch
    whole.append(0, MANY[:size])
    assert grown.tiles == whole.tiles


@given(st.integers(0, 66_000), st.integers(0, 600))
def test_growing_gives_the_changed_tiles_and_no_other(size: int, batch: int) -> None:
    before, after = MemoryTiles(), MemoryTiles()
    before.append(0, MANY[:size])
    after.append(0, MANY[: size + batch])
    changed = grow(before, size, MANY[size : size + batch])
    assert changed == {place: content for place, content in after.tiles.items() if before.tiles.get(place) != content}


@pytest.mark.parametrize(("size", "claimed"), [(5, 4), (5, 6), (5, 0), (256, 255), (256, 0), (300, 556)])
def test_appending_at_another_size_than_the_present_is_refused(size: int, claimed: int) -> None:
    made = MemoryTiles()
    made.append(0, MANY[:size])
    with pytest.raises(WrongAppend, match="read the size again"):
        grow(made, claimed, MANY[:1])
    assert grow(made, size, MANY[:1])


def test_a_leaf_hash_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="32 bytes"):
        grow(MemoryTiles(), 0, [MANY[0], MANY[1][:-1]])
    with pytest.raises(InputError, match="32 bytes"):
        grow(MemoryTiles(), 0, [MANY[0][:-1], MANY[1] + b"\x00"])


def test_a_tree_larger_than_its_tiles_is_refused(tiles: MemoryTiles) -> None:
    for ask in (lambda: root(tiles, 701), lambda: inclusion(tiles, 0, 701), lambda: consistency(tiles, 3, 701)):
        with pytest.raises(TileIncomplete, match="tile/0/002 lacks hash 188"):
            ask()


def test_a_place_outside_the_tree_is_refused(tiles: MemoryTiles) -> None:
    for ask in (
        lambda: inclusion(tiles, 5, 5),
        lambda: inclusion(tiles, -1, 5),
        lambda: inclusion(tiles, 0, 0),
        lambda: consistency(tiles, 6, 5),
        lambda: consistency(tiles, -1, 5),
    ):
        with pytest.raises(InputError):
            ask()


def test_a_proof_reads_each_tile_once_and_few_of_them(deep: MemoryTiles) -> None:
    counted = CountingTiles(deep.tiles)
    for ask in (
        lambda: inclusion(counted, 40_000, 70_000),
        lambda: consistency(counted, 40_000, 70_000),
        lambda: root(counted, 70_000),
    ):
        counted.reads.clear()
        ask()
        assert len(counted.reads) == len(set(counted.reads)) <= 6


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # tlog-tiles: index 1234067 is x001/x234/067
        (tile_path(0, 1_234_067), "tile/0/x001/x234/067"),
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(1, 999), "tile/1/999"),
        (tile_path(1, 1000), "tile/1/x001/000"),
        (tile_path(63, 7, 1), "tile/63/007.p/1"),
        (tile_path(0, 273, 112), "tile/0/273.p/112"),
        (entries_path(1_234_067, 255), "tile/entries/x001/x234/067.p/255"),
        (entries_path(0), "tile/entries/000"),
    ],
)
def test_a_tile_lies_where_the_specification_says(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 256), (64, 0, 256), (0, -1, 256), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_cannot_be_has_no_path(level: int, index: int, width: int) -> None:
    with pytest.raises(InputError):
        tile_path(level, index, width)
