"""Randomness that depends on (seed, purpose, meter, step) alone, so that a simulation resumed at any step goes on as it would have.

Numbers are drawn a block of steps at a time from a generator keyed by the block, and cut to the steps asked for.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK = 96
_COLUMNS = 8
_BLOCKS_KEPT = 4096


def normals(seed: int, purpose: str, steps: Ints, columns: int) -> Floats:
    """(steps, columns) standard normal numbers for consecutive `steps`, at most 8 columns. `purpose` names meter and use."""
    return _cut(seed, f"normal/{purpose}", steps, columns)


def uniforms(seed: int, purpose: str, steps: Ints, columns: int) -> Floats:
    """(steps, columns) numbers from [0, 1), as `normals`."""
    return _cut(seed, f"uniform/{purpose}", steps, columns)


def constants(seed: int, purpose: str, columns: int) -> Floats:
    """(columns,) standard normal numbers that stay the same at every step."""
    return _generator(f"{seed}/constant/{purpose}").standard_normal(columns)


def _cut(seed: int, purpose: str, steps: Ints, columns: int) -> Floats:
    if not len(steps):
        return np.empty((0, columns))
    first, last = int(steps[0]) // _BLOCK, int(steps[-1]) // _BLOCK
    drawn = np.concatenate([_block(f"{seed}/{purpose}/{block}") for block in range(first, last + 1)])
    return drawn[steps - first * _BLOCK, :columns]


@lru_cache(maxsize=_BLOCKS_KEPT)
def _block(name: str) -> Floats:
    generator = _generator(name)
    if "/normal/" in name:
        return generator.standard_normal((_BLOCK, _COLUMNS))
    return generator.random((_BLOCK, _COLUMNS))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=int.from_bytes(sha256(name.encode()).digest()[:16])))
