"""CACTUS, the conformance suite for CSIP-AUS servers, against the running service: a few of its procedures in every run of the
tests, all of them in `make conformance`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.gridnet.app.api.sep.cactus import Suite, prepare
from tests.gridnet.app.api.sep.receiver import receiving
from tests.gridnet.app.api.sep.running import serving

QUICK = ("S-ALL-01", "S-ALL-02", "S-ALL-06", "S-ALL-11", "S-ALL-19", "S-ALL-44")
SOAK = "S-ALL-50"
"""Three days of polling."""
LONG = {"S-ALL-41": 1800, "S-ALL-46": 1500}
"""Procedures that wait for minutes, and how long they may take."""
EACH_S = 180
NUMBERS = (*range(1, 54), 55, 56, 57)
ALL = [f"S-ALL-{number:02}" for number in NUMBERS] + [f"S-OPT-{number:02}" for number in range(1, 6)]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """CACTUS and a service that is all its own."""
    folder = tmp_path_factory.mktemp("conformance")
    python, plugin = prepare(folder)
    with receiving() as receiver, serving(folder) as server:
        yield Suite("quick", server, receiver, python, plugin)


def test_a_few_procedures_pass(suite: Suite) -> None:
    assert suite.run(QUICK, EACH_S) == dict.fromkeys(QUICK, "PASS"), suite.told()


@pytest.mark.conformance
def test_all_procedures_but_the_soak_pass(suite: Suite) -> None:
    rest = [each for each in ALL if each not in LONG and each != SOAK]
    parts = [(rest, EACH_S), *(([name], limit_s) for name, limit_s in LONG.items())]
    suites = [Suite(f"part-{number}", suite.server, suite.receiver, suite.python, suite.plugin) for number in range(len(parts))]

    with ThreadPoolExecutor(len(parts)) as pool:
        outcomes = list(pool.map(lambda one: one[0].run(*one[1]), zip(suites, parts, strict=True)))

    merged = {name: outcome for part in outcomes for name, outcome in part.items()}
    assert merged == dict.fromkeys([each for each in ALL if each != SOAK], "PASS"), "\n".join(each.told() for each in suites)
    assert len(merged) == 60
