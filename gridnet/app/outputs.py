"""Writing what a command makes: whole or not at all, and refused before the work where it can't be written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from gridnet.errors import Fault, InputError

STANDARD_OUTPUT = "-"


def file_faults(option: str, target: str | None) -> list[Fault]:
    """What stands in the way of writing a file where `option` says."""
    if target is None or target == STANDARD_OUTPUT:
        return []
    path = Path(target)
    if not path.name or path.is_dir():
        return [Fault(option, repr(target), "the name of a file, or - for standard output")]
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        return [Fault(option, repr(target), f"a folder {path.parent} that exists and can be written to")]
    return []


def folder_faults(option: str, target: str | None) -> list[Fault]:
    """What stands in the way of making, or writing into, the folder that `option` names."""
    if target is None:
        return []
    if not target:
        return [Fault(option, repr(target), "the name of a folder")]
    path = Path(target).absolute()
    existing = next(part for part in (path, *path.parents) if part.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return [Fault(option, repr(target), f"a folder; {existing} is none or can't be written to")]
    return []


def write_json(content: dict[str, object], target: str | None) -> None:
    """`content` to a file, whole or not at all; to standard output for '-'; nowhere for None. Raises `InputError`."""
    if target is None:
        return
    text = json.dumps(content, indent=1) + "\n"
    if target == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    _write_whole(Path(target), lambda beside: beside.write_text(text, encoding="utf-8"))


def write_table(table: pd.DataFrame, target: str) -> None:
    """`table` to a file, whole or not at all: Parquet where the name ends so, else CSV with four decimals and UTC times.
    Raises `InputError`."""
    path = Path(target)
    if path.suffix == ".parquet":
        _write_whole(path, lambda beside: table.to_parquet(beside, index=False))
    else:
        _write_whole(path, lambda beside: table.to_csv(beside, index=False, float_format="%.4f", date_format="%Y-%m-%dT%H:%M:%SZ"))


def write_bytes(content: bytes, target: str) -> None:
    """`content` to a file, whole or not at all. Raises `InputError`."""
    _write_whole(Path(target), lambda beside: beside.write_bytes(content))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(path.name + ".part")
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"can't write {path}: {error.strerror}; free the disk or name another file") from error
