"""A small feeder with a year of series: `tiny` over and over, with lines so long that the network has something to say."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandapower as pp

from gridnet.resources import data_dir

DAYS = 366


def write_year(folder: Path) -> Path:
    """Writes network, series and scenario; gives the scenario's file."""
    networks = data_dir() / "networks"
    net = pp.from_json(str(networks / "tiny.json"))
    net.line["length_km"] = 0.2
    pp.create_storage(net, 3, p_mw=0.0, sn_mva=0.005, max_e_mwh=0.010, name="battery A")
    pp.to_json(net, str(folder / "year.json"))
    for kind in ("load", "pv", "price", "carbon"):
        _tile(networks / f"tiny_{kind}.csv", folder / f"{kind}.csv")
    text = (data_dir() / "scenarios" / "tiny.toml").read_text(encoding="utf-8")
    text = text.replace('name = "tiny"', 'name = "year"').replace("../networks/tiny.json", "year.json")
    text = text.replace("../networks/tiny_", "").replace("soc_start = 0.0", "soc_start = 0.5")
    scenario = folder / "year.toml"
    scenario.write_text(text, encoding="utf-8")
    return scenario


def _tile(source: Path, target: Path) -> None:
    """The rows of five weeks, moved on by five weeks until the year is full."""
    header, *rows = source.read_text(encoding="utf-8").splitlines()
    names = header.split(",")
    at = names.index("timestamp")
    cells = [row.split(",") for row in rows]
    times = [datetime.fromisoformat(row[at]) for row in cells]
    period = max(times) - min(times) + timedelta(hours=1)
    end = min(times) + timedelta(days=DAYS)
    lines = [header]
    for device in dict.fromkeys(row[0] if at else "" for row in cells):
        own = [(time, row) for time, row in zip(times, cells, strict=True) if not at or row[0] == device]
        for again in range(DAYS // period.days + 1):
            moved = ((time + again * period, row) for time, row in own)
            lines += [",".join((*row[:at], time.isoformat(), *row[at + 1 :])) for time, row in moved if time < end]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
