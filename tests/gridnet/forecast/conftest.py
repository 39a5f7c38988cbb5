"""A small case whose days differ: `tiny` with weather and moody people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY


@pytest.fixture(scope="session")
def moody() -> Case:
    case = load_case("tiny")
    series, rng = case.series, np.random.default_rng(1)
    days = series.clock.steps // STEPS_PER_DAY
    clouds = np.repeat(rng.uniform(0.2, 1.0, days), STEPS_PER_DAY)[:, None]
    mood = np.repeat(rng.uniform(0.5, 1.5, (days, series.load_p_kw.shape[1])), STEPS_PER_DAY, axis=0)
    mood = mood * rng.uniform(0.7, 1.3, series.load_p_kw.shape)
    loud = replace(
        series,
        load_p_kw=series.load_p_kw * mood,
        load_q_kvar=series.load_p_kw * mood * [0.2, 0.4],
        pv_p_kw=series.pv_p_kw * clouds,
    )
    return replace(case, series=loud)
