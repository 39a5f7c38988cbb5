"""The inverter as SunSpec sees it: models 1, 701, 702, 703, 704 and 713 in holding registers from 40000 on.

| model | what of it is there |
|---|---|
| 1 | who made it |
| 701 | what it does: W, VA, Var, PF, A, V, Hz, energy counted; W and Var > 0 inject, as everywhere in gridnet |
| 702 | what it can do, and the settings below it: WMax, VAMax, VarMaxInj, VarMaxAbs, WChaRteMax, WDisChaRteMax |
| 703 | ES: whether it may be connected |
| 704 | WSet (W or % of WMax), VarSet (var, or % of VarMax, VAMax or WMax), WMaxLimPct, each with its enable |
| 713 | WHRtg, WHAvail, SoC |

What is asked through 704 and 702 is what the device does: there is no other way in, for the service's own link too. Points that are
not there read as not implemented; writing one of those, or one that may only be read, is answered with an exception.
"""

from __future__ import annotations

import math
import struct
import threading
from dataclasses import dataclass
from typing import Any

from sunspec2.device import Model

from gridnet.app.device.battery import Asked, Done, Nameplate

BASE = 40_000
_MARK = (0x5375, 0x6E53)
"""SunS, which every map begins with."""
_END = (0xFFFF, 0)
_MODELS = (1, 701, 702, 703, 704, 713)
_VOLT, _HZ = 230.0, 50.0
_W = 1000.0
_INT16 = 32_767
_HIGHEST_V, _LOWEST_V = 253.0, 196.0
_CONTROLS = 0b111
"""MAX_W, FIXED_W, FIXED_VAR."""
_WATTS, _VARS = 1, 4
_OF_W, _OF_VAR, _OF_VA = 0, 1, 3
_CAT_B, _CAT_2 = 1, 1
_RUNNING, _STANDBY = 3, 7


@dataclass(frozen=True)
class Shown:
    """What the device shows of itself: what it does, and its meter's registers in Wh and varh (injected, drawn, reactive)."""

    done: Done
    counted: tuple[int, int, int]
    connected: bool = True


class Registers:
    """The map of one device. Safe to use from several threads."""

    def __init__(self, plate: Nameplate, serial: str) -> None:
        self.plate = plate
        self._turn = threading.Lock()
        self._models = {number: Model(number) for number in _MODELS}
        self._start: dict[int, int] = {}
        address = BASE + len(_MARK)
        for number, model in self._models.items():
            self._start[number] = address
            address += len(model.get_mb()) // 2
        self.end = address + len(_END)
        """The first address behind the map."""
        self._describe(serial)
        self.show(Shown(Done(0.0, 0.0, plate.battery.soc_start), (0, 0, 0)))
        self._writable = frozenset(address for number in _MODELS for address in self._open(number))

    def read(self, address: int, count: int) -> list[int]:
        """The words from `address` on."""
        with self._turn:
            return self._words()[address - BASE : address - BASE + count]

    def write(self, address: int, words: list[int]) -> bool:
        """Writes whole points; whether all of them may be written. Where not, nothing is."""
        if not all(each in self._writable for each in range(address, address + len(words))):
            return False
        with self._turn:
            image = self._words()
            image[address - BASE : address - BASE + len(words)] = words
            for number, model in self._models.items():
                first = self._start[number] - BASE
                length = len(model.get_mb()) // 2
                if first < address - BASE + len(words) and address - BASE < first + length:
                    model.set_mb(struct.pack(f">{length}H", *image[first : first + length]))
        return True

    def ask(self, p_kw: float, q_kvar: float, *, connect: bool = True) -> None:
        """What a controller inside the device writes: a setpoint in W and var."""
        with self._turn:
            controls = self._models[704]
            controls.WSetMod.value, controls.WSet.cvalue, controls.WSetEna.value = _WATTS, round(p_kw * _W), 1
            controls.VarSetMod.value, controls.VarSet.cvalue, controls.VarSetEna.value = _VARS, round(q_kvar * _W), 1
            self._models[703].ES.value = int(connect)

    def asked(self) -> Asked:
        """What the registers ask for now."""
        with self._turn:
            controls, settings = self._models[704], self._models[702]
            inject_kw = min(_kilo(settings.WDisChaRteMax), _kilo(settings.WMax))
            if controls.WMaxLimPctEna.value:
                inject_kw = min(inject_kw, controls.WMaxLimPct.cvalue / 100.0 * _kilo(settings.WMax))
            return Asked(
                p_kw=self._power_asked() if controls.WSetEna.value else 0.0,
                q_kvar=self._reactive_asked() if controls.VarSetEna.value else 0.0,
                inject_kw=inject_kw,
                draw_kw=_kilo(settings.WChaRteMax),
                connected=bool(self._models[703].ES.value),
            )

    def show(self, shown: Shown) -> None:
        """Takes over what the device does and counts."""
        done, (injected, drawn, reactive) = shown.done, shown.counted
        va = math.hypot(done.p_kw, done.q_kvar)
        factor = abs(done.p_kw) / va if va else 1.0
        with self._turn:
            seen = self._models[701]
            values = {"W": done.p_kw * _W, "VA": va * _W, "Var": done.q_kvar * _W, "PF": factor, "A": va * _W / _VOLT}
            for name, value in values.items():
                getattr(seen, name).cvalue = value
                if name != "PF":
                    getattr(seen, f"{name}L1").cvalue = value
            seen.InvSt.value = _RUNNING if va else _STANDBY
            seen.ConnSt.value = seen.St.value = int(shown.connected)
            seen.TotWhInj.value, seen.TotWhAbs.value = injected, drawn
            seen.TotVarhInj.value, seen.TotVarhAbs.value = max(0, reactive), max(0, -reactive)
            store = self._models[713]
            store.SoC.cvalue = 100.0 * done.soc
            store.WHAvail.cvalue = self.plate.e_kwh * _W * done.soc

    def _power_asked(self) -> float:
        controls = self._models[704]
        if controls.WSetMod.value == _WATTS:
            return _kilo(controls.WSet)
        return float(controls.WSetPct.cvalue) / 100.0 * _kilo(self._models[702].WMax)

    def _reactive_asked(self) -> float:
        controls, settings = self._models[704], self._models[702]
        if controls.VarSetMod.value == _VARS:
            return _kilo(controls.VarSet)
        share = float(controls.VarSetPct.cvalue) / 100.0
        bases = {
            _OF_W: settings.WMax,
            _OF_VAR: settings.VarMaxInj if share >= 0.0 else settings.VarMaxAbs,
            _OF_VA: settings.VAMax,
        }
        base = bases.get(controls.VarSetMod.value)
        return 0.0 if base is None else share * _kilo(base)

    def _describe(self, serial: str) -> None:
        """What does not change, and the settings that the device starts with."""
        plate, common = self.plate, self._models[1]
        common.Mn.value, common.Md.value, common.Vr.value, common.SN.value = "gridnet", "simulated battery", "1", serial[:32]
        scale = _scale(max(plate.s_kva, plate.p_kw) * _W)
        factors: dict[int, dict[str, int]] = {
            701: {"W_SF": scale, "VA_SF": scale, "Var_SF": scale, "PF_SF": -3, "A_SF": scale - 2, "V_SF": -1, "Hz_SF": -2},
            702: {"W_SF": scale, "VA_SF": scale, "Var_SF": scale, "V_SF": -1},
            704: {"WSet_SF": 0, "VarSet_SF": 0, "WSetPct_SF": -2, "VarSetPct_SF": -2, "WMaxLimPct_SF": -2},
            713: {"WH_SF": _scale(plate.e_kwh * _W), "Pct_SF": -2},
        }
        factors[701] |= {"TotWh_SF": 0, "TotVarh_SF": 0}
        for number, named in factors.items():
            for name, value in named.items():
                getattr(self._models[number], name).value = value
        self._rate()
        seen, store, controls = self._models[701], self._models[713], self._models[704]
        seen.ACType.value, seen.Alrm.value = 0, 0
        seen.LNV.cvalue = seen.VL1.cvalue = _VOLT
        seen.Hz.cvalue = _HZ
        store.WHRtg.cvalue, store.SoH.cvalue, store.Sta.value = plate.e_kwh * _W, 100.0, 0
        self._models[703].ES.value = 1
        for name in ("WSetEna", "WSet", "WSetPct", "VarSetEna", "VarSet", "VarSetPct", "VarSetPri", "WMaxLimPctEna"):
            getattr(controls, name).value = 0
        controls.WSetMod.value, controls.VarSetMod.value, controls.WMaxLimPct.cvalue = _WATTS, _VARS, 100.0

    def _rate(self) -> None:
        """Ratings, and the settings below them at the same values."""
        rated, plate = self._models[702], self.plate
        named = {"WMax": plate.p_kw, "WChaRteMax": plate.p_kw, "WDisChaRteMax": plate.p_kw}
        named |= {"VAMax": plate.s_kva, "VarMaxInj": plate.s_kva, "VarMaxAbs": plate.s_kva}
        for name, kilo in named.items():
            getattr(rated, name).cvalue = getattr(rated, f"{name}Rtg").cvalue = kilo * _W
        for name, volts in {"VNom": _VOLT, "VMax": _HIGHEST_V, "VMin": _LOWEST_V}.items():
            getattr(rated, name).cvalue = getattr(rated, f"{name}Rtg").cvalue = volts
        rated.NorOpCatRtg.value, rated.AbnOpCatRtg.value, rated.CtrlModes.value = _CAT_B, _CAT_2, _CONTROLS

    def _words(self) -> list[int]:
        packed = b"".join(model.get_mb() for model in self._models.values())
        return [*_MARK, *struct.unpack(f">{len(packed) // 2}H", packed), *_END]

    def _open(self, number: int) -> list[int]:
        """Addresses of the points of a model that may be written and are there."""
        found: list[int] = []
        for point in self._models[number].points.values():
            if point.pdef.get("access") == "RW" and point.value is not None:
                found += range(self._start[number] + point.offset, self._start[number] + point.offset + point.len)
        return found


def _kilo(point: Any) -> float:
    return float(point.cvalue) / _W


def _scale(largest: float) -> int:
    """The smallest power of ten in which `largest` fits a signed word."""
    return max(0, math.ceil(math.log10(max(largest, 1.0) / _INT16)))
