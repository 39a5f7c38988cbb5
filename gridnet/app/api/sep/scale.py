"""Kilowatts and 2030.5's scaled integers: `value * 10^multiplier`, value a signed 16 bit integer. Rounding is towards zero: a limit
or a setpoint is never widened."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from gridnet.errors import Fault, InputError

MOST_VALUE = 2**15 - 1
MOST_MULTIPLIER = 9
WHOLE = 10_000
"""100 % in hundredths of a percent."""


def scaled(kilo: float) -> tuple[int, int]:
    """Value and multiplier, in W (var, VA) of a number of kW: whole watts as long as 16 bits hold them, then tens, hundreds .."""
    # Decimal, from the number's shortest text: 1.75 kW are 1750 W, not 1749.999...
    units = Decimal(repr(float(kilo))).scaleb(3)
    multiplier = 0
    while multiplier < MOST_MULTIPLIER and abs(_whole(units.scaleb(-multiplier))) > MOST_VALUE:
        multiplier += 1
    value = _whole(units.scaleb(-multiplier))
    return max(-MOST_VALUE, min(MOST_VALUE, value)), multiplier


def kilo_of(value: int, multiplier: int, where: str) -> float:
    """A number of kW (kvar, kVA, kWh) from a scaled one in W. Raises `InputError` where the multiplier is beyond 9."""
    return unscaled(value, multiplier, where) / 1000.0


def unscaled(value: int, multiplier: int, where: str) -> float:
    """`value * 10^multiplier`. Raises `InputError` where the multiplier is beyond 9."""
    if abs(multiplier) > MOST_MULTIPLIER:
        raise InputError("no such power of ten:", [Fault(where, str(multiplier), f"-{MOST_MULTIPLIER} to {MOST_MULTIPLIER}")])
    return float(Decimal(value).scaleb(multiplier))


def hundredths_of_percent(kilo: float, of_kilo: float) -> int:
    """`kilo` as a part of `of_kilo`, 10000 for all of it; towards zero, at most all of it."""
    part = _whole(Decimal(repr(float(kilo))) * WHOLE / Decimal(repr(float(of_kilo))))
    return max(-WHOLE, min(WHOLE, part))


def hundredths(number: float) -> int:
    """Hundredths of a second or of a percent, to the nearest."""
    return round(number * 100)


def _whole(number: Decimal) -> int:
    return int(number.to_integral_value(ROUND_DOWN))
