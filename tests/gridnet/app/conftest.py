"""A feeder on which probes can be judged, and a service that has lived for two days and a quarter."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandapower as pp
import pytest

from gridnet.resources import data_dir
from tests.gridnet.app.service.lived import LONG, Lived, lived, reopened

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


@pytest.fixture(scope="session")
def lived_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where it has lived; nobody writes there any more. The first worker that asks makes the one that all of them copy."""
    folder = tmp_path_factory.mktemp("lived")
    alone = worker_id == "master"
    shared = (tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent) / "lived-for-all"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.is_dir():
            beside = tmp_path_factory.mktemp("living")
            lived(beside, LONG).service.store.database.close()
            beside.rename(shared)  # in one step: one that failed on the way is not taken for whole
    # A copy for each worker: a database that is read has files of its own beside it.
    return shutil.copytree(shared, folder, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def lived_once(lived_folder: Path) -> Iterator[Lived]:
    """One for all tests that read alone."""
    made = reopened(lived_folder)
    yield made
    made.service.store.database.close()


@pytest.fixture
def lived_own(lived_folder: Path, tmp_path: Path) -> Iterator[Lived]:
    """A copy for a test that writes, in `tmp_path / "lived"`."""
    shutil.copytree(lived_folder, tmp_path / "lived")
    made = reopened(tmp_path / "lived")
    yield made
    made.service.store.database.close()
