"""The distribution network in pandapower, the model of record: reading, repairing, checking, solving at rest.

This is the only module that knows pandapower, and its objects never leave it: `build_feeder` gives plain arrays. pandapower
counts consumption and charging as positive, so its rated values arrive positive; gridnet's sign (p > 0 injects) begins with
the series made from them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
from numpy.typing import NDArray
from pandapower.io_utils import DeserializationNotAllowed
from pandapower.powerflow import LoadflowNotConverged

from gridnet.errors import Fault, InputError
from gridnet.feeder import BASE_KVA, BatteryTable, Feeder, SolvedModel
from gridnet.network_checks import network_faults
from gridnet.scenario import Prosumers, Scenario
from gridnet.series.compose import PvTable
from gridnet.series.households import LoadTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_UNRATED_KA = 9999.0
"""Benchmark networks without line ratings put 99999 kA in `max_i_ka`: no limit rather than a huge one."""


class PlainNetwork(NamedTuple):
    """Buses of one voltage, lines, loads and batteries as arrays, for `write_network`. Buses count from 0; bus 0 is the slack."""

    kv: float
    bus_name: tuple[str, ...]
    line_bus: Ints
    """(lines, 2)"""
    line_ohm: Floats
    """(lines, 2) series resistance and reactance; lines have no capacitance and no rating."""
    load_name: tuple[str, ...]
    load_bus: Ints
    load_p_kw: Floats
    """(loads,) rated draw, positive."""
    battery_name: tuple[str, ...]
    battery_bus: Ints
    battery_p_kw: Floats
    """(batteries,) power limit, both ways."""
    battery_e_kwh: Floats


def write_network(plain: PlainNetwork, path: Path) -> None:
    """Writes `plain` as pandapower JSON, for a scenario's `[network] file`. The slack bus is held at 1 pu. Raises `OSError`."""
    net = pp.create_empty_network(name=path.stem)
    buses = [pp.create_bus(net, vn_kv=plain.kv, name=name) for name in plain.bus_name]
    pp.create_ext_grid(net, buses[0], vm_pu=1.0)
    for (start, end), (r_ohm, x_ohm) in zip(plain.line_bus.tolist(), plain.line_ohm.tolist(), strict=True):
        pp.create_line_from_parameters(net, buses[start], buses[end], 1.0, r_ohm, x_ohm, c_nf_per_km=0.0, max_i_ka=_UNRATED_KA)
    for name, bus, p_kw in zip(plain.load_name, plain.load_bus.tolist(), plain.load_p_kw.tolist(), strict=True):
        pp.create_load(net, buses[bus], p_mw=p_kw / 1e3, name=name)
    ratings = zip(plain.battery_p_kw.tolist(), plain.battery_e_kwh.tolist(), strict=True)
    for name, bus, (p_kw, e_kwh) in zip(plain.battery_name, plain.battery_bus.tolist(), ratings, strict=True):
        pp.create_storage(net, buses[bus], p_mw=0.0, sn_mva=p_kw / 1e3, max_e_mwh=e_kwh / 1e3, name=name)
    path.write_text(pp.to_json(net), encoding="utf-8")


def build_feeder(scenario: Scenario) -> Feeder:
    """The scenario's network, checked, with prosumers added, solved at rest.

    Raises `InputError` that lists every fault: unsupported elements, devices at buses that don't exist, impossible
    ratings, or a network that does not converge at rest.
    """
    net = _read(scenario)
    _repair(net)
    faults = network_faults(net, scenario.name)
    if faults:
        raise InputError(f"the network of scenario {scenario.name} can't be used:", faults)
    _add_prosumers(net, scenario.prosumers)
    feeder = _tables(net, _solved_model(net, scenario.name))
    faults = _unsupplied(feeder, scenario.name)
    if faults:
        raise InputError(f"the network of scenario {scenario.name} can't be used:", faults)
    return feeder


def _unsupplied(feeder: Feeder, name: str) -> list[Fault]:
    """Devices at buses that nothing connects to the grid: they would count for nothing, in silence."""
    places = (("load", feeder.load_bus), ("sgen", feeder.pv_bus), ("storage", feeder.battery_bus))
    return [
        Fault(f"{name}: network.{table}[{row}].bus", feeder.bus_name[bus], "a bus with a path to the connection point")
        for table, buses in places
        for row, bus in enumerate(buses)
        if feeder.model.bus_node[bus] < 0
    ]


def reference_flow(scenario: Scenario, p_kw: Floats, q_kvar: Floats) -> dict[str, Floats]:
    """pandapower's own answer for injections at buses, row by row: the reference that the compiled flow is tested and
    timed against. `p_kw`, `q_kvar`: (batch, buses). Gives vm_pu, line_percent, trafo_percent, slack_p_kw, slack_q_kvar."""
    solve = reference_solver(scenario)
    rows: dict[str, list[Floats]] = {}
    for p_row, q_row in zip(p_kw, q_kvar, strict=True):
        for key, values in solve(p_row, q_row).items():
            rows.setdefault(key, []).append(values)
    return {key: np.array(values) for key, values in rows.items()}


def reference_solver(scenario: Scenario) -> Callable[[Floats, Floats], dict[str, Floats]]:
    """What `reference_flow` asks for each row, (buses,) each, with the network built once."""
    net = _read(scenario)
    _repair(net)
    net.load, net.sgen, net.storage = net.load.iloc[:0], net.sgen.iloc[:0], net.storage.iloc[:0]
    for bus in net.bus.index:
        pp.create_sgen(net, bus, p_mw=0.0)

    def solve(p_kw: Floats, q_kvar: Floats) -> dict[str, Floats]:
        net.sgen["p_mw"], net.sgen["q_mvar"] = p_kw / 1e3, q_kvar / 1e3
        _run(net)
        answers = {
            "vm_pu": net.res_bus.vm_pu,
            "line_percent": net.res_line.loading_percent.where(net.line.max_i_ka < _UNRATED_KA, 0.0),
            "trafo_percent": net.res_trafo.loading_percent,
            "slack_p_kw": net.res_ext_grid.p_mw * 1e3,
            "slack_q_kvar": net.res_ext_grid.q_mvar * 1e3,
        }
        return {key: values.to_numpy(dtype=np.float64) for key, values in answers.items()}

    return solve


def _read(scenario: Scenario) -> Any:
    source = scenario.network
    if source.simbench is not None:
        import simbench

        codes = simbench.collect_all_simbench_codes()
        if source.simbench not in codes:
            raise InputError(f"'{source.simbench}' is not a SimBench code; one of the low-voltage codes is 1-LV-rural1--2-sw")
        return simbench.get_simbench_net(source.simbench)
    if source.builtin is not None:
        return {"cigre_lv": pn.create_cigre_network_lv, "ieee33": pn.case33bw}[source.builtin]()
    assert source.file is not None
    try:
        net = pp.from_json(str(source.file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserWarning, DeserializationNotAllowed) as error:
        raise InputError(f"{source.file} is not a pandapower network saved with pandapower.to_json: {error}") from error
    if not isinstance(net, pp.pandapowerNet):
        raise InputError(f"{source.file} is not a pandapower network saved with pandapower.to_json")
    return net


def _repair(net: Any) -> None:
    """Sets what pandapower would otherwise silently ignore or choke on."""
    if len(net.trafo):
        # SimBench leaves the tap changer's type empty, and pandapower then ignores the tap position.
        tapped = net.trafo.tap_pos.notna() & net.trafo.tap_step_percent.notna() & net.trafo.tap_changer_type.isna()
        net.trafo["tap_changer_type"] = net.trafo.tap_changer_type.astype(object)
        net.trafo.loc[tapped, "tap_changer_type"] = "Ratio"
    for table in ("load", "sgen", "storage"):
        element = net[table]
        net[table] = element[element.in_service.astype(bool)].copy()


def _add_prosumers(net: Any, prosumers: Prosumers) -> None:
    """Adds seeded PV to a share of the loads and batteries to a share of the PV; the largest remainder is rounded."""
    rng = np.random.default_rng(prosumers.seed)
    loads = net.load.index.to_numpy()
    hosts = rng.choice(loads, size=round(prosumers.pv_share * len(loads)), replace=False)
    with_battery = set(rng.choice(hosts, size=round(prosumers.battery_share * len(hosts)), replace=False).tolist())
    for host in sorted(hosts.tolist()):
        row = net.load.loc[host]
        peak_mw = float(row.p_mw) * prosumers.pv_per_load
        label = row["name"] or host
        pp.create_sgen(net, row.bus, p_mw=peak_mw, name=f"PV {label}", type="PV")
        if host in with_battery:
            power_mw = peak_mw * prosumers.battery_per_pv
            capacity_mwh = power_mw * prosumers.battery_hours
            pp.create_storage(net, row.bus, p_mw=0.0, sn_mva=power_mw, max_e_mwh=capacity_mwh, name=f"Battery {label}")


def _tables(net: Any, model: SolvedModel) -> Feeder:
    position = {bus: k for k, bus in enumerate(net.bus.index)}

    def at(buses: Any) -> Ints:
        return np.array([position[bus] for bus in buses], dtype=np.int64)

    def names(table: str) -> tuple[str, ...]:
        element = net[table]
        return tuple(str(row) if row is not None and pd.notna(row) else f"{table} {k}" for k, row in element.name.items())

    def profiles(table: str) -> tuple[str | None, ...]:
        column = net[table].get("profile", pd.Series(None, index=net[table].index, dtype=object))
        return tuple(None if pd.isna(value) else str(value) for value in column)

    def kilo(table: str, column: str) -> Floats:
        return np.asarray(net[table][column].to_numpy(dtype=np.float64) * 1e3)

    scaling = {table: net[table].scaling.to_numpy(dtype=np.float64) for table in ("load", "sgen")}
    rating = net.storage.sn_mva.fillna(net.storage.p_mw.abs()).to_numpy(dtype=np.float64) * 1e3
    p_kw, q_kvar = (kilo("load", column) * scaling["load"] for column in ("p_mw", "q_mvar"))
    load = LoadTable(names("load"), profiles("load"), p_kw, q_kvar)
    return Feeder(
        bus_name=names("bus"),
        bus_xy=_coordinates(net, position),
        bus_kv=net.bus.vn_kv.to_numpy(dtype=np.float64),
        slack_bus=position[net.ext_grid[net.ext_grid.in_service.astype(bool)].bus.iloc[0]],
        line_name=names("line"),
        line_bus=np.stack([at(net.line.from_bus), at(net.line.to_bus)], axis=1).reshape(-1, 2),
        trafo_name=names("trafo"),
        trafo_bus=np.stack([at(net.trafo.hv_bus), at(net.trafo.lv_bus)], axis=1).reshape(-1, 2),
        trafo_kva=kilo("trafo", "sn_mva"),
        load=load,
        load_bus=at(net.load.bus),
        pv=PvTable(names("sgen"), profiles("sgen"), kilo("sgen", "p_mw") * scaling["sgen"]),
        pv_bus=at(net.sgen.bus),
        battery=BatteryTable(names("storage"), rating, kilo("storage", "max_e_mwh")),
        battery_bus=at(net.storage.bus),
        model=model,
    )


def _coordinates(net: Any, position: dict[Any, int]) -> Floats:
    xy = np.full((len(position), 2), np.nan)
    for bus, geo in net.bus.get("geo", pd.Series(dtype=object)).items():
        if isinstance(geo, str):
            xy[position[bus]] = json.loads(geo)["coordinates"][:2]
    # Buses without coordinates are drawn at a fixed place beside the others; a map with a heap in its corner says so itself.
    return np.where(np.isnan(xy), 0.0, xy)


def _run(net: Any) -> None:
    pp.runpp(net, init="dc", lightsim2grid=False, tolerance_mva=1e-10, numba=False)


def _solved_model(net: Any, name: str) -> SolvedModel:
    """Solves `net` at rest (no injections) and takes its admittances.

    Reads pandapower's private `_ppc["internal"]` and `_pd2ppc_lookups`: the version is pinned and the tests compare
    every shipped network with `runpp`.
    """
    net = copy.deepcopy(net)
    for table in ("load", "sgen", "storage"):
        net[table]["scaling"] = 0.0
    try:
        _run(net)
    except LoadflowNotConverged as error:
        raise InputError(
            f"the network of scenario {name} can't be used:",
            [Fault(f"{name}: network", "no AC solution at rest", "a network that converges with nothing connected")],
        ) from error
    inner = net._ppc["internal"]
    alive = net._ppc["bus"][:, 1] != 4
    node_of_row = np.where(alive, np.cumsum(alive) - 1, -1)
    lookup = net._pd2ppc_lookups["bus"]
    live_bus = net.bus.in_service.to_numpy(dtype=bool)
    bus_node = np.where(live_bus, node_of_row[lookup[net.bus.index.to_numpy()]], -1)
    slack_node = int(np.asarray(inner["ref"])[0])
    branch_node, branch_y = _branches(net, inner)
    return SolvedModel(
        bus_node=bus_node.astype(np.int64),
        slack_node=slack_node,
        slack_voltage=complex(inner["V"][slack_node]),
        admittance=np.asarray(inner["Ybus"].todense(), dtype=np.complex128) * (float(inner["baseMVA"]) * 1e3 / BASE_KVA),
        branch_node=branch_node,
        branch_admittance=branch_y * (float(inner["baseMVA"]) * 1e3 / BASE_KVA),
        branch_percent=_ratings(net),
        lines=len(net.line),
    )


def _branches(net: Any, inner: Any) -> tuple[Ints, NDArray[np.complex128]]:
    """Nodes and two-port admittances of lines, then transformers, in table order; -1 and 0 where out of service."""
    live = np.flatnonzero(inner["branch_is"])
    rows = {int(row): k for k, row in enumerate(live)}
    lookup = net._pd2ppc_lookups["branch"]
    wanted = [row for table in ("line", "trafo") if table in lookup for row in range(*lookup[table])]
    node = np.full((len(wanted), 2), -1, dtype=np.int64)
    admittance = np.zeros((len(wanted), 4), dtype=np.complex128)
    from_y, to_y = inner["Yf"].tocsr(), inner["Yt"].tocsr()
    for k, row in enumerate(wanted):
        if row in rows:
            r = rows[row]
            f, t = (int(end) for end in np.real(inner["branch"][r, :2]))
            node[k] = f, t
            admittance[k] = from_y[r, f], from_y[r, t], to_y[r, f], to_y[r, t]
    return node, admittance


def _ratings(net: Any) -> Floats:
    """(branches, 2) percent of rated current for 1 pu of current on `BASE_KVA` at each end."""
    kv = net.bus.vn_kv
    rows = []
    for line in net.line.itertuples():
        rated_ka = line.max_i_ka * line.df * line.parallel
        percent = 0.0 if line.max_i_ka >= _UNRATED_KA else 100 * BASE_KVA / 1e3 / (np.sqrt(3) * rated_ka)
        rows.append((percent / kv[line.from_bus], percent / kv[line.to_bus]))
    for trafo in net.trafo.itertuples():
        percent = 100 * BASE_KVA / 1e3 / (trafo.sn_mva * trafo.df * trafo.parallel)
        rows.append((percent * trafo.vn_hv_kv / kv[trafo.hv_bus], percent * trafo.vn_lv_kv / kv[trafo.lv_bus]))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
