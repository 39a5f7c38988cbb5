"""Tables with a row for every step of a series, of which few are in memory."""

from __future__ import annotations

import math
import mmap

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]


def unfilled(shape: tuple[int, ...]) -> Float32s:
    """Zeros that take memory where they are written to, 4 KiB at a time."""
    size = np.dtype(np.float32).itemsize * math.prod(shape)
    # numpy's own zeros are on huge pages, of which a single row would fill 2 MiB.
    pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.ndarray(shape, np.float32, pages)


def kept(rows: Float32s, steps: slice) -> Float32s:
    """`rows` (steps, any) of which `steps` are kept, at their places; zeros elsewhere."""
    if steps == slice(None):
        return rows
    few = unfilled(rows.shape)
    few[steps] = rows[steps]
    return few
