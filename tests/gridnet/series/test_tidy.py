from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import Clock
from gridnet.errors import Fault, InputError
from gridnet.scenario import SeriesFile
from gridnet.series.quantities import Quantity
from gridnet.series.tidy import TidySeries, read_tidy

MIDNIGHT = datetime(2023, 3, 1, tzinfo=UTC)
CLOCK = Clock(start=MIDNIGHT, steps=96, utc_offset_h=0.0)


def stamps(count: int = 24, minutes: int = 60, start: datetime = MIDNIGHT) -> list[str]:
    return [(start + timedelta(minutes=minutes * index)).isoformat() for index in range(count)]


def csv_file(folder: Path, header: str, rows: Iterable[str]) -> Path:
    path = folder / "series.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def prices(folder: Path, rows: Iterable[str], **spec: str) -> TidySeries:
    file = csv_file(folder, "timestamp,value", rows)
    return read_tidy(SeriesFile(file=file, **{"unit": "EUR/MWh", **spec}), Quantity.PRICE, (), None)


def faults_of(folder: Path, rows: Iterable[str], **spec: str) -> list[Fault]:
    with pytest.raises(InputError) as refused:
        prices(folder, rows, **spec)
    return list(refused.value.faults)


def loads(folder: Path, header: str, rows: Iterable[str], clock: Clock | None = None) -> TidySeries:
    file = csv_file(folder, header, rows)
    return read_tidy(SeriesFile(file=file, unit="kW"), Quantity.LOAD, ("a", "b"), clock)


def test_an_hourly_price_file_is_held_on_its_own_clock(tmp_path: Path) -> None:
    series = prices(tmp_path, [f"{time},{hour}" for hour, time in enumerate(stamps())], source="exchange", licence="x")
    assert series.clock == CLOCK
    np.testing.assert_array_equal(series.values[:, 0], np.repeat(np.arange(24.0), 4))
    assert series.sha256 == hashlib.sha256((tmp_path / "series.csv").read_bytes()).hexdigest()
    assert (series.source, series.licence, series.q_kvar) == ("exchange", "x", None)


@pytest.mark.parametrize(
    ("quantity", "unit", "value", "expected"),
    [
        (Quantity.LOAD, "W", -500, -0.5),
        (Quantity.LOAD, "MW", -0.5, -500),
        (Quantity.LOAD, "kWh", -0.5, -1.0),
        (Quantity.PV, "Wh", 500, 1.0),
        (Quantity.PRICE, "EUR/kWh", 0.3, 300),
        (Quantity.PRICE, "ct/kWh", 30, 300),
        (Quantity.CARBON, "kg/MWh", 400, 400),
    ],
)
def test_units_turn_into_the_projects_own(tmp_path: Path, quantity: Quantity, unit: str, value: float, expected: float) -> None:
    file = csv_file(tmp_path, "timestamp,value", [f"{stamp},{value}" for stamp in stamps(48, 30)])
    series = read_tidy(SeriesFile(file=file, unit=unit), quantity, ("a",), None)
    np.testing.assert_allclose(series.values, expected)


def test_each_row_may_name_its_own_unit(tmp_path: Path) -> None:
    rows = [f"{stamp},{value}" for stamp, value in zip(stamps(), ["10,EUR/MWh", "1,ct/kWh"] * 12, strict=True)]
    file = csv_file(tmp_path, "timestamp,value,unit", rows)
    series = read_tidy(SeriesFile(file=file), Quantity.PRICE, (), None)
    assert (series.values == 10.0).all()


def test_devices_come_in_the_order_of_the_network(tmp_path: Path) -> None:
    rows = [f"{stamp},{device},{value}" for stamp in stamps() for device, value in (("b", -2), ("a", -1))]
    series = loads(tmp_path, "timestamp,device,value", rows)
    assert series.values[0].tolist() == [-1.0, -2.0]


def test_a_load_file_may_bring_reactive_power(tmp_path: Path) -> None:
    rows = [f"{stamp},{device},-4,-1" for device in "ab" for stamp in stamps()]
    series = loads(tmp_path, "timestamp,device,value,q_kvar", rows)
    assert series.q_kvar is not None
    assert (series.q_kvar == -1).all()


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    path = tmp_path / "series.parquet"
    index = pd.date_range(MIDNIGHT, periods=24, freq="h").tz_convert("Europe/Berlin")
    pd.DataFrame({"value": np.arange(24.0)}, index=index.rename("timestamp")).to_parquet(path)
    series = read_tidy(SeriesFile(file=path, unit="EUR/MWh"), Quantity.PRICE, (), CLOCK)
    np.testing.assert_array_equal(series.values[:, 0], np.repeat(np.arange(24.0), 4))


@pytest.mark.parametrize("day", ["2023-03-26", "2023-10-29"], ids=["spring, 23 h", "autumn, 25 h"])
def test_naive_local_stamps_survive_the_change_of_clocks_where_the_zone_is_named(tmp_path: Path, day: str) -> None:
    local = pd.date_range(f"{day} 00:00", periods=72, freq="h", tz="Europe/Berlin")
    rows = [f"{stamp:%Y-%m-%d %H:%M},{index}" for index, stamp in enumerate(local)]
    series = prices(tmp_path, rows, timezone="Europe/Berlin")
    assert series.clock.utc_offset_h == 1.0
    offset = round((series.clock.start - local[0].to_pydatetime()) / timedelta(hours=1))
    np.testing.assert_array_equal(series.values[::4, 0], np.arange(offset, offset + series.clock.steps // 4))


def test_a_naive_stamp_is_refused_without_a_zone(tmp_path: Path) -> None:
    rows = [f"{stamp},1" for stamp in stamps()]
    rows[3] = "2023-03-01T03:00:00,1"
    (fault, *_) = faults_of(tmp_path, rows)
    assert "line 5, column timestamp" in fault.where
    assert "without offset" in fault.got


def test_an_unknown_zone_and_a_time_the_zone_skips_are_faults(tmp_path: Path) -> None:
    rows = [f"2023-03-26 {hour:02}:00,1" for hour in range(24)]
    assert "exists in Europe/Berlin" in str(faults_of(tmp_path, rows, timezone="Europe/Berlin")[0])
    assert "IANA time zone" in str(faults_of(tmp_path, rows, timezone="Mars/Olympus")[0])


def test_every_kind_of_fault_is_reported_at_once(tmp_path: Path) -> None:
    hours = stamps()
    rows = [f"{stamp},a,-1,kW" for stamp in hours] + [f"{stamp},c,-1,kW" for stamp in hours]
    rows[2] = f"{hours[2]},a,about 3,kW"
    rows[5] = f"{hours[5]},a,-1,horses"
    rows[7] = "yesterday,a,-1,kW"
    rows[9] = "2023-03-01T09:00:00,a,-1,kW"
    rows[12] = rows[11]
    rows[15], rows[16] = rows[16], rows[15]
    rows[30] = f"{hours[6]},c,,kW"
    del rows[20]
    file = csv_file(tmp_path, "timestamp,device,value,unit", rows)
    with pytest.raises(InputError) as refused:
        read_tidy(SeriesFile(file=file), Quantity.LOAD, ("a", "b"), CLOCK)
    text = str(refused.value)
    for expected in [
        "lines 4, 31, column value: got 'about 3', ''",
        "line 7, column unit: got 'horses', expected one of W, kW, MW, Wh, kWh, MWh",
        "line 9, column timestamp: got 'yesterday'",
        "line 11, column timestamp: got '2023-03-01 09:00:00', without offset",
        "line 14, column timestamp: got a time that came before",
        "line 18, column timestamp: got a time before its predecessor's",
        "intervals missing before, expected a value every 60 min",
        "and 21 more, column device: got 'c', expected a device of the network (a, b)",
        "column device: got no rows for b",
    ]:
        assert expected in text, f"{expected!r} not in:\n{text}"
    assert text.count("\n") <= 12


def test_missing_columns_are_named_together(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "time,power", ["2023-03-01T00:00Z,1"])
    with pytest.raises(InputError) as refused:
        read_tidy(SeriesFile(file=file), Quantity.LOAD, ("a", "b"), None)
    assert [fault.where.split(": ")[1] for fault in refused.value.faults] == [
        "column timestamp",
        "column value",
        "column unit",
        "column device",
    ]


def test_a_load_file_that_counts_consumption_as_positive_is_told_so(tmp_path: Path) -> None:
    rows = [f"{stamp},{device},1" for device in "ab" for stamp in stamps()]
    with pytest.raises(InputError, match="turn the sign") as refused:
        loads(tmp_path, "timestamp,device,value", rows)
    assert "100% of the values" in str(refused.value)


def test_negative_pv_power_is_refused(tmp_path: Path) -> None:
    rows = [f"{stamp},{-1 if hour == 3 else 1}" for hour, stamp in enumerate(stamps())]
    file = csv_file(tmp_path, "timestamp,value", rows)
    with pytest.raises(InputError, match="line 5, column value: got -1 kW"):
        read_tidy(SeriesFile(file=file, unit="kW"), Quantity.PV, ("a",), None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"{stamp},1" for stamp in stamps(30, 45)], "intervals of 45 min"),
        ([f"{stamp},1" for stamp in stamps(1)], "fewer than two intervals"),
        ([f"{stamp},1" for stamp in stamps(20)], "at least one whole local day"),
        ([f"{stamp},1" for stamp in stamps(24, 60, MIDNIGHT + timedelta(minutes=7))], "multiples of 15 min"),
        ([f"{stamp},inf" for stamp in stamps()], "a finite number"),
        (["2023-03-01T00:00Z,1", "1,2,3,4,5"], "CSV file with a header"),
        ([], "no rows"),
    ],
)
def test_a_file_that_is_no_regular_series_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    assert message in "\n".join(map(str, faults_of(tmp_path, rows)))


def test_a_series_must_cover_the_clock(tmp_path: Path) -> None:
    rows = [f"{stamp},{device},-1" for device in "ab" for stamp in stamps()]
    longer = Clock(start=MIDNIGHT - timedelta(hours=1), steps=100, utc_offset_h=1.0)
    with pytest.raises(InputError, match="all of 2023-02-28T23:00Z to 2023-03-02T00:00Z"):
        loads(tmp_path, "timestamp,device,value", rows, longer)
    assert loads(tmp_path, "timestamp,device,value", rows, CLOCK).values.shape == (96, 2)
    without_last_hour = [row for row in rows if "T23:00" not in row]
    with pytest.raises(InputError, match="got 2023-03-01T00:00Z to 2023-03-01T23:00Z, expected all of"):
        loads(tmp_path, "timestamp,device,value", without_last_hour, CLOCK)


def test_a_file_that_is_not_there_and_a_network_without_devices_are_faults(tmp_path: Path) -> None:
    spec = SeriesFile(file=csv_file(tmp_path, "timestamp,value", []), unit="kW")
    spec.file.unlink()
    with pytest.raises(InputError, match="a file that can be read"):
        read_tidy(spec, Quantity.PRICE, (), None)
    with pytest.raises(InputError, match="the network has no devices"):
        read_tidy(spec, Quantity.PV, (), None)


def test_broken_parquet_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "series.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="or a Parquet file"):
        read_tidy(SeriesFile(file=path, unit="kW"), Quantity.PRICE, (), None)


@settings(max_examples=25, deadline=None)
@given(
    interval=st.sampled_from([60, 30, 15, 5, 3]),
    days=st.integers(1, 2),
    offset=st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_energy_in_the_file_is_energy_on_the_clock(
    tmp_path_factory: pytest.TempPathFactory, interval: int, days: int, offset: str, seed: int
) -> None:
    start = pd.Timestamp("2023-06-01", tz=offset)  # summer time: the whole local day begins an hour earlier or later
    times = pd.date_range(start - pd.Timedelta(days=1), start + pd.Timedelta(days=days + 1), freq=f"{interval}min")
    energy = np.round(np.random.default_rng(seed).random(len(times)), 6)
    rows = [f"{stamp.isoformat()},{kwh}" for stamp, kwh in zip(times, energy, strict=True)]
    file = csv_file(tmp_path_factory.mktemp("tidy"), "timestamp,value", rows)
    series = read_tidy(SeriesFile(file=file, unit="kWh", timezone=offset), Quantity.PV, ("a",), None)
    end = series.clock.time_of(series.clock.steps)
    within = energy[(times >= series.clock.start) & (times < end)]
    assert series.clock.steps >= 96 * days
    assert series.values.sum() / 4 == pytest.approx(within.sum())
