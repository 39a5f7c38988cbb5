"""A content-addressed cache on disk: typed records under a key that is the hash of all they depend on.

A record is a dataclass or NamedTuple of arrays, plain values and further records. Safe under concurrent use: an entry is
written beside its place and moved there in one step, so a reader sees all or nothing, and two writers of one key write the
same content. An entry begins with the SHA-256 of what follows: a damaged one reads as absent and is written anew. Nothing in
an entry is ever executed.

Behind the SHA-256 an entry is a numpy `.npz` archive whose arrays lie at whole cache lines, so that a reader need not hold them:
large ones are mapped from the file, which all processes share, and what is written to them stays with the process that writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import mmap
import os
import struct
import tempfile
import typing
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridnet.resources import cache_dir

_FACTS = "facts"
_DIGEST_BYTES = 32
_LINE_BYTES = 64
_MAPPED_BYTES = 65_536
"""Smaller arrays are read: a mapping has whole pages."""
_HEADER_BYTES = 4096
"""More than an array's description has before its values."""
_LOCAL_BYTES = 30
"""Of a zip member's header, before its name and its extra field (APPNOTE 4.3.7)."""
_PADDING = 0xD935
"""Kind of an extra field that pads, as Android's zipalign numbers it."""
_Record = typing.TypeVar("_Record")


def fetch(key: str, kind: type[_Record]) -> _Record | None:
    """The record of type `kind` under `key`, or None where there is none or it is damaged."""
    try:
        with _path(key).open("rb") as stream:
            digest, packed = stream.read(_DIGEST_BYTES), stream.read()
            if hashlib.sha256(packed).digest() != digest:
                return None
            values = _arrays(stream, packed)
        values |= json.loads(bytes(values.pop(_FACTS)))
        return typing.cast(_Record, _restored(kind, "", values))
    except OSError:
        return None
    except (KeyError, TypeError, ValueError):  # an entry of another record's shape
        return None


def let_go(record: object) -> None:
    """Frees the memory behind the record's mapped arrays: their next reader has the pages from the file again. What was written to
    such an array since it was fetched is undone."""
    for value in _flat(record, "").values():
        base = value
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap):
            base.madvise(mmap.MADV_DONTNEED)


def store(key: str, record: object) -> None:
    """Writes `record` under `key`."""
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = _flat(record, "")
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    facts = {name: value for name, value in values.items() if name not in arrays}
    arrays[_FACTS] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    packed = io.BytesIO()
    _pack(packed, arrays)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(packed.getbuffer()).digest())
            stream.write(packed.getbuffer())
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)


def _pack(packed: io.BytesIO, arrays: dict[str, np.ndarray]) -> None:
    """An archive as `np.savez` writes it, each array's values at a whole cache line of the entry."""
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            stored = io.BytesIO()
            np.lib.format.write_array(stored, np.asarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")
            short = -(_DIGEST_BYTES + packed.tell() + _LOCAL_BYTES + len(member.filename.encode()) + 4) % _LINE_BYTES
            member.extra = struct.pack(f"<HH{short}x", _PADDING, short)
            archive.writestr(member, stored.getbuffer())


def _arrays(stream: io.BufferedReader, packed: bytes) -> dict[str, Any]:
    """The arrays of an entry. Raises `ValueError` where they are none."""
    # Written to, a page becomes the process's own. A read-only mapping would have numba compile every kernel once more.
    pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {member.filename.removesuffix(".npy"): _array(pages, member) for member in archive.infolist()}


def _array(pages: mmap.mmap, member: zipfile.ZipInfo) -> np.ndarray:
    """An array of a member that is stored as it is: where it lies, or copied where it is small or lies askew."""
    at = _DIGEST_BYTES + member.header_offset
    at += _LOCAL_BYTES + sum(struct.unpack_from("<HH", pages, at + _LOCAL_BYTES - 4))
    header = io.BytesIO(pages[at : at + min(member.file_size, _HEADER_BYTES)])
    np.lib.format.read_magic(header)
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(header)
    array = np.ndarray(shape, kind, pages, at + header.tell(), order="F" if by_columns else "C")
    return array if array.nbytes >= _MAPPED_BYTES and array.flags.aligned else array.copy(order="K")


def _path(key: str) -> Path:
    return cache_dir() / "cases" / f"{key}.case"


def _is_record(kind: object) -> bool:
    return dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")


def _flat(record: object, prefix: str) -> dict[str, Any]:
    """The record's leaves by dotted name: arrays as they are, the rest as JSON values."""
    values: dict[str, Any] = {}
    for field in typing.get_type_hints(type(record)):
        value, name = getattr(record, field), f"{prefix}{field}"
        if _is_record(value):
            values |= _flat(value, f"{name}.")
        elif isinstance(value, complex):
            values[name] = [value.real, value.imag]
        else:
            values[name] = value.isoformat() if isinstance(value, datetime) else value
    return values


def _restored(kind: Any, prefix: str, values: dict[str, Any]) -> Any:
    """The inverse of `_flat`, guided by the type hints of `kind`."""
    fields = {}
    for field, hint in typing.get_type_hints(kind).items():
        name = f"{prefix}{field}"
        if _is_record(hint):
            fields[field] = _restored(hint, f"{name}.", values)
        elif hint is complex:
            fields[field] = complex(*values[name])
        elif hint is datetime:
            fields[field] = datetime.fromisoformat(values[name])
        else:
            fields[field] = _tuples(values[name])
    return kind(**fields)


def _tuples(value: Any) -> Any:
    """JSON lists back as the tuples they were."""
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
