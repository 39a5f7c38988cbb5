"""What is wrong with a network before pandapower is asked to solve it: every fault, by table, row and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from gridnet.errors import Fault

_MODELLED = {"bus", "line", "trafo", "switch", "load", "sgen", "storage", "ext_grid", "shunt"}
"""Elements that the compiled power flow models. A network that holds any other in service is refused, never bent."""

_Check = Callable[[Any], Any]


def _above_zero(values: Any) -> Any:
    return values > 0


def _not_below_zero(values: Any) -> Any:
    return values >= 0


def _known(values: Any) -> Any:
    return np.isfinite(values)


_NUMBERS: dict[str, dict[str, tuple[_Check, str]]] = {
    "bus": {"vn_kv": (_above_zero, "more than 0 kV")},
    "line": {
        "length_km": (_above_zero, "more than 0 km"),
        "r_ohm_per_km": (_not_below_zero, "at least 0"),
        "x_ohm_per_km": (_known, "a number"),
        "c_nf_per_km": (_not_below_zero, "at least 0"),
        "max_i_ka": (_above_zero, "more than 0 kA: rated current"),
    },
    "trafo": {
        "sn_mva": (_above_zero, "more than 0 MVA: rating"),
        "vk_percent": (_above_zero, "more than 0"),
        "vkr_percent": (_not_below_zero, "at least 0"),
    },
    "ext_grid": {"vm_pu": (_above_zero, "more than 0 pu")},
    "load": {"p_mw": (_known, "a number"), "q_mvar": (_known, "a number")},
    "sgen": {"p_mw": (_not_below_zero, "at least 0: rated generation")},
    "storage": {"max_e_mwh": (_above_zero, "more than 0 MWh: capacity")},
}

_BUSES = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "ext_grid": ("bus",),
    "load": ("bus",),
    "sgen": ("bus",),
    "storage": ("bus",),
}

_VOLTAGE_SHARES = ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent", "const_i_q_percent")


def network_faults(net: Any, name: str) -> list[Fault]:
    """Everything wrong with the pandapower network `net` of scenario `name`; devices out of service don't count."""
    return [
        *_unmodelled(net, name),
        *_connection(net, name),
        *(fault for table in _BUSES for fault in _astray(net, table, f"{name}: network.{table}")),
        *(fault for table in _NUMBERS for fault in _impossible(net[table], f"{name}: network.{table}", _NUMBERS[table])),
        *_without_impedance(net.line, f"{name}: network.line"),
        *_battery_ratings(net.storage, f"{name}: network.storage"),
        *_voltage_dependent(net.load, f"{name}: network.load"),
    ]


def _unmodelled(net: Any, name: str) -> Iterator[Fault]:
    for table, element in net.items():
        if table in _MODELLED or table.startswith(("res_", "_")) or not isinstance(element, pd.DataFrame):
            continue
        live = int(element["in_service"].astype(bool).sum()) if "in_service" in element else 0
        if live:
            yield Fault(f"{name}: network.{table}", f"{live} in service", "none: gridnet does not model them")


def _connection(net: Any, name: str) -> Iterator[Fault]:
    count = int(net.ext_grid.in_service.astype(bool).sum())
    if count != 1:
        yield Fault(f"{name}: network.ext_grid", f"{count} in service", "exactly one connection point")
    for index, row in net.ext_grid.iterrows():
        if row.in_service and row.bus in net.bus.index and not net.bus.in_service[row.bus]:
            yield Fault(f"{name}: network.ext_grid[{index}].bus", f"bus {row.bus}, out of service", "a bus in service")


def _impossible(element: Any, where: str, checks: dict[str, tuple[_Check, str]]) -> Iterator[Fault]:
    for column, (check, expected) in checks.items():
        values = pd.to_numeric(element[column], errors="coerce").to_numpy(dtype=np.float64)
        for row in np.flatnonzero(~(check(values) & np.isfinite(values))):
            yield Fault(f"{where}[{element.index[row]}].{column}", str(element[column].iloc[row]), expected)


def _astray(net: Any, table: str, where: str) -> Iterator[Fault]:
    for column in _BUSES[table]:
        for index, bus in net[table][column].items():
            if bus not in net.bus.index:
                yield Fault(f"{where}[{index}].{column}", str(bus), "a bus of the network")


def _without_impedance(line: Any, where: str) -> Iterator[Fault]:
    for index, row in line.iterrows():
        if row.r_ohm_per_km == 0 and row.x_ohm_per_km == 0:
            yield Fault(f"{where}[{index}]", "no impedance", "r_ohm_per_km or x_ohm_per_km above 0; join buses by a switch")


def _battery_ratings(storage: Any, where: str) -> Iterator[Fault]:
    for index, row in storage.iterrows():
        rating = row.p_mw if pd.isna(row.sn_mva) else row.sn_mva
        column = "p_mw" if pd.isna(row.sn_mva) else "sn_mva"
        if not np.isfinite(rating) or (column == "sn_mva" and rating < 0):
            yield Fault(f"{where}[{index}].{column}", str(rating), "at least 0 MW: power rating")


def _voltage_dependent(load: Any, where: str) -> Iterator[Fault]:
    for index, row in load.iterrows():
        shares = [row.get(column, 0.0) for column in _VOLTAGE_SHARES]
        if any(pd.notna(share) and share != 0 for share in shares):
            yield Fault(f"{where}[{index}].const_z/const_i", f"{shares} percent", "0: loads of constant power")
