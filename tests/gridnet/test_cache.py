"""The cache on disk: what is read is what was written, or nothing."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import mmap
import multiprocessing
import os
import warnings
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet import cache


class Part(NamedTuple):
    when: datetime
    names: tuple[tuple[str, str | None], ...]


class Record(NamedTuple):
    table: NDArray[np.float64]
    flags: NDArray[np.int64]
    ratio: complex
    count: int
    part: Part


# What `test_a_damaged_entry_is_closed_again` shows must not fail the others.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

PART = Part(datetime(2016, 1, 1, 23, tzinfo=UTC), (("a", "ü"), ("b", None)))
RECORD = Record(np.linspace(0, 1, 4000).reshape(1000, 4), np.array([-1, 2]), 1.5 - 2j, 7, PART)
TINY = Record(np.array([[0.5, np.nan]]), np.array([3]), 0j, 1, PART)


@pytest.fixture(autouse=True)
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRIDNET_CACHE", str(tmp_path))
    return tmp_path / "cases" / "key.case"


def same(one: Record | None, other: Record) -> bool:
    return (
        one is not None
        and (one.table.shape, one.table.dtype) == (other.table.shape, other.table.dtype)
        and one.table.tobytes() == other.table.tobytes()
        and one.flags.tobytes() == other.flags.tobytes()
        and one[2:] == other[2:]
    )


def test_a_record_comes_back_as_it_was() -> None:
    cache.store("key", RECORD)
    back = cache.fetch("key", Record)
    assert same(back, RECORD)
    assert back is not None
    assert isinstance(back.part, Part)


def test_an_absent_key_gives_nothing() -> None:
    assert cache.fetch("key", Record) is None


def test_an_empty_table_and_no_names_come_back(entry: Path) -> None:
    empty = Record(np.zeros((5, 0)), np.zeros(0, dtype=np.int64), 0j, 0, Part(PART.when, ()))
    cache.store("key", empty)
    assert same(cache.fetch("key", Record), empty)


def test_a_record_of_another_kind_gives_nothing() -> None:
    cache.store("key", PART)
    assert cache.fetch("key", Record) is None


GARBAGE = [b"", b"PK\x03\x04", b"garbage" * 1000, b"\x93NUMPY\x01\x00", b"\x80\x04\x95cposix\nsystem\n"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_reads_as_absent(entry: Path, garbage: bytes) -> None:
    cache.store("key", RECORD)
    entry.write_bytes(garbage)
    assert cache.fetch("key", Record) is None
    cache.store("key", RECORD)
    assert same(cache.fetch("key", Record), RECORD)


def test_a_truncated_entry_reads_as_absent_wherever_it_ends(entry: Path) -> None:
    cache.store("key", TINY)
    good = entry.read_bytes()
    for length in range(0, len(good), 7):
        entry.write_bytes(good[:length])
        assert cache.fetch("key", Record) is None, length


@pytest.mark.parametrize("record", [TINY, RECORD], ids=["tiny", "large"])
def test_a_flipped_bit_is_never_taken_for_the_record(entry: Path, record: Record) -> None:
    cache.store("key", record)
    good = entry.read_bytes()
    wrong, escaped = [], []
    # Headers at both ends, byte by byte; the content between them here and there.
    for place in {*range(260), *range(260, len(good), 1999), *range(len(good) - 500, len(good))}:
        for bit in (0x01, 0x40):
            entry.write_bytes(good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :])
            try:
                back = cache.fetch("key", Record)
            except Exception as error:  # noqa: BLE001 - any is a failure; all are wanted
                escaped.append((place, bit, repr(error)))
            else:
                if back is not None and not same(back, record):
                    wrong.append((place, bit, back.table.shape))
    assert (wrong, escaped) == ([], [])


def test_a_damaged_entry_is_closed_again(entry: Path) -> None:
    cache.store("key", TINY)
    entry.write_bytes(entry.read_bytes()[:300])
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always", ResourceWarning)
        assert cache.fetch("key", Record) is None
        gc.collect()
    assert left_open == []


def test_a_write_that_fails_leaves_the_old_entry_and_nothing_beside_it(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("key", RECORD)

    def disk_full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(OSError, match="no space"):
        cache.store("key", TINY)
    assert same(cache.fetch("key", Record), RECORD)
    assert [path.name for path in entry.parent.iterdir()] == ["key.case"]


def _write_and_read(folder: str, barrier: Barrier, rounds: int) -> None:
    os.environ["GRIDNET_CACHE"] = folder
    barrier.wait()
    for _ in range(rounds):
        cache.store("key", RECORD)
        if not same(cache.fetch("key", Record), RECORD):
            os._exit(3)


def test_writers_and_readers_of_one_key_at_once_see_all_or_nothing(tmp_path: Path, entry: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    writers = [context.Process(target=_write_and_read, args=(str(tmp_path), barrier, 30)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert same(cache.fetch("key", Record), RECORD)
    assert [path.name for path in entry.parent.iterdir()] == ["key.case"]


LARGE = RECORD._replace(table=np.linspace(0, 1, 20_000).reshape(5000, 4))


def _backed(array: NDArray[np.float64]) -> object:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base


@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_large_array_lies_in_the_file_and_a_small_one_does_not(layout: str) -> None:
    cache.store("key", LARGE._replace(table=np.asarray(LARGE.table, order=layout)))
    back = cache.fetch("key", Record)
    assert same(back, LARGE)
    assert back is not None
    assert isinstance(_backed(back.table), mmap.mmap)
    assert (back.table.flags.aligned, back.table.flags.writeable) == (True, True)
    assert back.table.ctypes.data % 64 == 0
    assert _backed(back.flags) is None


def test_what_is_written_to_a_fetched_array_stays_with_the_writer_until_it_is_let_go() -> None:
    cache.store("key", LARGE)
    mine, other = cache.fetch("key", Record), cache.fetch("key", Record)
    assert mine is not None
    mine.table[0, 0] = 9.0
    assert same(other, LARGE)
    assert same(cache.fetch("key", Record), LARGE)
    assert mine.table[0, 0] == 9.0
    cache.let_go(mine)
    assert same(mine, LARGE)


def test_an_entry_whose_arrays_lie_anywhere_is_read(entry: Path) -> None:
    cache.store("key", LARGE)
    facts = json.dumps({"ratio": [1.5, -2.0], "count": 7, "part.when": PART.when.isoformat(), "part.names": PART.names})
    packed = io.BytesIO()
    np.savez(packed, table=LARGE.table, flags=LARGE.flags, facts=np.frombuffer(facts.encode(), dtype=np.uint8))
    entry.write_bytes(hashlib.sha256(packed.getbuffer()).digest() + packed.getvalue())
    assert same(cache.fetch("key", Record), LARGE)
