"""A content-addressed cache on disk: typed records under a key that is the hash of all they depend on.

A record is a dataclass or NamedTuple of arrays, plain values and further records. Safe under concurrent use: an entry is
written beside its place and moved there in one step, so a reader sees all or nothing, and two writers of one key write the
same content. An entry begins with the SHA-256 of what follows: a damaged one reads as absent and is written anew. Nothing in
an entry is ever executed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tempfile
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridnet.resources import cache_dir

_FACTS = "facts"
_DIGEST_BYTES = 32
_Record = typing.TypeVar("_Record")


def fetch(key: str, kind: type[_Record]) -> _Record | None:
    """The record of type `kind` under `key`, or None where there is none or it is damaged."""
    try:
        content = _path(key).read_bytes()
    except OSError:
        return None
    digest, packed = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
            values: dict[str, Any] = {name: stored[name] for name in stored.files}
        values |= json.loads(bytes(values.pop(_FACTS)))
        return typing.cast(_Record, _restored(kind, "", values))
    except (KeyError, TypeError, ValueError):  # an entry of another record's shape
        return None


def store(key: str, record: object) -> None:
    """Writes `record` under `key`."""
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = _flat(record, "")
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    facts = {name: value for name, value in values.items() if name not in arrays}
    arrays[_FACTS] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(hashlib.sha256(packed.getbuffer()).digest())
            stream.write(packed.getbuffer())
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)


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
