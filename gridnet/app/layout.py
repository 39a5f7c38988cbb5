"""Where a network's buses are drawn: by its own coordinates, or as a tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from gridnet.feeder import Feeder

Floats = NDArray[np.float64]

_DISTINCT_SHARE = 0.8
_NEAR = 0.01


def bus_positions(feeder: Feeder) -> Floats:
    """(buses, 2) places in the unit square: the network's own coordinates, or a tree where too many of them coincide.
    The upper bus of a transformer never hides another."""
    own = feeder.bus_xy
    usable = bool(np.isfinite(own).all()) and len(np.unique(own, axis=0)) >= _DISTINCT_SHARE * len(own)
    place = own if usable else _tree(feeder)
    extent = np.ptp(place, axis=0)
    place = (place - place.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    for upper, lower in feeder.trafo_bus:
        if (np.abs(place - place[upper]).max(axis=1) < _NEAR).sum() > 1:
            place[upper] = place[lower] + (0.0, 0.12 if place[lower, 1] >= 0.5 else -0.12)
    return np.asarray(place)


def _tree(feeder: Feeder) -> Floats:
    """Depth from the connection point to the right; each subtree has rows of its own, as many as it has leaves."""
    order, parent = _breadth_first(feeder)
    depth, leaves, top = np.zeros(len(order)), np.zeros(len(order)), np.zeros(len(order))
    for bus in order[:0:-1]:
        leaves[bus] = max(leaves[bus], 1.0)
        leaves[parent[bus]] += leaves[bus]
    free = top.copy()
    for bus in order[1:]:
        depth[bus], top[bus] = depth[parent[bus]] + 1, free[parent[bus]]
        free[bus] = top[bus]
        free[parent[bus]] += leaves[bus]
    return np.column_stack([depth, -(top + leaves / 2)])


def _breadth_first(feeder: Feeder) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Buses in order of visit from the connection point, which is also the parent of those that nothing reaches, and
    each one's parent."""
    node, buses = feeder.model.bus_node, len(feeder.bus_name)
    closed = (feeder.model.branch_node >= 0).all(axis=1)
    by_node = np.argsort(node, kind="stable")
    fused = (node[by_node][1:] == node[by_node][:-1]) & (node[by_node][1:] >= 0)
    ends = np.concatenate([feeder.line_bus, feeder.trafo_bus])[closed]
    ends = np.concatenate([ends, np.column_stack([by_node[:-1], by_node[1:]])[fused]])
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(buses, buses)).tocsr()
    order, parent = breadth_first_order(graph, feeder.slack_bus, directed=False)
    stray = np.setdiff1d(np.arange(buses), order)
    parent[stray] = feeder.slack_bus
    return np.concatenate([order, stray]).astype(np.int64), parent.astype(np.int64)
