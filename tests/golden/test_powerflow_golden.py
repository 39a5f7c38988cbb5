"""Golden power flows: one folder each with input, expected, tolerance, and an origin independent of gridnet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet.case import load_case
from gridnet.feeder import SolvedModel
from gridnet.powerflow import Flow, PowerFlow, compile_power_flow

CASES = sorted(path.parent for path in (Path(__file__).parent / "powerflow").glob("*/input.json"))


def two_bus(slack_vm_pu: float, r_pu: float, x_pu: float, rated_pu: float) -> SolvedModel:
    """A slack, a line, a bus: written down without pandapower."""
    y = 1 / complex(r_pu, x_pu)
    return SolvedModel(
        bus_node=np.array([0, 1]),
        slack_node=0,
        slack_voltage=complex(slack_vm_pu),
        admittance=np.array([[y, -y], [-y, y]]),
        branch_node=np.array([[0, 1]]),
        branch_admittance=np.array([[y, -y, -y, y]]),
        branch_percent=np.full((1, 2), 100 / rated_pu),
        lines=1,
    )


def network(described: dict[str, Any]) -> PowerFlow:
    if "scenario" in described:
        return load_case(described["scenario"]).power_flow
    return compile_power_flow(two_bus(**described["two_bus"]))


def answer(flow: Flow, quantity: str) -> Any:
    return flow.vm_pu.min() if quantity == "lowest_vm_pu" else getattr(flow, quantity)


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_the_power_flow_gives_the_golden_answer(folder: Path) -> None:
    given, expected, tolerance = (json.loads((folder / f"{part}.json").read_text()) for part in ("input", "expected", "tolerance"))
    power_flow = network(given)
    assert given["points"].keys() == expected.keys()

    for point, injected in given["points"].items():
        flow = power_flow.solve(np.array(injected["p_kw"], dtype=float), np.array(injected["q_kvar"], dtype=float))

        assert flow.converged
        for quantity, value in expected[point].items():
            np.testing.assert_allclose(
                answer(flow, quantity), value, rtol=0, atol=tolerance[quantity], err_msg=f"{point} {quantity}"
            )


def test_the_lowest_voltage_of_baran_and_wu_is_at_bus_18() -> None:
    case = load_case("ieee33")
    given = json.loads((Path(__file__).parent / "powerflow" / "baran_wu_33" / "input.json").read_text())
    base = given["points"]["base"]
    assert case.power_flow.solve(np.array(base["p_kw"]), np.array(base["q_kvar"])).vm_pu.argmin() == 17


def test_every_golden_case_says_where_it_comes_from_and_how_near_is_near() -> None:
    assert len(CASES) >= 3
    parts = {"input.json", "expected.json", "tolerance.json", "origin.md"}
    for folder in CASES:
        assert {path.name for path in folder.iterdir()} == parts
