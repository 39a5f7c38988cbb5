"""A scenario: all a run depends on, from one TOML file, frozen, unknown keys refused, all faults reported at once."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from gridnet.errors import Fault, InputError
from gridnet.resources import data_dir


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def _existing(named: Path, info: ValidationInfo) -> Path:
    full = (Path(info.context["folder"] if info.context else ".") / named).resolve()
    if not full.is_file():
        raise ValueError("a file that exists")
    try:
        with full.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise ValueError(f"a file that can be read ({error.strerror})") from error
    return full


NamedFile = Annotated[Path, AfterValidator(_existing)]
"""A file that a scenario names: relative to the scenario file, made absolute, refused where it does not exist."""


class NetworkSource(_Part):
    """Where the distribution network comes from: exactly one of the three."""

    simbench: str | None = None
    """A SimBench code, such as `1-LV-rural1--2-sw`; brings its own loads, PV, storages and profiles."""
    builtin: Literal["cigre_lv", "ieee33"] | None = None
    """A benchmark network shipped by pandapower; brings loads only."""
    file: NamedFile | None = None
    """A pandapower network saved with `pandapower.to_json`, relative to the scenario file."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.simbench, self.builtin, self.file)) != 1:
            raise ValueError("exactly one of simbench, builtin, file")
        return self


class Limits(_Part):
    """Operating limits of the network."""

    vm_min_pu: float = Field(0.90, gt=0.5, lt=1.0)
    vm_max_pu: float = Field(1.10, gt=1.0, lt=1.5)
    line_percent: float = Field(100.0, gt=0, le=200)
    trafo_percent: float = Field(100.0, gt=0, le=200)


class Households(_Part):
    """How load series are made from SimBench's few shapes (see `gridnet.series.households`)."""

    bootstrap: bool = True
    seed: int = Field(1, ge=0)
    window_days: int = Field(14, ge=1, le=60)
    shift_steps: int = Field(3, ge=0, le=16)
    sigma: float = Field(0.25, ge=0, le=1)
    homes_per_load: int = Field(1, ge=1, le=500)
    """How many homes one load of the network stands for: 1 at low voltage, more where a load is a whole street."""


class Prosumers(_Part):
    """Solar and batteries added to a network's loads, seeded; for networks that bring none of their own."""

    pv_share: float = Field(0.0, ge=0, le=1)
    """Share of loads that get a PV plant."""
    pv_per_load: float = Field(1.0, gt=0, le=20)
    """PV peak power as a multiple of the load's rated power."""
    battery_share: float = Field(0.0, ge=0, le=1)
    """Share of the PV plants that get a battery."""
    battery_per_pv: float = Field(0.8, gt=0, le=20)
    """Battery power as a multiple of the plant's peak power."""
    battery_hours: float = Field(2.0, gt=0, le=24)
    """Battery capacity in hours at that power."""
    seed: int = Field(1, ge=0)


class BatteryModel(_Part):
    """Parameters that all batteries of the scenario share; power and capacity come with the network or `prosumers`."""

    efficiency_charge: float = Field(0.95, gt=0, le=1)
    efficiency_discharge: float = Field(0.95, gt=0, le=1)
    self_discharge_per_day: float = Field(0.0013, ge=0, lt=1)
    soc_min: float = Field(0.05, ge=0, lt=1)
    soc_max: float = Field(0.95, gt=0, le=1)
    soc_start: float = Field(0.5, ge=0, le=1)
    wear_eur_per_kwh: float = Field(0.01, ge=0)
    """Cost of each kWh moved at the terminals, charged or discharged."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.soc_min < self.soc_max:
            raise ValueError("soc_min below soc_max")
        if not self.soc_min <= self.soc_start <= self.soc_max:
            raise ValueError("soc_start between soc_min and soc_max")
        return self


class InverterModel(_Part):
    """PV and battery inverters: apparent-power rating as a multiple of the plant's peak active power."""

    s_per_p: float = Field(1.1, ge=1, le=2)


class Tariff(_Part):
    """What energy costs at the feeder's connection point, where the neighbourhood is settled as one.

    Import price = spot + `grid_fee_eur_per_mwh`; export price = spot, or `feed_in_eur_per_mwh` where it is set.
    """

    grid_fee_eur_per_mwh: float = Field(185.0, ge=0)
    """Grid fee and levies on each imported MWh."""
    feed_in_eur_per_mwh: float | None = None
    co2_price_eur_per_t: float = Field(0.0, ge=0)
    """Optional price on the carbon of imported energy, on top of what the spot price already holds."""
    peak_eur_per_kw: float = Field(0.0, ge=0)
    """Optional charge on the highest import of a run, as the mean over one step."""


ForecastMethodName = Literal["climatology", "persistence", "boosted"]
"""The methods that forecast: they know the past alone."""

ForecastName = Literal[ForecastMethodName, "perturbed"]
"""What a scenario may ask for: a method, or the truth with an error of a chosen size."""


class Forecast(_Part):
    """How load and PV ahead are forecast (see `gridnet.forecast.forecaster`): one method for every policy."""

    method: ForecastName = "climatology"
    error: float = Field(0.1, ge=0, le=1)
    """Of `perturbed` alone: mean absolute error over mean magnitude, 24 hours ahead; 0 is perfect."""
    seed: int = Field(1, ge=0)
    """Of `perturbed` alone: draws its errors."""


class SeriesFile(_Part):
    """A user's own series: tidy CSV or Parquet (see `gridnet.series.tidy`)."""

    file: NamedFile
    unit: str | None = None
    """Unit of `value` where the file has no `unit` column."""
    timezone: str | None = None
    """Zone of naive time stamps; without it a naive stamp is refused."""
    source: str = "user"
    licence: str = "unstated"


class SeriesFiles(_Part):
    """User's series that replace the built-in ones. `load` and `pv` need a `device` column that names the network's
    loads and PV plants; `price` and `carbon` hold one series each."""

    load: SeriesFile | None = None
    pv: SeriesFile | None = None
    price: SeriesFile | None = None
    carbon: SeriesFile | None = None


class Scenario(_Part):
    """Everything a run depends on. Make one with `load_scenario`."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    title: str
    network: NetworkSource
    limits: Limits = Limits()
    households: Households = Households()
    prosumers: Prosumers = Prosumers()
    battery: BatteryModel = BatteryModel()
    inverter: InverterModel = InverterModel()
    tariff: Tariff = Tariff()
    forecast: Forecast = Forecast()
    series: SeriesFiles = SeriesFiles()

    def fingerprint(self) -> str:
        """SHA-256 over every parameter and the content of every file named: the same wherever the files lie."""
        described = self.model_dump(mode="json")
        if self.network.file is not None:
            described["network"]["file"] = _sha256(self.network.file)
        for kind, part in self.series:
            if part is not None:
                described["series"][kind]["file"] = _sha256(part.file)
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that ship, sorted."""
    return sorted(path.stem for path in (data_dir() / "scenarios").glob("*.toml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """The scenario of a shipped name or a TOML file.

    Raises `InputError` with every fault: file, key, got, expected. An unknown name lists names near it.
    """
    return _parse(_find(name_or_path))


def _find(name_or_path: str | Path) -> Path:
    names = shipped_scenarios()
    if str(name_or_path) in names:
        return data_dir() / "scenarios" / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise InputError(f"no scenario file {path}")
    near = difflib.get_close_matches(str(name_or_path), names, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    shipped = f"shipped: {', '.join(names)}; or give a path to a .toml file"
    raise InputError(f"no scenario named '{name_or_path}'; {hint}{shipped}")


def _parse(path: Path) -> Scenario:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    faults = _tariff_by_name(table, path)
    try:
        scenario = Scenario.model_validate(table, context={"folder": path.parent})
    except ValidationError as error:
        raise InputError(f"{path} can't be used:", [*faults, *_faults(path, error)]) from error
    if faults:
        raise InputError(f"{path} can't be used:", faults)
    return scenario


def _tariff_by_name(table: dict[str, Any], path: Path) -> list[Fault]:
    """Replaces `tariff = "name"` by the shipped tariff of that name."""
    named = table.get("tariff")
    if not isinstance(named, str):
        return []
    tariffs = {file.stem: file for file in (data_dir() / "tariffs").glob("*.toml")}
    if named not in tariffs:
        del table["tariff"]
        return [Fault(f"{path}: tariff", repr(named), f"a [tariff] table or one of {', '.join(sorted(tariffs))}")]
    table["tariff"] = tomllib.loads(tariffs[named].read_text(encoding="utf-8"))
    return []


def _faults(path: Path, error: ValidationError) -> list[Fault]:
    faults = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        got = "nothing" if item["type"] == "missing" else _shown(item["input"])
        expected = "no such key" if item["type"] == "extra_forbidden" else _wanted(item["msg"])
        faults.append(Fault(f"{path}: {key}", got, expected))
    return faults


def _shown(value: object) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _wanted(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
