"""RL-ADN's published task as a scenario folder: its 34-bus feeder, five batteries, load and price, read from its wheel.

The wheel is a file to read here: nothing of it is imported or installed. What becomes of each figure, and where the two projects
differ, stands in docs/rl_adn.md.

Source: S. Hou et al., "RL-ADN: A high-performance deep reinforcement learning environment for optimal energy storage systems
dispatch in active distribution networks", arXiv 2408.03685, 2024. Wheel and series: MIT licence.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridnet.app.outputs import folder_faults
from gridnet.errors import Fault, InputError
from gridnet.network import PlainNetwork, write_network

Floats = NDArray[np.float64]

WHEEL = "RL_ADN-0.1.3-py3-none-any.whl"
WHEEL_SHA256 = "c69911c78e20151e5c14fe77d9e77474f0ec4f86daad8a3b84426fc3bc5f5e7e"
_COMMAND = "pip download rl-adn==0.1.3 --no-deps"

_SOURCES = "power_network_rl/data_sources"
_NODES = f"{_SOURCES}/network_data/node_34/Nodes_34.csv"
_LINES = f"{_SOURCES}/network_data/node_34/Lines_34.csv"
_SERIES = f"{_SOURCES}/time_series_data/34_node_time_series.csv"
_LICENCE = "RL_ADN-0.1.3.dist-info/License"

_KV = 11.0
_BATTERY_BUSES = (11, 15, 26, 29, 33)
"""Counted from 0, as the environment counts them: nodes 12, 16, 27, 30 and 34 of its tables."""
_BATTERY_KW = 300.0
_CAPACITY_KWH = {"rl_adn34": 1000.0, "rl_adn34_as_shipped": 3000.0}
"""By scenario. The wheel's battery counts five minutes of each quarter-hour, which is a battery of three times its capacity."""

_TITLE = {
    "rl_adn34": "RL-ADN's 34-bus feeder with five batteries of 300 kW and 1000 kWh, as described",
    "rl_adn34_as_shipped": "RL-ADN's 34-bus feeder with the batteries that its wheel simulates: 300 kW and 3000 kWh",
}

_SCENARIO = """\
name = "{name}"
title = "{title}"

[network]
file = "{name}.json"

[limits]
vm_min_pu = 0.95
vm_max_pu = 1.05

[battery]
efficiency_charge = 1.0
efficiency_discharge = 1.0
self_discharge_per_day = 0.0
soc_min = 0.2
soc_max = 0.8
soc_start = 0.4
wear_eur_per_kwh = 0.0

[inverter]
s_per_p = 1.0

[tariff]
grid_fee_eur_per_mwh = 0.0

[series]
load = {{ file = "load.parquet", unit = "kW", source = "rl-adn 0.1.3, 34_node_time_series.csv", licence = "MIT" }}
price = {{ file = "price.parquet", unit = "EUR/MWh", source = "rl-adn 0.1.3, 34_node_time_series.csv", licence = "MIT" }}
carbon = {{ file = "carbon.parquet", unit = "g/kWh", source = "none: the task has no carbon, so 0", licence = "MIT" }}
"""


class _Published(NamedTuple):
    """What the wheel holds: its two network tables, quarter-hours as stamps, and its series on them."""

    nodes: pd.DataFrame
    lines: pd.DataFrame
    stamps: pd.DatetimeIndex
    net_load_kw: Floats
    """(steps, nodes) load less renewable generation."""
    price_eur_per_mwh: Floats
    licence: bytes


def import_rl_adn(wheel: Path, folder: str) -> list[Path]:
    """Writes the scenario folder from the wheel of rl-adn 0.1.3; gives the scenario files.

    `rl_adn34.toml` is the task as described, `rl_adn34_as_shipped.toml` with the batteries that the wheel simulates.

    Raises `InputError` where the wheel is missing or another one, the folder is not empty, or a file can't be written.
    """
    faults = folder_faults("DIR", folder)
    target = Path(folder)
    if not faults and target.is_dir() and any(target.iterdir()):
        faults.append(Fault("DIR", repr(folder), "an empty or a new folder, so that no scenario overwrites one"))
    content = _content(wheel, faults)
    if content is None or faults:
        raise InputError("the task can't be imported:", faults)
    published = _published(content)
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _write(published, target)
    except OSError as error:
        raise InputError(f"can't write into {target}: {error.strerror}; free the disk or name another folder") from error


def _content(wheel: Path, faults: list[Fault]) -> bytes | None:
    """The wheel's bytes, where it is the one whose figures this module knows."""
    get_it = f"{WHEEL}, which `{_COMMAND}` puts into the current folder"
    try:
        content = wheel.read_bytes()
    except OSError as error:
        faults.append(Fault("FILE", f"{str(wheel)!r} ({error.strerror})", get_it))
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != WHEEL_SHA256:
        faults.append(Fault("FILE", f"{str(wheel)!r} with sha256 {sha256}", f"{get_it}, with sha256 {WHEEL_SHA256}"))
    return content


def _published(content: bytes) -> _Published:
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        nodes, lines, series = (pd.read_csv(io.BytesIO(wheel.read(member))) for member in (_NODES, _LINES, _SERIES))
        licence = wheel.read(_LICENCE)
    # One stamp is a second late, and its row lacks price and generation: the environment fills such gaps as here.
    stamps = pd.DatetimeIndex(pd.to_datetime(series.pop("date_time"), utc=True).dt.round("15min"))
    series = series.interpolate()
    kinds = [[f"{kind}_node_{node}" for node in nodes["NODES"]] for kind in ("active_power", "renewable_active_power")]
    load_kw, renewable_kw = (series[columns].to_numpy(dtype=np.float64) for columns in kinds)
    return _Published(nodes, lines, stamps, load_kw - renewable_kw, series["price"].to_numpy(dtype=np.float64), licence)


def _write(published: _Published, target: Path) -> list[Path]:
    loaded = published.nodes["Tb"].to_numpy() == 0  # what the slack node draws never passes the network
    names = tuple(f"node {node}" for node in published.nodes["NODES"])
    net_load_kw = published.net_load_kw[:, loaded]
    plain = PlainNetwork(
        kv=_KV,
        bus_name=names,
        line_bus=published.lines[["FROM", "TO"]].to_numpy(dtype=np.int64) - 1,
        line_ohm=published.lines[["R", "X"]].to_numpy(dtype=np.float64),
        load_name=tuple(name for name, draws in zip(names, loaded, strict=True) if draws),
        load_bus=np.flatnonzero(loaded),
        load_p_kw=net_load_kw.max(axis=0),
        battery_name=tuple(f"battery {names[bus]}" for bus in _BATTERY_BUSES),
        battery_bus=np.array(_BATTERY_BUSES),
        battery_p_kw=np.full(len(_BATTERY_BUSES), _BATTERY_KW),
        battery_e_kwh=np.zeros(len(_BATTERY_BUSES)),
    )
    _series(plain.load_name, -net_load_kw, published.stamps).to_parquet(target / "load.parquet", index=False)
    price = pd.DataFrame({"timestamp": published.stamps, "value": published.price_eur_per_mwh})
    price.to_parquet(target / "price.parquet", index=False)
    price.assign(value=0.0).to_parquet(target / "carbon.parquet", index=False)
    (target / "LICENSE.rl-adn").write_bytes(published.licence)
    for name, capacity_kwh in _CAPACITY_KWH.items():
        sized = plain._replace(battery_e_kwh=np.full(len(_BATTERY_BUSES), capacity_kwh))
        write_network(sized, target / f"{name}.json")
        (target / f"{name}.toml").write_text(_SCENARIO.format(name=name, title=_TITLE[name]), encoding="utf-8")
    return [target / f"{name}.toml" for name in _CAPACITY_KWH]


def _series(devices: tuple[str, ...], p_kw: Floats, stamps: pd.DatetimeIndex) -> pd.DataFrame:
    """`p_kw` (steps, devices) as rows of device, time and value, with the reactive power 0 that the task gives every load."""
    return pd.DataFrame(
        {
            "device": np.repeat(devices, len(stamps)),
            "timestamp": pd.DatetimeIndex(np.tile(stamps, len(devices)), tz="UTC"),
            "value": p_kw.T.ravel(),
            "q_kvar": 0.0,
        }
    )
