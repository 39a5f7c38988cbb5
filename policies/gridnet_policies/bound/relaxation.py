"""The conic relaxation of one step's AC power flow, `A x + s = b, s in K`: the matrix is the same for every step.

Exact are the power balance of every node, Ohm's law along every branch (see `gridnet_policies.bound.grid`), voltage and
current limits (both are limits on squares), and the inverters' circles. Relaxed are `u l = p^2 + q^2` to `>=`, the angles
around a mesh, and the batteries' one direction at a time to `charge + discharge <= rating`, the convex hull of both.

Source: Farivar, Low, "Branch flow model: relaxations and convexification", IEEE Trans. Power Systems 28(3), 2013; here with
the chain matrix of a general two-port in place of a series impedance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gridnet_policies.bound.columns import Columns, Entries, Rows, number_columns
from gridnet_policies.bound.grid import Grid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]

_HARDLY = 1.001
"""A limit on the current at a to end that the from end's keeps but for this factor gets no row of its own."""

_LEAST_CURRENT = 1e-4
"""Of the largest current: the smallest unit of a branch's columns. A dead end carries nothing, which is no unit."""


class Sizes(NamedTuple):
    """What scales the columns and where devices stand; in pu of the grid's base."""

    current: Floats
    """(2, branches) largest current of any step at either end."""
    vm_max_pu: Floats
    """(nodes,)"""
    device_node: Ints
    """(devices,) batteries, then PV; -1 at a dead bus."""
    battery_p: Floats
    """(batteries,) rating."""
    device_s: Floats
    """(devices,) rating."""
    reactive: bool
    """Whether inverters give and take reactive power."""


class Relaxation(NamedTuple):
    """The matrix and what its columns and rows mean."""

    matrix: sparse.csc_matrix
    columns: Columns
    rows: Rows
    current: Floats
    """(branches,) pu: the unit of a branch's columns, squared for `square`."""
    to_end: Ints
    """Branches whose to end has a current limit of its own."""


class _Form(NamedTuple):
    """`sign |x V_f + y I_f|^2` of some branches."""

    branch: Ints
    start: Ints
    """From nodes."""
    x: Complexes
    y: Complexes
    current: Floats
    """Units of current."""
    sign: float


def make_relaxation(grid: Grid, sizes: Sizes) -> Relaxation:
    """The relaxation of a network with its devices; right-hand sides and prices come with the steps."""
    current = np.maximum(sizes.current[0], _LEAST_CURRENT * sizes.current.max(initial=_LEAST_CURRENT))
    batteries, devices = len(sizes.battery_p), len(sizes.device_s)
    columns = number_columns(grid.nodes, len(grid.ends), batteries, devices - batteries)
    to_end = _own_limit_at_to_end(grid, sizes)
    entries = Entries()
    zero = _equalities(entries, grid, columns, current)
    _inject(entries, columns, sizes, zero)
    limits = _inequalities(entries, columns)
    to_max = entries.block(len(to_end))
    _, _, c, d = grid.chain[:, to_end]
    _put_square(entries, to_max, columns, _Form(to_end, grid.ends[to_end, 0], c, d, current[to_end], 1.0))
    cones = _cones(entries, grid, columns, sizes)
    rows = Rows(**zero, **limits, to_max=to_max, **cones)
    return Relaxation(entries.matrix(columns.width), columns, rows, current, to_end)


def _own_limit_at_to_end(grid: Grid, sizes: Sizes) -> Ints:
    """Branches at whose to end the current may pass its range although it keeps the one at the from end."""
    _, _, c, d = grid.chain
    reached = np.abs(c) * sizes.vm_max_pu[grid.ends[:, 0]] + np.abs(d) * sizes.current[0]
    return np.flatnonzero(reached > _HARDLY * sizes.current[1])


def _equalities(entries: Entries, grid: Grid, columns: Columns, current: Floats) -> dict[str, Ints]:
    """Balance of every node, Ohm's law of every branch, the voltage of the slack."""
    start, end = grid.ends.T
    a, b, c, d = grid.chain
    balance_p, balance_q = entries.block(grid.nodes), entries.block(grid.nodes)
    entries.put(balance_p, columns.u, grid.shunt.real)
    entries.put(balance_q, columns.u, -grid.shunt.imag)
    entries.put(balance_p[start], columns.p, current)
    entries.put(balance_q[start], columns.q, current)
    # S_t = V_t conj(I_t) with both put in terms of the from end.
    own, square, ahead, behind = a * c.conj(), b * d.conj() * current**2, a * d.conj() * current, b * c.conj() * current
    for row, of_u, of_square, of_p, of_q in (
        (balance_p, own.real, square.real, ahead.real + behind.real, behind.imag - ahead.imag),
        (balance_q, own.imag, square.imag, ahead.imag + behind.imag, ahead.real - behind.real),
    ):
        for column, value in ((columns.u[start], of_u), (columns.square, of_square), (columns.p, of_p), (columns.q, of_q)):
            entries.put(row[end], column, value)
    slack = np.array([grid.slack_node])
    entries.put(balance_p[slack], columns.into, -1.0)
    entries.put(balance_p[slack], columns.out, 1.0)
    entries.put(balance_q[slack], columns.slack_q, -1.0)
    ohm, slack_u = entries.block(len(start)), entries.block(1)
    _put_square(entries, ohm, columns, _Form(np.arange(len(start)), start, a, b, current, -1.0))
    entries.put(ohm, columns.u[end], 1.0)
    entries.put(slack_u, columns.u[slack], 1.0)
    return {"balance_p": balance_p, "balance_q": balance_q, "ohm": ohm, "slack_u": slack_u}


def _put_square(entries: Entries, rows: Ints, columns: Columns, form: _Form) -> None:
    """Adds `sign |x V_f + y I_f|^2`, the squared voltage or current at a to end, to one row a branch."""
    cross = 2 * form.x * form.y.conj() * form.current * form.sign
    entries.put(rows, columns.u[form.start], form.sign * np.abs(form.x) ** 2)
    entries.put(rows, columns.square[form.branch], form.sign * np.abs(form.y * form.current) ** 2)
    entries.put(rows, columns.p[form.branch], cross.real)
    entries.put(rows, columns.q[form.branch], -cross.imag)


def _inject(entries: Entries, columns: Columns, sizes: Sizes, zero: dict[str, Ints]) -> None:
    """Adds the devices to the balance of their nodes; those at dead buses move nothing."""
    batteries = len(sizes.battery_p)
    at_battery, at_pv = sizes.device_node[:batteries], sizes.device_node[batteries:]
    battery_s, pv_s = sizes.device_s[:batteries], sizes.device_s[batteries:]
    moved = [
        (zero["balance_p"], at_battery, columns.charge, sizes.battery_p),
        (zero["balance_p"], at_battery, columns.discharge, -sizes.battery_p),
        (zero["balance_p"], at_pv, columns.pv, -pv_s),
    ]
    if sizes.reactive:
        moved += [(zero["balance_q"], at_battery, columns.battery_q, -battery_s), (zero["balance_q"], at_pv, columns.pv_q, -pv_s)]
    for row, node, column, value in moved:
        live = node >= 0
        entries.put(row[node[live]], column[live], value[live])


def _inequalities(entries: Entries, columns: Columns) -> dict[str, Ints]:
    """Boxes, and the rating that a battery's two directions share."""
    positive = np.concatenate([columns.into, columns.out, columns.charge, columns.discharge, columns.pv])
    boxes = {
        "u_max": (columns.u, 1.0),
        "u_min": (columns.u, -1.0),
        "square_max": (columns.square, 1.0),
        "slack_max": (np.concatenate([columns.into, columns.out]), 1.0),
        "positive": (positive, -1.0),
        "pv_max": (columns.pv, 1.0),
        "direction": (columns.charge, 1.0),
    }
    rows = {name: entries.block(len(part)) for name, (part, _) in boxes.items()}
    for name, (part, sign) in boxes.items():
        entries.put(rows[name], part, sign)
    entries.put(rows["direction"], columns.discharge, 1.0)
    return rows


def _cones(entries: Entries, grid: Grid, columns: Columns, sizes: Sizes) -> dict[str, Ints]:
    """`u l >= p^2 + q^2` as `(u + l, u - l, 2p, 2q)`, and `(1, p, q)` of each device in units of its rating."""
    branches, batteries, devices = len(grid.ends), len(sizes.battery_p), len(sizes.device_s)
    branch_cone, circle = entries.block(4 * branches), entries.block(3 * devices if sizes.reactive else 0)
    u = columns.u[grid.ends[:, 0]]
    for row, column, value in (
        (0, u, -1),
        (0, columns.square, -1),
        (1, u, -1),
        (1, columns.square, 1),
        (2, columns.p, -2),
        (3, columns.q, -2),
    ):
        entries.put(branch_cone[row::4], column, value)
    if not sizes.reactive:
        return {"branch_cone": branch_cone, "circle": circle}
    share = np.divide(sizes.battery_p, sizes.device_s[:batteries], out=np.zeros(batteries), where=sizes.battery_p > 0)
    entries.put(circle[1 : 3 * batteries : 3], columns.charge, share)
    entries.put(circle[1 : 3 * batteries : 3], columns.discharge, -share)
    entries.put(circle[3 * batteries + 1 :: 3], columns.pv, -1.0)
    entries.put(circle[2::3], np.concatenate([columns.battery_q, columns.pv_q]), -1.0)
    return {"branch_cone": branch_cone, "circle": circle}
