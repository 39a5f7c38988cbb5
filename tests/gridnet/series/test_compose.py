from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridnet.errors import InputError
from gridnet.scenario import Scenario
from gridnet.series.compose import PvTable, Series, build_series
from gridnet.series.days import days_of_leap_year, local_dates
from gridnet.series.households import LoadTable
from gridnet.series.market import held_out_days
from gridnet.series.profiles import SIMBENCH_CLOCK, Profiles

LOADS = LoadTable(("home", "shop"), ("H0-A", None), np.array([3.0, 20.0]), np.array([1.2, 8.0]))
PVS = PvTable(("roof", "barn"), ("PV3", None), np.array([6.0, 40.0]))


def scenario(**series: Any) -> Scenario:
    return Scenario.model_validate({"name": "street", "title": "A street", "network": {"builtin": "cigre_lv"}, "series": series})


def write(path: Path, start: str, days: int, value: float, *devices: str) -> dict[str, Any]:
    times = pd.date_range(start, periods=days * 24, freq="h", tz="Europe/Berlin")
    columns = [pd.DataFrame({"timestamp": times, "value": value, "device": device}) for device in devices or ("",)]
    pd.concat(columns).to_parquet(path, index=False)
    return {"file": path, "timezone": "Europe/Berlin", "source": path.stem, "licence": "CC0"}


@pytest.fixture(scope="module")
def default(profiles: Profiles) -> Series:
    return build_series(scenario(), LOADS, PVS)


def test_the_default_is_the_simbench_year(default: Series, profiles: Profiles) -> None:
    assert default.clock == SIMBENCH_CLOCK
    assert default.load_p_kw.shape == default.load_q_kvar.shape == default.pv_p_kw.shape == (35_136, 2)
    assert default.price_eur_per_mwh.shape == default.carbon_g_per_kwh.shape == (35_136,)
    np.testing.assert_allclose(default.pv_p_kw[:, 0], 6.0 * profiles.pv["PV3"])
    barn = default.pv_p_kw[:, 1] / 40.0
    assert any(np.allclose(barn, profile) for profile in profiles.pv.values())


def test_loads_draw_and_pv_injects(default: Series) -> None:
    assert default.load_p_kw.max() <= 0
    assert default.pv_p_kw.min() >= 0
    assert default.load_p_kw[:, 1].min() == pytest.approx(-20.0)


def test_the_same_scenario_gives_the_same_bytes(default: Series) -> None:
    again = build_series(scenario(), LOADS, PVS)
    for name in ("load_p_kw", "load_q_kvar", "pv_p_kw", "price_eur_per_mwh", "carbon_g_per_kwh"):
        assert getattr(again, name).tobytes() == getattr(default, name).tobytes()
    assert again.provenance == default.provenance


def test_provenance_names_source_and_licence_of_every_series(default: Series) -> None:
    origins = dict(default.provenance)
    assert list(origins) == ["clock", "load", "pv", "price", "carbon"]
    assert "ODbL" in origins["load"]
    assert "CC BY 4.0" in origins["price"]


def test_a_users_prices_set_the_clock_and_homes_follow_its_calendar(tmp_path: Path, profiles: Profiles) -> None:
    price = {**write(tmp_path / "price.parquet", "2023-06-01", 30, 80.0), "unit": "EUR/MWh"}
    series = build_series(scenario(price=price), LOADS, PVS)
    dates = local_dates(series.clock)
    # Local days keep standard time all year, so a file in summer time ends an hour into its last day too early.
    assert (str(dates[0]), len(dates)) == ("2023-06-01", 29)
    assert (series.price_eur_per_mwh == 80.0).all()
    sun = profiles.pv["PV3"].reshape(366, 96)[days_of_leap_year(dates)].ravel()
    np.testing.assert_allclose(series.pv_p_kw[:, 0], 6.0 * sun)
    assert series.load_p_kw.shape == (29 * 96, 2)
    assert series.carbon_g_per_kwh.std() > 0
    assert held_out_days(29).sum() == 1
    origins = dict(series.provenance)
    assert origins["price"].startswith("price; licence CC0; sha256 ")
    assert "analog day" in origins["carbon"]


def test_a_users_load_keeps_its_values_and_gets_a_lagging_power_factor(tmp_path: Path) -> None:
    load = {**write(tmp_path / "load.parquet", "2023-01-01", 10, -3.8, "home", "shop"), "unit": "kW"}
    pv = {**write(tmp_path / "pv.parquet", "2022-12-30", 20, 2.0, "barn", "roof"), "unit": "kW"}
    series = build_series(scenario(load=load, pv=pv), LOADS, PVS)
    assert series.clock.steps == 960
    assert (series.load_p_kw == -3.8).all()
    apparent = np.hypot(series.load_p_kw, series.load_q_kvar)
    np.testing.assert_allclose(-series.load_p_kw / apparent, 0.95)
    assert (series.load_q_kvar < 0).all()
    assert (series.pv_p_kw == 2.0).all()


def test_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    load = {**write(tmp_path / "load.parquet", "2023-01-01", 10, 3.8, "home"), "unit": "kW"}
    price = {**write(tmp_path / "price.parquet", "2023-01-01", 10, 80.0), "unit": "shillings"}
    with pytest.raises(InputError) as refused:
        build_series(scenario(load=load, price=price), LOADS, PVS)
    text = str(refused.value)
    assert "no rows for shop" in text
    assert "turn the sign" in text
    assert "shillings" in text


def test_a_price_file_of_another_year_does_not_cover_the_load(tmp_path: Path) -> None:
    load = {**write(tmp_path / "load.parquet", "2023-01-01", 10, -3.8, "home", "shop"), "unit": "kW"}
    price = {**write(tmp_path / "price.parquet", "2022-01-01", 10, 80.0), "unit": "EUR/MWh"}
    with pytest.raises(InputError, match="all of 2022-12-31T23:00Z to 2023-01-10T23:00Z"):
        build_series(scenario(load=load, price=price), LOADS, PVS)


def test_an_unknown_pv_profile_is_named() -> None:
    with pytest.raises(InputError, match=r"plant 'roof'.*'PV99'"):
        build_series(scenario(), LOADS, PvTable(("roof",), ("PV99",), np.ones(1)))


def test_a_network_without_pv_has_no_pv_columns() -> None:
    assert build_series(scenario(), LOADS, PvTable((), (), np.ones(0))).pv_p_kw.shape == (35_136, 0)
