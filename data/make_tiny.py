"""Writes the scenario `tiny`'s network and series: a feeder whose best dispatch can be worked out by hand.

Five buses, two homes that draw 2 kW each all day, 10 kW of sun from 10:00 to 14:00, a battery of 10 kW and 20 kWh, a price of
50 EUR/MWh that stands at 250 from 18:00 to 22:00. Five equal weeks, so that the last one is held out. The lines are short
enough for losses not to matter. Run from the top of the tree: `python data/make_tiny.py`.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandapower as pp

FOLDER = Path(__file__).parent / "networks"
CET = timezone(timedelta(hours=1))
START = datetime(2018, 1, 1, tzinfo=CET)
HOURS = 5 * 7 * 24


def network() -> pp.pandapowerNet:
    """A slack bus and four more in a row, branching once."""
    net = pp.create_empty_network(name="tiny")
    buses = [
        pp.create_bus(net, vn_kv=0.4, name=f"bus {k}", geodata=xy) for k, xy in enumerate([(0, 0), (1, 0), (2, 0), (2, 1), (3, 1)])
    ]
    pp.create_ext_grid(net, buses[0], vm_pu=1.0, name="grid")
    for k, (start, end) in enumerate([(0, 1), (1, 2), (1, 3), (3, 4)]):
        pp.create_line_from_parameters(
            net,
            buses[start],
            buses[end],
            0.01,
            r_ohm_per_km=0.2,
            x_ohm_per_km=0.08,
            c_nf_per_km=0.0,
            max_i_ka=0.27,
            name=f"line {k}",
        )
    for name, bus in (("home A", 3), ("home B", 4)):
        pp.create_load(net, buses[bus], p_mw=0.002, q_mvar=0.0, name=name)
    pp.create_sgen(net, buses[2], p_mw=0.010, name="roof", type="PV")
    pp.create_storage(net, buses[2], p_mw=0.0, sn_mva=0.010, max_e_mwh=0.020, name="battery")
    return net


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    pp.to_json(network(), str(FOLDER / "tiny.json"))
    stamps = [START + timedelta(hours=hour) for hour in range(HOURS)]
    sun = [10 if 10 <= stamp.hour < 14 else 0 for stamp in stamps]
    spot = [250 if 18 <= stamp.hour < 22 else 50 for stamp in stamps]
    series = {
        "load": (
            "device,timestamp,value,unit",
            [f"{home},{stamp.isoformat()},-2,kW" for home in ("home A", "home B") for stamp in stamps],
        ),
        "pv": ("device,timestamp,value,unit", [f"roof,{stamp.isoformat()},{kw},kW" for stamp, kw in zip(stamps, sun, strict=True)]),
        "price": ("timestamp,value,unit", [f"{stamp.isoformat()},{eur},EUR/MWh" for stamp, eur in zip(stamps, spot, strict=True)]),
        "carbon": ("timestamp,value,unit", [f"{stamp.isoformat()},400,g/kWh" for stamp in stamps]),
    }
    for name, (head, rows) in series.items():
        (FOLDER / f"tiny_{name}.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
