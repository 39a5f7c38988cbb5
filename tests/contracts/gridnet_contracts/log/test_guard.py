"""The guard: one of several writers wins, a failing disk changes nothing, and a restored past does not pass."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from gridnet_contracts.log.guard import FileGuard, GuardUnavailable

PROCESSES, ROUNDS = 4, 20


@pytest.fixture
def guard(tmp_path: Path) -> FileGuard:
    made = FileGuard(tmp_path / "guard")
    assert made.swap(None, b"old")
    return made


def failing(call: Callable[..., Any], at: int, code: int) -> Callable[..., Any]:
    """`call`, which fails the time number `at` it is used."""
    used = 0

    def fails(*args: Any, **options: Any) -> Any:
        nonlocal used
        used += 1
        if used == at:
            raise OSError(code, os.strerror(code))
        return call(*args, **options)

    return fails


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Writes fail as on a full disk once a file is larger than this: the kernel's own error, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_swap_needs_the_value_that_stands(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path / "guard")
    assert guard.read() is None
    assert not guard.swap(b"one", b"two")
    assert guard.read() is None
    assert guard.swap(None, b"one")
    assert not guard.swap(None, b"two")
    assert not guard.swap(b"other", b"two")
    assert guard.read() == b"one"
    assert guard.swap(b"one", b"two")
    assert FileGuard(tmp_path / "guard").read() == b"two"


def test_an_empty_value_is_not_no_value(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path / "guard")
    assert guard.swap(None, b"")
    assert guard.read() == b""
    assert not guard.swap(None, b"one")
    assert guard.swap(b"", b"one")


def test_a_database_restored_from_a_backup_can_not_go_on(guard: FileGuard) -> None:
    backup = guard.read()
    assert guard.swap(backup, b"signed after the backup")
    assert not guard.swap(backup, b"signed again, another history")


@pytest.mark.parametrize(
    ("name", "at"),
    [("open", 1), ("open", 2), ("open", 3), ("fsync", 1), ("replace", 1)],
    ids=["the lock", "the folder", "the file", "its content", "its name"],
)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_leaves_the_old_value(
    guard: FileGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(getattr(os, name), at, code))
        with pytest.raises(GuardUnavailable, match=os.strerror(code)):
            guard.swap(b"old", b"new")
    assert guard.read() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guard", "guard.lock"]
    assert guard.swap(b"old", b"new")


def test_a_disk_that_can_not_confirm_the_new_value_is_an_error_too(guard: FileGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync, 2, errno.EIO))
        with pytest.raises(GuardUnavailable):
            guard.swap(b"old", b"new")
    assert guard.read() == b"new"
    assert not guard.swap(b"old", b"another")


def test_a_disk_that_fills_in_the_middle_of_a_write_leaves_the_old_value(guard: FileGuard) -> None:
    with largest_file(1000), pytest.raises(GuardUnavailable, match="File too large"):
        guard.swap(b"old", b"x" * 100_000)
    assert guard.read() == b"old"
    assert guard.swap(b"old", b"x" * 100_000)


def test_a_part_left_by_a_crash_does_not_matter(guard: FileGuard, tmp_path: Path) -> None:
    (tmp_path / "guard.part").write_bytes(b"half of something longer than what comes next")
    assert guard.read() == b"old"
    assert guard.swap(b"old", b"new")
    assert guard.read() == b"new"


def test_a_missing_folder_is_not_a_log_that_never_signed(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path / "unmounted" / "guard")
    for use in (guard.read, lambda: guard.swap(None, b"new")):
        with pytest.raises(GuardUnavailable, match="nothing may be signed"):
            use()
    (tmp_path / "folder").mkdir()
    with pytest.raises(GuardUnavailable):
        FileGuard(tmp_path / "folder").read()


def _race(path: str, barrier: Barrier, name: str) -> None:
    barrier.wait()
    os._exit(10 if FileGuard(Path(path)).swap(b"old", name.encode()) else 20)


def _count(path: str, barrier: Barrier, name: str) -> None:
    """Adds 1 to a number `ROUNDS` times; a lost update would show in the sum."""
    guard = FileGuard(Path(path))
    barrier.wait()
    done = 0
    while done < ROUNDS:
        before = guard.read() or b"0"
        done += guard.swap(before, b"%d" % (int(before) + 1))
    os._exit(0)


def _run(work: Callable[[str, Barrier, str], None], path: Path) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    running = [context.Process(target=work, args=(str(path), barrier, f"process {n}")) for n in range(PROCESSES)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return [each.exitcode for each in running]


def test_of_several_processes_exactly_one_swaps(guard: FileGuard, tmp_path: Path) -> None:
    codes = _run(_race, tmp_path / "guard")
    assert sorted(codes, key=str) == [10] + [20] * (PROCESSES - 1)
    assert guard.read() == f"process {codes.index(10)}".encode()


def test_no_update_of_several_processes_is_lost(tmp_path: Path) -> None:
    guard = FileGuard(tmp_path / "count")
    assert guard.swap(None, b"0")
    assert _run(_count, tmp_path / "count") == [0] * PROCESSES
    assert guard.read() == b"%d" % (PROCESSES * ROUNDS)
