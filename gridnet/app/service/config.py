"""How a service is set up: by a TOML file, the environment (`GRIDNET_SERVE_..`) and the command line. Unknown keys are refused."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, get_type_hints

from gridnet.errors import Fault, InputError

PREFIX = "GRIDNET_SERVE_"
FALLBACKS = ("rl", "mpc", "rule")
_FEEDER = re.compile("[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Config:
    """Every setting of the service. Raises `InputError` naming each fault."""

    scenario: str = "rural1"
    """The main live feeder."""
    feeders: tuple[str, ...] = ()
    """Further live feeders, each `NAME=SCENARIO`, or `NAME` where that is the scenario too."""
    keeps_feeders: bool = True
    """Whether this process keeps feeders going, or answers requests alone."""
    policy: str = "rl"
    """Who decides first; rl falls back on mpc, mpc on rule, rule on the default control."""
    decision_limit_s: float = 20.0
    """A policy that takes longer is late, and the next one is asked."""
    seed: int = 0
    """Of the live feeder's simulated meters."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts that notifications may be sent to; none named: every public one."""
    webhook_private: bool = False
    """Whether they may be sent to private addresses."""
    webhook_plain_http: bool = False
    webhook_ca: str = ""
    """A file of certificates that targets are verified by; the system's where it is empty."""
    requests_per_minute: int = 600
    """Most requests of one principal, or of one address without credentials."""
    most_body_bytes: int = 262_144
    most_nesting: int = 32
    threads: int = 4
    """That answer requests at a time."""
    frames_days: int = 400
    """How long it is kept what the live feeder did in each quarter-hour."""
    readings_days: int = 400
    """How long signed readings are kept after they were settled."""
    poll_s: int = 60
    """How often clients shall ask, where their protocol tells them."""
    post_s: int = 60

    def __post_init__(self) -> None:
        faults = [Fault("policy", repr(self.policy), " or ".join(FALLBACKS))] if self.policy not in FALLBACKS else []
        if not math.isfinite(self.decision_limit_s):
            faults.append(Fault("decision_limit_s", str(self.decision_limit_s), "a number of seconds"))
        if self.webhook_ca and not Path(self.webhook_ca).is_file():
            faults.append(Fault("webhook_ca", repr(self.webhook_ca), "a file of certificates"))
        least = {"decision_limit_s": 0.01, "requests_per_minute": 1, "most_body_bytes": 1024, "most_nesting": 4}
        for name, lowest in {**least, "threads": 1, "frames_days": 1, "readings_days": 14, "poll_s": 1, "post_s": 1}.items():
            if not getattr(self, name) >= lowest:
                faults.append(Fault(name, str(getattr(self, name)), f"{lowest} or more"))
        faults += _feeder_faults(self.feeders)
        if faults:
            raise InputError("the service can't be set up so:", faults)

    @property
    def further(self) -> tuple[tuple[str, str], ...]:
        """Name and scenario of each further feeder."""
        parts = (each.partition("=") for each in self.feeders)
        return tuple((name.strip(), scenario.strip() or name.strip()) for name, _, scenario in parts)

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies to ask, one after the other."""
        return FALLBACKS[FALLBACKS.index(self.policy) :]

    @classmethod
    def load(cls, path: Path | None, environment: Mapping[str, str] = os.environ, **given: Any) -> Self:
        """The settings of a file, the environment and the command line (`given`, None where nothing is said), later ones first.
        Raises `InputError`."""
        said = {} if path is None else _file(path)
        said |= {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
        said |= {name: value for name, value in given.items() if value is not None}
        kinds, values, faults = get_type_hints(cls), {}, []
        for name, value in said.items():
            if name not in kinds:
                faults.append(Fault(name, "a setting", f"one of {', '.join(each.name for each in fields(cls))}"))
                continue
            try:
                values[name] = _value(value, kinds[name])
            except ValueError:
                faults.append(Fault(name, repr(value), f"a value of type {_named(kinds[name])}"))
        try:
            made = replace(cls(), **values)
        except InputError as error:
            faults += error.faults
        if faults:
            raise InputError("the service can't be set up so:", faults)
        return made


def _feeder_faults(feeders: tuple[str, ...]) -> Iterator[Fault]:
    names: set[str] = set()
    for each in feeders:
        name, equals, scenario = (part.strip() for part in each.partition("="))
        if not _FEEDER.fullmatch(name):
            yield Fault("feeders", repr(each), "NAME or NAME=SCENARIO, the name 1 to 32 of a-z, 0-9, _ and -")
        if name in names:
            yield Fault("feeders", repr(each), "each name once")
        if equals and not scenario:
            yield Fault("feeders", repr(each), "a scenario after the =")
        names.add(name)


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError("the settings can't be read:", [Fault(str(path), str(error), "a TOML file")]) from error


def _value(value: Any, kind: Any) -> Any:
    """`value`, which may be the environment's text. Raises `ValueError`."""
    if kind is bool:
        known = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}
        if isinstance(value, (bool, str)) and value in known:
            return known[value]
        raise ValueError(value)
    if kind in (int, float):
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError(value)
        return kind(value)
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(value)
        return value
    return tuple(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
        raise ValueError(value)
    yield from (each.strip() for each in listed if each.strip())


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else "list of text"
