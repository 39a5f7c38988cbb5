"""The battery over spans of any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.device.battery import Asked, Nameplate, run
from gridnet.errors import InputError

PLATE = Nameplate(5.0, 10.0)
_ASKED = st.builds(
    Asked,
    p_kw=st.floats(-20, 20),
    q_kvar=st.floats(-20, 20),
    inject_kw=st.floats(0, 10),
    draw_kw=st.floats(0, 10),
    connected=st.booleans(),
)


@given(_ASKED, st.floats(0.05, 0.95), st.floats(1e-5, 1.0))
def test_what_leaves_the_store_is_what_flows_with_its_losses(asked: Asked, soc: float, dt_h: float) -> None:
    done = run(PLATE, soc, asked, dt_h)
    kept = soc * (1.0 - PLATE.battery.self_discharge_per_day) ** (dt_h / 24.0)
    moved_kwh = (done.soc - kept) * PLATE.e_kwh
    expected = -done.p_kw * dt_h / 0.95 if done.p_kw > 0.0 else -done.p_kw * dt_h * 0.95
    assert moved_kwh == pytest.approx(expected, abs=1e-9)


@given(_ASKED, st.floats(0.05, 0.95), st.floats(1e-5, 1.0))
def test_no_limit_is_passed(asked: Asked, soc: float, dt_h: float) -> None:
    done = run(PLATE, soc, asked, dt_h)
    assert -min(5.0, asked.draw_kw) - 1e-9 <= done.p_kw <= min(5.0, asked.inject_kw) + 1e-9
    assert done.p_kw**2 + done.q_kvar**2 <= PLATE.s_kva**2 + 1e-9
    assert done.soc <= 0.95 + 1e-9
    assert done.p_kw <= 0.0 or done.soc >= 0.05 - 1e-9
    assert asked.connected or (done.p_kw, done.q_kvar) == (0.0, 0.0)


@given(st.floats(-5, 5), st.floats(0.4, 0.6), st.floats(0.01, 0.2), st.floats(0.1, 0.9))
def test_a_span_in_two_parts_ends_where_the_whole_one_does(p_kw: float, soc: float, dt_h: float, share: float) -> None:
    asked = Asked(p_kw)
    first = run(PLATE, soc, asked, share * dt_h)
    assert run(PLATE, first.soc, asked, (1.0 - share) * dt_h).soc == pytest.approx(run(PLATE, soc, asked, dt_h).soc, abs=1e-4)


def test_an_empty_battery_gives_no_more_and_takes() -> None:
    assert run(PLATE, 0.05, Asked(p_kw=3.5), 0.25).p_kw == 0.0
    assert run(PLATE, 0.05, Asked(p_kw=-2.5), 0.25).p_kw == -2.5


def test_a_nameplate_names_every_fault() -> None:
    with pytest.raises(InputError) as caught:
        Nameplate(0.0, float("nan"))
    assert [fault.where for fault in caught.value.faults] == ["power, kW", "energy, kWh"]
