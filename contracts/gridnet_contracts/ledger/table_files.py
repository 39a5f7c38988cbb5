"""Rows to files and back, a chunk in memory at a time: CSV, Parquet, JSON Lines, the same bytes for the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from gridnet.errors import Fault, InputError

CHUNK_ROWS = 5_000
FORMATS = ("csv", "parquet", "jsonl")


def write_rows(path: Path, columns: Mapping[str, type], rows: Iterable[Sequence[Any]]) -> int:
    """Writes `rows` to `path` in the format of its name's ending; gives how many there were. Raises `InputError`, `OSError`."""
    writers: dict[str, Callable[[Path, pa.Schema, Iterator[pa.RecordBatch]], None]] = {
        ".csv": _write_csv,
        ".parquet": _write_parquet,
        ".jsonl": _write_lines,
    }
    if path.suffix not in writers:
        raise InputError("can't tell a table's format:", [Fault("--format", path.suffix, ", ".join(FORMATS))])
    schema = pa.schema([(name, pa.int64() if kind is int else pa.string()) for name, kind in columns.items()])
    counted = _Counted(schema, rows)
    writers[path.suffix](path, schema, iter(counted))
    return counted.count


class _Counted:
    """Batches of rows, and how many rows went through."""

    def __init__(self, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
        self._schema = schema
        self._rows = iter(rows)
        self.count = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while chunk := list(islice(self._rows, CHUNK_ROWS)):
            self.count += len(chunk)
            arrays = [pa.array(values, field.type) for values, field in zip(zip(*chunk, strict=True), self._schema, strict=True)]
            yield pa.record_batch(arrays, schema=self._schema)


def _write_csv(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with csv.CSVWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with parquet.ParquetWriter(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_lines(path: Path, _: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for batch in batches:
            lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
