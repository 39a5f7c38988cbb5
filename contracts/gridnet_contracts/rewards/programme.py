"""A reward programme from a TOML file: its services, their weights and a budget per epoch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridnet.errors import Fault, InputError
from gridnet.resources import data_dir

MILLION = 1_000_000
Service = Literal["shifted_energy", "curtailment", "voltage_support", "availability", "readings"]
SERVICES: tuple[Service, ...] = get_args(Service)
UNITS: dict[Service, str] = {
    "shifted_energy": "Wh",
    "curtailment": "Wh",
    "voltage_support": "varh",
    "availability": "quarter-hours",
    "readings": "readings",
}
"""What each service is counted in."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Terms(_Part):
    """What counts as a service; see `gridnet_contracts.rewards.services`."""

    peak_hours: tuple[int, ...] = Field((17, 18, 19, 20), strict=False)
    """Hours of the local day in which energy that is not drawn counts as shifted."""
    low_mv: int = Field(223_100, gt=0)
    """Below this voltage, phase to neutral, reactive power injected is support; 0.97 of 230 V."""
    high_mv: int = Field(236_900, gt=0)
    """Above this voltage reactive power drawn is support; 1.03 of 230 V."""
    tolerance_wh: int = Field(25, ge=0)
    tolerance_ppm: int = Field(50_000, ge=0, le=MILLION)
    """How far from what it was asked to give a device may be in a quarter-hour: so many Wh, and of what was asked so much."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low_mv < self.high_mv:
            raise ValueError("low_mv below high_mv")
        if len(set(self.peak_hours)) != len(self.peak_hours) or not all(0 <= hour < 24 for hour in self.peak_hours):
            raise ValueError("peak_hours from 0 to 23, each once")
        return self


class Programme(_Part):
    """A reward programme. Make one with `load_programme`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")
    title: str = Field(min_length=1)
    asset: str = Field("grt", pattern=r"^[a-z0-9][a-z0-9._:-]{0,63}$")
    """The ledger's name of what is given."""
    unit: str = Field(min_length=1, max_length=200)
    """What one whole unit of the asset is, in words."""
    epoch_days: int = Field(ge=1, le=366)
    budget: int = Field(ge=1, le=2**53 - 1)
    """Whole units of the asset per epoch, never exceeded."""
    weights_ppm: dict[Service, int] = Field(min_length=1)
    """Each service's part of the budget, in parts per million; together 1,000,000 at most. What they leave is not given."""
    terms: Terms = Terms()

    @model_validator(mode="after")
    def _within_the_budget(self) -> Self:
        if any(weight < 1 for weight in self.weights_ppm.values()):
            raise ValueError("each weight 1 or more; leave a service out that earns nothing")
        if sum(self.weights_ppm.values()) > MILLION:
            raise ValueError("weights of 1000000 in all at most")
        return self


def shipped_programmes() -> list[str]:
    """Names of the programmes that ship, sorted."""
    return sorted(path.stem for path in (data_dir() / "programmes").glob("*.toml"))


def load_programme(name_or_path: str | Path) -> Programme:
    """The programme of a shipped name or a TOML file. Raises `InputError` with every fault: file, key, got, expected."""
    shipped = shipped_programmes()
    path = data_dir() / "programmes" / f"{name_or_path}.toml" if str(name_or_path) in shipped else Path(name_or_path)
    if not path.is_file():
        raise InputError(f"no programme {str(name_or_path)!r}; shipped: {', '.join(shipped)}; or give a path to a .toml file")
    try:
        return Programme.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise InputError(f"{path} can't be used:", _faults(path, error)) from error


def _faults(path: Path, error: ValidationError) -> list[Fault]:
    faults = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"]) or "the file"
        got = "nothing" if item["type"] == "missing" else repr(item["input"])[:80]
        message = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        faults.append(Fault(f"{path}: {key}", got, "no such key" if item["type"] == "extra_forbidden" else message))
    return faults
