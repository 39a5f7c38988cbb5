"""Where buses are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gridnet.app.layout import bus_positions
from gridnet.case import Case, load_case


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


def test_own_coordinates_are_kept_and_no_bus_hides_behind_a_transformer(case: Case) -> None:
    place, own = bus_positions(case.feeder), case.feeder.bus_xy
    others = np.arange(len(own)) != case.feeder.slack_bus
    assert place[others] == pytest.approx(((own - own.min(axis=0)) / np.ptp(own, axis=0))[others])
    apart = np.abs(place[:, None] - place[None]).max(axis=2) + np.eye(len(place))
    assert apart.min() > 0.01


def test_a_network_without_coordinates_becomes_a_tree(case: Case) -> None:
    heap = dataclasses.replace(case.feeder, bus_xy=np.zeros_like(case.feeder.bus_xy))
    place = bus_positions(heap)
    assert len(np.unique(place.round(9), axis=0)) == len(place)
    assert place[heap.slack_bus, 0] == 0.0
    lengths = np.abs(np.diff(place[heap.line_bus, 0], axis=1))
    assert lengths.max() == pytest.approx(lengths.min())


def test_a_bus_that_nothing_reaches_is_still_placed(case: Case) -> None:
    feeder, last = case.feeder, len(case.feeder.line_name) - 1
    branch_node = np.array(feeder.model.branch_node)
    branch_node[last] = -1
    heap = np.zeros_like(feeder.bus_xy)
    cut = dataclasses.replace(feeder, bus_xy=heap, model=feeder.model._replace(branch_node=branch_node))
    whole = bus_positions(dataclasses.replace(feeder, bus_xy=heap))
    place = bus_positions(cut)
    assert len(np.unique(place.round(9), axis=0)) == len(place)
    assert not np.allclose(place, whole)
