"""The machines of `engines.py` as fixtures: one each per worker, a new contract per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.onchain.engines import Embedded, Engine, Missing, anvil_binary, embedded
from tests.contracts.onchain.onchain import Onchain, deployed


@pytest.fixture(scope="session")
def evm() -> Iterator[Embedded]:
    """The embedded EVM."""
    try:
        with embedded() as machine:
            yield machine
    except Missing as error:
        pytest.skip(str(error))


@pytest.fixture(params=["evm", "node"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of both."""
    machine: Engine = request.getfixturevalue(request.param)
    return machine


@pytest.fixture
def chain(engine: Engine) -> Onchain:
    """A new registry on each of both."""
    return deployed(engine)


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> Engine:
    """The quicker of both that can be had, for what takes hundreds of transactions: the embedded EVM is ten times slower."""
    try:
        anvil_binary()
    except Missing:
        machine: Engine = request.getfixturevalue("evm")
    else:
        machine = request.getfixturevalue("node")
    return machine
