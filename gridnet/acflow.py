"""The numba kernels of the AC power flow: `LANES` operating points side by side, so that each instruction serves several.

Each `_make_*` compiles one kernel for a fixed number of lanes, which is what lets the compiler unroll and vectorise the
lane loops. Arithmetic is plain IEEE (no fastmath): a point gives the same bits alone and in any batch.

Shapes inside a block of lanes: node arrays are (nodes + 1, lanes) with the slack last, lane arrays (lanes,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.kernels import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LANES = 8
MAX_ITERATIONS = 200
TOLERANCE_PU = 1e-9
KVA_PER_PU = 1000.0
BALANCE = 4
"""Columns behind the branches in the kernel's output: loss kW, slack kW, slack kvar, 1 where converged."""


class Network(NamedTuple):
    """A compiled network as few flat arrays (each costs time to hand to a kernel); complex values are pairs.

    Nodes stand in elimination order, the slack is node `nodes`, -1 is nowhere.
    """

    bus_node: Ints
    """(buses,)"""
    entry_start: Ints
    """(nodes + 1,) first factor entry of each node."""
    entry_node: Ints
    """(entries,) the later node that an entry links to."""
    entry: Floats
    """(entries, 4) lower and upper factor."""
    node: Floats
    """(nodes, 8) inverse pivot; current driven by the slack voltage; no-load voltage; admittance from the slack."""
    slack: Floats
    """(4,) slack voltage and its own admittance."""
    branch_node: Ints
    """(branches, 2)"""
    branch: Floats
    """(branches, 10) yff, yft, ytf, ytt; percent of rated current for 1 pu at the from and at the to end."""


def _make_load(lanes: int) -> Callable[..., None]:
    @kernel
    def load(net: Network, p_kw: Floats, q_kvar: Floats, first: int, sr: Any, si: Any, vr: Any, vi: Any, total: Any) -> None:
        """Fills the lanes with rows `first ..` (lanes past the end repeat the last row), at no-load voltage."""
        nodes = net.node.shape[0]
        rows, buses = p_kw.shape
        for n in range(nodes + 1):
            for k in range(lanes):
                sr[n, k] = 0.0
                si[n, k] = 0.0
        for k in range(lanes):
            row = min(first + k, rows - 1)
            total[k] = 0.0
            for b in range(buses):
                n = net.bus_node[b]
                if n >= 0:
                    sr[n, k] += p_kw[row, b] * (1.0 / KVA_PER_PU)
                    si[n, k] += q_kvar[row, b] * (1.0 / KVA_PER_PU)
                    total[k] += p_kw[row, b]
        for n in range(nodes):
            for k in range(lanes):
                vr[n, k] = net.node[n, 4]
                vi[n, k] = net.node[n, 5]
        for k in range(lanes):
            vr[nodes, k] = net.slack[0]
            vi[nodes, k] = net.slack[1]

    return load


def _make_sweep(lanes: int) -> Callable[..., None]:
    @kernel
    def sweep(net: Network, sr: Any, si: Any, vr: Any, vi: Any, br: Any, bi: Any) -> None:
        """Puts `Y^-1 (conj(s / v) - Y_s v_slack)` into `br`, `bi`."""
        nodes = net.node.shape[0]
        for n in range(nodes):
            for k in range(lanes):
                scale = 1.0 / (vr[n, k] * vr[n, k] + vi[n, k] * vi[n, k])
                br[n, k] = net.node[n, 2] + (sr[n, k] * vr[n, k] + si[n, k] * vi[n, k]) * scale
                bi[n, k] = net.node[n, 3] + (sr[n, k] * vi[n, k] - si[n, k] * vr[n, k]) * scale
        for n in range(nodes):
            for e in range(net.entry_start[n], net.entry_start[n + 1]):
                m, lr, li = net.entry_node[e], net.entry[e, 0], net.entry[e, 1]
                for k in range(lanes):
                    br[m, k] -= lr * br[n, k] - li * bi[n, k]
                    bi[m, k] -= lr * bi[n, k] + li * br[n, k]
        for n in range(nodes - 1, -1, -1):
            pr, pi = net.node[n, 0], net.node[n, 1]
            for k in range(lanes):
                xr = br[n, k] * pr - bi[n, k] * pi
                xi = br[n, k] * pi + bi[n, k] * pr
                br[n, k] = xr
                bi[n, k] = xi
            for e in range(net.entry_start[n], net.entry_start[n + 1]):
                m, ur, ui = net.entry_node[e], net.entry[e, 2], net.entry[e, 3]
                for k in range(lanes):
                    br[n, k] -= ur * br[m, k] - ui * bi[m, k]
                    bi[n, k] -= ur * bi[m, k] + ui * br[m, k]

    return sweep


def _make_iterate(lanes: int) -> Callable[..., None]:
    sweep = _make_sweep(lanes)

    @kernel
    def iterate(net: Network, work: Any, active: Any, moved: Any) -> None:
        """Runs the fixed point in place until every lane has settled: `active` ends 0 converged, 1 not, 2 broken.

        A settled lane is frozen, so that its neighbours' further iterations don't touch it.
        """
        sr, si, vr, vi, br, bi = work[0], work[1], work[2], work[3], work[4], work[5]
        for k in range(lanes):
            active[k] = 1.0
        for _ in range(MAX_ITERATIONS):
            sweep(net, sr, si, vr, vi, br, bi)
            for k in range(lanes):
                moved[k] = 0.0
            for n in range(net.node.shape[0]):
                for k in range(lanes):
                    dr = br[n, k] - vr[n, k]
                    di = bi[n, k] - vi[n, k]
                    # A sum, not a maximum: it keeps a NaN, whatever comes after it.
                    moved[k] += dr * dr + di * di
                    vr[n, k] = br[n, k] if active[k] == 1.0 else vr[n, k]
                    vi[n, k] = bi[n, k] if active[k] == 1.0 else vi[n, k]
            going = False
            for k in range(lanes):
                if active[k] == 1.0:
                    if moved[k] < TOLERANCE_PU * TOLERANCE_PU:
                        active[k] = 0.0
                    elif not moved[k] < 1e6:
                        active[k] = 2.0
                    else:
                        going = True
            if not going:
                break

    return iterate


def _make_balance(lanes: int) -> Callable[..., None]:
    @kernel
    def balance(net: Network, work: Any, active: Any, total: Any, ir: Any, ii: Any, out: Any) -> None:
        """Slack power and losses of each lane into `out` (rows, 4); voltages of lanes without a solution become NaN."""
        nodes = net.node.shape[0]
        sr, si, vr, vi = work[0], work[1], work[2], work[3]
        for k in range(lanes):
            if active[k] != 0.0:
                for n in range(nodes + 1):
                    vr[n, k] = np.nan
            ir[k] = net.slack[2] * vr[nodes, k] - net.slack[3] * vi[nodes, k]
            ii[k] = net.slack[2] * vi[nodes, k] + net.slack[3] * vr[nodes, k]
        for n in range(nodes):
            yr, yi = net.node[n, 6], net.node[n, 7]
            if yr != 0.0 or yi != 0.0:
                for k in range(lanes):
                    ir[k] += yr * vr[n, k] - yi * vi[n, k]
                    ii[k] += yr * vi[n, k] + yi * vr[n, k]
        for k in range(out.shape[0]):
            slack_p = (vr[nodes, k] * ir[k] + vi[nodes, k] * ii[k] - sr[nodes, k]) * KVA_PER_PU
            out[k, 0] = slack_p + total[k]
            out[k, 1] = slack_p
            out[k, 2] = (vi[nodes, k] * ir[k] - vr[nodes, k] * ii[k] - si[nodes, k]) * KVA_PER_PU
            out[k, 3] = 1.0 if active[k] == 0.0 else 0.0

    return balance


def _make_branches(lanes: int) -> Callable[..., None]:
    @kernel
    def branches(net: Network, work: Any, amp: Any, out: Any) -> None:
        """Loading of every branch, the worse of its two ends, in percent, into `out` (rows, branches)."""
        vr, vi = work[2], work[3]
        for e in range(net.branch_node.shape[0]):
            f, t = net.branch_node[e, 0], net.branch_node[e, 1]
            if f < 0 or t < 0:
                out[:, e] = 0.0
                continue
            y = net.branch[e]
            cf, ct = y[8] * y[8], y[9] * y[9]
            for k in range(lanes):
                fr = y[0] * vr[f, k] - y[1] * vi[f, k] + y[2] * vr[t, k] - y[3] * vi[t, k]
                fi = y[0] * vi[f, k] + y[1] * vr[f, k] + y[2] * vi[t, k] + y[3] * vr[t, k]
                tr = y[4] * vr[f, k] - y[5] * vi[f, k] + y[6] * vr[t, k] - y[7] * vi[t, k]
                ti = y[4] * vi[f, k] + y[5] * vr[f, k] + y[6] * vi[t, k] + y[7] * vr[t, k]
                at_from = (fr * fr + fi * fi) * cf
                at_to = (tr * tr + ti * ti) * ct
                amp[k] = np.sqrt(at_from if at_from > at_to else at_to)
            for k in range(out.shape[0]):
                out[k, e] = amp[k]

    return branches


def _make_solve(lanes: int) -> Callable[..., None]:
    load, iterate, balance, branches = _make_load(lanes), _make_iterate(lanes), _make_balance(lanes), _make_branches(lanes)

    @kernel
    def solve(net: Network, p_kw: Floats, q_kvar: Floats, out: Floats) -> None:
        """Solves all rows into `out` (rows, buses + branches + 4): vm_pu, loading percent, `BALANCE` columns."""
        rows, buses = p_kw.shape
        work = np.empty((6, net.node.shape[0] + 1, lanes))
        lane = np.empty((5, lanes))
        vr, vi, vm = work[2], work[3], work[4]
        for first in range(0, rows, lanes):
            last = min(first + lanes, rows)
            load(net, p_kw, q_kvar, first, work[0], work[1], vr, vi, lane[2])
            iterate(net, work, lane[0], lane[1])
            balance(net, work, lane[0], lane[2], lane[3], lane[4], out[first:last, out.shape[1] - BALANCE :])
            branches(net, work, lane[0], out[first:last, buses : out.shape[1] - BALANCE])
            for n in range(vr.shape[0]):
                for k in range(lanes):
                    vm[n, k] = np.sqrt(vr[n, k] * vr[n, k] + vi[n, k] * vi[n, k])
            for b in range(buses):
                n = net.bus_node[b]
                for k in range(last - first):
                    out[first + k, b] = vm[n, k] if n >= 0 else np.nan

    return solve


def _make_voltages(lanes: int) -> Callable[..., None]:
    load, iterate = _make_load(lanes), _make_iterate(lanes)

    @kernel
    def voltages(net: Network, p_kw: Floats, q_kvar: Floats, real: Floats, imag: Floats) -> None:
        """Complex node voltages (rows, nodes + 1), NaN where a row does not converge."""
        rows = p_kw.shape[0]
        work = np.empty((6, net.node.shape[0] + 1, lanes))
        lane = np.empty((3, lanes))
        for first in range(0, rows, lanes):
            load(net, p_kw, q_kvar, first, work[0], work[1], work[2], work[3], lane[2])
            iterate(net, work, lane[0], lane[1])
            for k in range(min(lanes, rows - first)):
                for n in range(work.shape[1]):
                    real[first + k, n] = work[2, n, k] if lane[0, k] == 0.0 else np.nan
                    imag[first + k, n] = work[3, n, k]

    return voltages


solve_lanes = _make_solve(LANES)
solve_one_lane = _make_solve(1)
solve_voltages = _make_voltages(LANES)
