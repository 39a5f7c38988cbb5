"""What a device shall do now, whatever was said to it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.service.effective import Said, effective
from gridnet.app.service.model import Control, Device, Fields, Override
from tests.gridnet.app.service.parts import NOON, SECOND, battery

KW = st.floats(-12.0, 12.0)
LIMIT = st.none() | st.floats(0.0, 12.0)
FLAG = st.sampled_from([None, None, None, True, False])
FIELDS = st.builds(
    Fields,
    p_kw=st.none() | KW,
    q_kvar=st.none() | KW,
    export_limit_kw=LIMIT,
    import_limit_kw=LIMIT,
    generation_limit_kw=LIMIT,
    load_limit_kw=LIMIT,
    connect=FLAG,
    energize=FLAG,
)
OFFSET = st.integers(-900, 900)


@st.composite
def _controls(draw: st.DrawFn) -> Control:
    start = NOON + draw(OFFSET) * SECOND
    end = start + draw(st.integers(1, 1800)) * SECOND
    over = st.none() | st.integers(1, 1800).map(lambda after: start + after * SECOND)
    return Control(
        id=f"{draw(st.integers(0, 2**32)):032x}",
        program="operator",
        device="alice-1",
        fields=draw(FIELDS),
        start=start,
        end=end,
        created=start,
        primacy=draw(st.integers(0, 5)),
        cancelled=draw(over),
        superseded=draw(over),
    )


@st.composite
def _devices(draw: st.DrawFn) -> Device:
    low, reserve, high = sorted(draw(st.tuples(*[st.floats(0.0, 1.0)] * 3)))
    kind = draw(st.sampled_from(["battery", "pv", "site"]))
    discharge, charge = draw(st.floats(0.0, 10.0)), 0.0 if kind == "pv" else draw(st.floats(0.0, 10.0))
    s_kva = max(discharge, charge) * draw(st.floats(1.0, 1.5))
    return Device(
        "alice-1",
        "alice",
        kind,
        discharge,
        charge,
        s_kva,
        10.0,
        soc_min=low,
        soc_max=high,
        reserve=draw(st.sampled_from([0.0, reserve])),
    )


@st.composite
def _said(draw: st.DrawFn) -> Said:
    until = NOON + draw(st.integers(1, 9000)) * SECOND
    return Said(
        device=draw(_devices()),
        controls=draw(st.lists(_controls(), max_size=5)),
        default=draw(FIELDS),
        default_until=NOON + 900 * SECOND,
        override=draw(st.none() | st.just(Override("alice-1", until, "a party"))),
        soc=draw(st.none() | st.floats(0.0, 1.0)),
    )


@given(_said())
def test_there_is_always_an_answer_within_what_the_device_can_do(said: Said) -> None:
    told, device = effective(said, NOON), said.device
    assert -device.charge_kw <= told.p_kw <= device.discharge_kw
    assert math.hypot(told.p_kw, told.q_kvar) <= device.s_kva + 1e-9
    assert told.start <= NOON < told.end
    assert told.reason


@given(_said())
def test_no_limit_is_passed(said: Said) -> None:
    told = effective(said, NOON)
    for highest in (told.limits.export_kw, told.limits.generation_kw):
        assert highest is None or told.p_kw <= highest
    for lowest in (told.limits.import_kw, told.limits.load_kw):
        assert lowest is None or told.p_kw >= -lowest


@given(_said())
def test_the_owners_reserve_is_kept_and_a_full_battery_is_not_charged(said: Said) -> None:
    told = effective(said, NOON)
    if said.device.kind == "battery" and said.soc is not None:
        if said.soc <= said.device.reserve_or_min:
            assert told.p_kw <= 0.0
        if said.soc >= said.device.soc_max:
            assert told.p_kw >= 0.0


@given(_said())
def test_a_disconnected_device_gives_and_takes_nothing(said: Said) -> None:
    told = effective(said, NOON)
    if not told.connect:
        assert (told.p_kw, told.q_kvar) == (0.0, 0.0)


@given(_said())
def test_an_override_wins_and_says_so(said: Said) -> None:
    told = effective(said, NOON)
    if said.override is not None:
        alone = effective(Said(said.device, (), said.default, said.default_until, None, said.soc), NOON)
        assert (told.source, told.is_default, told.end) == ("override", True, said.override.until)
        assert (told.p_kw, told.q_kvar, told.limits) == (alone.p_kw, alone.q_kvar, alone.limits)


@given(_said())
def test_of_each_field_the_lowest_primacy_that_speaks_of_it_counts(said: Said) -> None:
    if said.override is not None:
        return
    active = [each for each in said.controls if each.status(NOON) == "active"]
    told = effective(said, NOON)
    assert told.is_default == (not active)
    if active:
        for name, limit in (("export_limit_kw", told.limits.export_kw), ("load_limit_kw", told.limits.load_kw)):
            speaking = [each for each in active if getattr(each.fields, name) is not None]
            lowest = min((each.primacy for each in speaking), default=None)
            allowed = {getattr(each.fields, name) for each in speaking if each.primacy == lowest} or {getattr(said.default, name)}
            assert limit in allowed


@given(_said(), st.integers(1, 1800))
def test_what_is_told_is_valid_until_it_says(said: Said, later_s: int) -> None:
    """A device that asks again when its setpoint ends misses no change."""
    told, later = effective(said, NOON), NOON + later_s * SECOND
    if later < told.end:
        then = effective(said, later)
        assert (then.p_kw, then.q_kvar, then.limits, then.connect) == (told.p_kw, told.q_kvar, told.limits, told.connect)


def _control(
    p_kw: float, primacy: int, start: datetime = NOON - SECOND, end: datetime = NOON + 60 * SECOND, **more: object
) -> Control:
    return Control(f"{primacy:032x}", "operator", "alice-1", Fields(p_kw=p_kw), start, end, start, primacy=primacy, **more)  # type: ignore[arg-type]


def _told(*controls: Control, device: Device | None = None) -> Said:
    return Said(device or battery(), controls, Fields(p_kw=-0.5, q_kvar=0.0), NOON + timedelta(minutes=10))


def test_the_operator_counts_more_than_the_policy_and_the_reason_names_what_cut() -> None:
    told = effective(_told(_control(9.0, 1), _control(-2.0, 65)), NOON)
    assert (told.p_kw, told.control[-2:]) == (5.0, "01")
    assert "nameplate" in told.reason


def test_without_controls_the_default_holds_until_the_next_look() -> None:
    told = effective(_told(), NOON)
    assert (told.p_kw, told.is_default, told.end) == (-0.5, True, NOON + timedelta(minutes=10))


def test_a_control_that_is_over_or_to_come_says_nothing() -> None:
    gone = [
        _control(1.0, 0, end=NOON),
        _control(1.0, 0, start=NOON + SECOND),
        _control(1.0, 0, cancelled=NOON),
        _control(1.0, 0, superseded=NOON),
    ]
    assert effective(_told(*gone), NOON).is_default


def test_a_battery_between_its_reserve_and_its_highest_charge_does_as_it_is_asked() -> None:
    for soc, p_kw in ((0.31, 3.0), (0.3, 0.0), (0.89, -3.0), (0.9, 0.0)):
        device = battery(soc_min=0.1, reserve=0.3, soc_max=0.9)
        said = Said(device, (_control(3.0 if soc < 0.5 else -3.0, 1),), Fields(), NOON + timedelta(minutes=10), soc=soc)
        assert effective(said, NOON).p_kw == p_kw
