"""What all tests share: a cache of their own, and property tests that repeat exactly."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.contracts.onchain.engines import Anvil

# Compiling a scenario takes seconds. The workers share one folder (the cache allows that) and keep it between runs; it
# is not the user's, which a test must neither read nor fill.
os.environ["GRIDNET_CACHE"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "gridnet")


ROOM = 6 << 30
"""Bytes that the files of all tests together stay well below."""


@pytest.hookimpl(tryfirst=True)  # before pytest makes its factory of folders
def pytest_configure(config: pytest.Config) -> None:
    """Puts what tests write into memory where there is plenty, unless a place is named: most of it are databases that wait for
    the disk at every commit, which tells nothing, for nothing here survives a loss of power."""
    memory = Path("/dev/shm")
    named = config.option.basetemp is not None  # so it is in the workers, which are told by whom they belong to
    if named or not memory.is_dir() or shutil.disk_usage(memory).free < ROOM:
        return
    config.option.basetemp = folder = Path(tempfile.mkdtemp(prefix="gridnet-tests-", dir=memory))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_report_header() -> str:
    """Which machines the contract's tests will find."""
    from tests.contracts.onchain.engines import Missing, anvil_binary

    try:
        return f"chain: an embedded EVM in an environment of its own, and a real node, {anvil_binary()}"
    except Missing as error:
        return f"chain: an embedded EVM in an environment of its own; {error}, so what needs a real node is skipped"


@pytest.fixture(scope="session")
def node() -> Iterator[Anvil]:
    """A real node, one for all tests of a worker: each deploys contracts of its own."""
    from tests.contracts.onchain.engines import Missing, anvil

    try:
        with anvil() as machine:
            yield machine
    except Missing as error:
        pytest.skip(str(error))


settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,  # the first example pays for compiling
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")
