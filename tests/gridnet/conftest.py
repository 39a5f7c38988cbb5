"""What the tests of series and forecasts share: SimBench's profiles, read once."""

from __future__ import annotations

import pytest

from gridnet.series.profiles import Profiles, simbench_profiles


@pytest.fixture(scope="session")
def profiles() -> Profiles:
    return simbench_profiles()
