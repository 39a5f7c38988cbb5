"""The battery behind the inverter: the model of `gridnet.devices`, over spans of any length. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gridnet.devices import Fleet, battery_range, battery_soc, inverter_q
from gridnet.errors import Fault, InputError
from gridnet.scenario import BatteryModel, InverterModel

_MOST_KW = 10_000.0


@dataclass(frozen=True)
class Nameplate:
    """What the device can do. Raises `InputError` naming every fault."""

    p_kw: float = 5.0
    """Both ways."""
    e_kwh: float = 10.0
    battery: BatteryModel = field(default_factory=BatteryModel)
    inverter: InverterModel = field(default_factory=InverterModel)

    def __post_init__(self) -> None:
        named = {"power, kW": self.p_kw, "energy, kWh": self.e_kwh}
        faults = [Fault(name, str(value), f"more than 0, {_MOST_KW:g} at most") for name, value in named.items()]
        faults = [each for each, value in zip(faults, named.values(), strict=True) if not 0.0 < value <= _MOST_KW]
        if faults:
            raise InputError("there is no such battery:", faults)

    @property
    def s_kva(self) -> float:
        """Rating of the inverter."""
        return self.p_kw * self.inverter.s_per_p

    def fleet(self, dt_h: float) -> Fleet:
        """The battery as a fleet of one with steps of `dt_h`."""
        model = self.battery
        return Fleet(
            p_kw=np.array([self.p_kw]),
            e_kwh=np.array([self.e_kwh]),
            s_kva=np.array([self.s_kva]),
            efficiency=np.array([model.efficiency_charge, model.efficiency_discharge]),
            keep=(1.0 - model.self_discharge_per_day) ** (dt_h / 24.0),
            soc_window=np.array([model.soc_min, model.soc_max]),
            dt_h=dt_h,
        )


@dataclass(frozen=True)
class Asked:
    """What the registers ask for, > 0 injects. Limits are magnitudes."""

    p_kw: float = 0.0
    q_kvar: float = 0.0
    inject_kw: float = float("inf")
    draw_kw: float = float("inf")
    connected: bool = True


@dataclass(frozen=True)
class Done:
    """What the device did over a span: mean powers at its terminals, and the charge at its end."""

    p_kw: float
    q_kvar: float
    soc: float


def run(plate: Nameplate, soc: float, asked: Asked, dt_h: float) -> Done:
    """What comes of `asked`, held for `dt_h` hours from charge `soc`: cut to limits, power, energy and window, then to the
    inverter's rating, active power first."""
    fleet = plate.fleet(dt_h)
    lowest, highest = battery_range(fleet, 0, soc)
    lowest, highest = max(lowest, -asked.draw_kw), min(highest, asked.inject_kw)
    p_kw = min(max(asked.p_kw, lowest), highest) if asked.connected else 0.0
    q_kvar = inverter_q(plate.s_kva, p_kw, asked.q_kvar) if asked.connected else 0.0
    return Done(float(p_kw), float(q_kvar), float(battery_soc(fleet, 0, soc, p_kw)))
