"""Controls as 2030.5 puts them: the same signs, never wider, and in the form that the device follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from envoy_schema.server.schema.sep2.der import DERCapability, DERControlBase, DERControlType, DERSettings
from envoy_schema.server.schema.sep2.der_control_types import ActivePower, ReactivePower
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.sep.payloads import Ratings, control_base, default_control, der_control, ratings
from gridnet.app.service.model import OPERATOR, Control, Fields, Program
from tests.gridnet.app.api.sep.parties import START

UNKNOWN = Ratings()


def watts(power: ActivePower | None) -> float | None:
    return None if power is None else power.value * 10.0**power.multiplier


@pytest.mark.parametrize("p_kw", [3.5, -3.5, 0.0])
def test_generation_is_positive_on_both_sides(p_kw: float) -> None:
    assert watts(control_base(Fields(p_kw=p_kw), UNKNOWN).opModTargetW) == 1000 * p_kw


def test_each_limit_goes_to_its_own_element() -> None:
    fields = Fields(export_limit_kw=1.0, import_limit_kw=2.0, generation_limit_kw=3.0, load_limit_kw=4.0)

    base = control_base(fields, UNKNOWN)

    found = (base.opModExpLimW, base.opModImpLimW, base.opModGenLimW, base.opModLoadLimW)
    assert [watts(each) for each in found] == [1000.0, 2000.0, 3000.0, 4000.0]


def test_what_a_control_does_not_say_is_left_out() -> None:
    assert control_base(Fields(connect=False), UNKNOWN) == DERControlBase(opModConnect=False)


@given(st.floats(0, 1e6))
def test_a_limit_is_never_published_wider_than_it_is(limit_kw: float) -> None:
    base = control_base(Fields(export_limit_kw=limit_kw, load_limit_kw=limit_kw), UNKNOWN)

    for power in (base.opModExpLimW, base.opModLoadLimW):
        published = watts(power)
        assert published is not None
        assert 0 <= published <= 1000 * limit_kw * (1 + 1e-12)


def test_a_ramp_is_in_hundredths_of_a_second() -> None:
    assert control_base(Fields(ramp_s=30.0), UNKNOWN).rampTms == 3000


def test_a_device_that_knows_percentages_alone_gets_them() -> None:
    device = Ratings(fixed_only=True, most_kw=5.0, most_charge_kw=4.0)

    assert control_base(Fields(p_kw=2.5), device) == DERControlBase(opModFixedW=5000)
    assert control_base(Fields(p_kw=-2.0), device) == DERControlBase(opModFixedW=-5000)
    assert control_base(Fields(p_kw=-2.0), replace(device, most_charge_kw=None)) == DERControlBase(opModFixedW=-4000)
    assert control_base(Fields(p_kw=9.0), device) == DERControlBase(opModFixedW=10000)


def test_without_a_rating_there_is_no_percentage() -> None:
    assert control_base(Fields(p_kw=2.5), Ratings(fixed_only=True)).opModFixedW is None


@pytest.mark.parametrize("q_kvar", [1.5, -1.5])
def test_reactive_power_is_a_part_of_what_the_device_set(q_kvar: float) -> None:
    base = control_base(Fields(q_kvar=q_kvar), Ratings(most_kvar=3.0))

    assert base.opModTargetVar is None
    assert base.opModFixedVar is not None
    assert (base.opModFixedVar.refType, base.opModFixedVar.value) == (2, 10_000 * q_kvar / 3.0)


def test_reactive_power_is_in_var_where_the_device_set_nothing() -> None:
    base = control_base(Fields(q_kvar=-1.5), UNKNOWN)

    assert base.opModTargetVar == ReactivePower(multiplier=0, value=-1500)
    assert base.opModFixedVar is None


def test_no_reactive_power_needs_no_rating() -> None:
    base = control_base(Fields(q_kvar=0.0), UNKNOWN)

    assert base.opModFixedVar is not None
    assert base.opModFixedVar.value == 0


def test_settings_count_before_the_nameplate() -> None:
    modes = f"{DERControlType.OP_MOD_FIXED_W:08X}"
    power = {kw: ActivePower(multiplier=2, value=10 * kw) for kw in (4, 5, 6)}
    capability = DERCapability(modesSupported=modes, type_=80, doeModesSupported="00", rtgMaxW=power[6], rtgMaxChargeRateW=power[5])
    settings = DERSettings(setGradW=0, setMaxW=power[4], updatedTime=1)

    assert ratings(capability, settings) == Ratings(True, 4.0, 5.0, None)
    assert ratings(capability, None) == Ratings(True, 6.0, 5.0, None)
    assert ratings(None, None) == UNKNOWN


def test_a_device_that_knows_watts_too_gets_watts() -> None:
    modes = f"{DERControlType.OP_MOD_FIXED_W | DERControlType.OP_MOD_TARGET_W:08X}"
    most = ActivePower(multiplier=3, value=5)
    capability = DERCapability(modesSupported=modes, type_=80, doeModesSupported="00", rtgMaxW=most)

    assert not ratings(capability, None).fixed_only


CONTROL = Control("ab" * 12 + "0" * 8, OPERATOR, "bat", Fields(p_kw=1.0), START, START + timedelta(minutes=15), START)


@pytest.mark.parametrize(
    ("changes", "at_min", "status", "since_min"),
    [
        ({"start": START + timedelta(minutes=5)}, 1, 0, 0),
        ({}, 1, 1, 0),
        ({"cancelled": START + timedelta(minutes=2)}, 3, 2, 2),
        ({"superseded": START + timedelta(minutes=2)}, 3, 4, 2),
    ],
)
def test_where_a_control_stands(changes: dict[str, object], at_min: int, status: int, since_min: int) -> None:
    control = replace(CONTROL, **changes)  # type: ignore[arg-type]

    event = der_control(control, "bat", control_base(control.fields, UNKNOWN), START + timedelta(minutes=at_min)).EventStatus_

    assert event.currentStatus == status
    assert event.dateTime == int((START + timedelta(minutes=since_min)).timestamp())
    assert not event.potentiallySuperseded


def test_a_control_that_will_be_superseded_says_when() -> None:
    later = START + timedelta(minutes=10)

    event = der_control(replace(CONTROL, superseded=later), "bat", DERControlBase(), START).EventStatus_

    assert (event.currentStatus, event.potentiallySuperseded) == (1, True)
    assert event.potentiallySupersededTime == int(later.timestamp())


def test_a_control_goes_by_its_own_id_and_asks_for_answers() -> None:
    made = der_control(CONTROL, "bat", DERControlBase(), START)

    assert made.mRID == CONTROL.id.upper()
    assert (made.replyTo, made.responseRequired) == ("/sep2/edev/bat/rsp", "03")
    assert (made.interval.start, made.interval.duration) == (int(START.timestamp()), 900)


def test_the_default_gradient_is_in_hundredths_of_a_percent() -> None:
    fields = Fields(gradient_percent_per_s=1.0)

    made = default_control(fields, "bat", Program("operator", 1), DERControlBase())

    assert made.setGradW == 100
