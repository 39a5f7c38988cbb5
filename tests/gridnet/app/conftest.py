"""A feeder on which probes can be judged."""

from __future__ import annotations

from pathlib import Path

import pandapower as pp
import pytest

from gridnet.resources import data_dir

LINE_KM = 0.2


@pytest.fixture(scope="session")
def row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the scenario `row`: `tiny` with lines so long that voltages answer, and a second battery at `home-003`; both are
    half full at the start."""
    folder, networks = tmp_path_factory.mktemp("row"), data_dir() / "networks"
    net = pp.from_json(str(networks / "tiny.json"))
    net.line["length_km"] = LINE_KM
    pp.create_storage(net, 3, p_mw=0.0, sn_mva=0.005, max_e_mwh=0.010, name="battery A")
    pp.to_json(net, str(folder / "row.json"))
    text = (data_dir() / "scenarios" / "tiny.toml").read_text(encoding="utf-8")
    text = text.replace('name = "tiny"', 'name = "row"').replace("../networks/tiny.json", "row.json")
    text = text.replace("../networks/", f"{networks}/").replace("soc_start = 0.0", "soc_start = 0.5")
    scenario = folder / "row.toml"
    scenario.write_text(text, encoding="utf-8")
    return scenario
