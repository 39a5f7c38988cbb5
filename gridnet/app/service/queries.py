"""The questions that are asked at every request, built once: to build one costs as much as to answer it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Text, bindparam, select

from gridnet.app.service.schema import (
    controls,
    devices,
    measurements,
    meta,
    overrides,
    plans,
    principals,
    programs,
    setpoints,
    tokens,
)

_DEVICE, _METER, _LFDI = (bindparam(name, type_=Text) for name in ("device", "meter", "lfdi"))
_SINCE, _UNTIL = (bindparam(name, type_=BigInteger) for name in ("since_s", "until_s"))

BY_CERTIFICATE = select(principals).where(principals.c.lfdi == _LFDI)
BY_TOKEN = (
    select(principals)
    .join(tokens, tokens.c.principal == principals.c.id)
    .where(tokens.c.hash == bindparam("hash"), tokens.c.expires_s > _SINCE)
)
DEVICE = select(devices).where(devices.c.id == _DEVICE)
"""Whosever it is: whoever asks checks that."""
OVERRIDE = select(overrides).where(overrides.c.device == _DEVICE)
SOC = (
    select(measurements.c.value)
    .where(measurements.c.device == _DEVICE, measurements.c.channel == "soc", measurements.c.start_s > _SINCE)
    .order_by(measurements.c.start_s.desc())
    .limit(1)
)
PROGRAMS = select(programs).where(programs.c.device.is_(None) | (programs.c.device == _DEVICE))
CONTROLS = select(controls).where(
    controls.c.device.is_(None) | (controls.c.device == _DEVICE), controls.c.end_s > _SINCE, controls.c.start_s <= _UNTIL
)
"""Those that hold at some time between `since_s` and `until_s`."""
SETPOINTS, PLANS = (
    select(table).where(table.c.meter == _METER, table.c.end_s > _SINCE, table.c.start_s <= _UNTIL) for table in (setpoints, plans)
)
"""The same of the policy's."""
MARK = select(meta.c.value).where(meta.c.key == bindparam("key", type_=Text))
MARKS = select(meta).where(meta.c.key.in_(bindparam("keys", expanding=True, type_=Text)))
EVER_S = 2**53
"""An `until_s` that lets everything come."""
