"""Rows of numbers as whole ones: a third of the bytes, and no digit that means nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def packed(values: Sequence[float | None] | NDArray[np.float64], scale: float) -> list[int | None]:
    """Each number times `scale`, rounded; None where there is none."""
    scaled = np.rint(np.array(values, dtype=np.float64) * scale)
    gaps = np.isnan(scaled)
    whole: list[int | None] = np.where(gaps, 0.0, scaled).astype(np.int64).tolist()
    for gap in np.flatnonzero(gaps):
        whole[gap] = None
    return whole
