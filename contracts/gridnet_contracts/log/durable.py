"""Files that change in one step and survive a power cut, and a lock between processes.

For a file system on this machine: `flock` and rename promise less on network shares.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`, made where it is missing, against every other process and thread; waits for it.

    The kernel frees the lock when its holder ends, however it ends. Raises `OSError`.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace(path: Path, content: bytes) -> None:
    """Puts `content` at `path`: a reader sees the old or the new whole, and the new is on the disk when this returns.

    Write beside, sync, rename, sync the folder. One writer at a time (hold `locked`). Raises `OSError`; the old content then
    still stands, unless the very last step failed: read again to know.
    """
    beside = path.with_name(f"{path.name}.part")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _write(beside, content)
        os.replace(beside, path)
        os.fsync(folder)
    except OSError:
        with suppress(OSError):  # a disk that can't be written may not let go of the part either; the next write takes its name
            beside.unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)


def publish(path: Path, content: bytes) -> None:
    """As `replace`, with the folders made, but without waiting for the disk: for what can be exported again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_bytes(content)
    os.replace(beside, path)


def sync_folder(path: Path) -> None:
    """Waits until the names in folder `path` are on the disk. Raises `OSError`."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(handle)
