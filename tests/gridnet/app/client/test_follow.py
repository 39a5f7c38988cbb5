"""What a device does at every moment: worked out from what it knows, and against a service that is killed."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.schemas import DeviceBody, DeviceOut, DispatchBody, FieldsBody, IntervalOut, ScheduleOut, SetpointOut
from gridnet.app.client import Client, ClientError, Follower, Patience, Told, Unreachable
from gridnet.app.client.follow import Known
from gridnet.app.service.effective import Said, effective
from gridnet.app.service.model import Control, Device, Fields, Override
from tests.gridnet.app.serving import Server

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
BATTERY = Device(
    "bat", "ann", "battery", discharge_kw=5.0, charge_kw=5.0, s_kva=5.5, e_kwh=10.0, default=Fields(p_kw=-0.5, q_kvar=0.0)
)


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _control(name: str, start: float, end: float, fields: Fields, primacy: int = 65, planned: bool = False) -> Control:
    return Control(name, "any", "bat", fields, _at(start), _at(end), T0, primacy=primacy, planned=planned)


def _known(*controls: Control, at: float = 0.0, override: Override | None = None) -> Known:
    """What a device knows that asked the service at `at`."""
    said = Said(BATTERY, controls, BATTERY.default, _at(15.0 * (at // 15.0 + 1.0)), override)
    told = Told(SetpointOut.of(effective(said, _at(at))), "tag")
    listed = tuple(each for each in controls if each.end > _at(at))
    out = DeviceOut.of(BATTERY)
    schedule = ScheduleOut(
        device="bat", intervals=[IntervalOut.of(each, _at(at)) for each in listed], default_control=FieldsBody.of(BATTERY.default)
    )
    return Known.of(out, schedule, told)


NOW = _control("now", 0, 15, Fields(p_kw=3.5, q_kvar=1.0))
NEXT = _control("next", 15, 30, Fields(p_kw=-2.5, q_kvar=0.0), planned=True)
BY_HAND = _control("hand", 5, 10, Fields(p_kw=1.0), primacy=1)


@pytest.mark.parametrize(
    ("minute", "name", "p_kw"),
    [
        (0, "now", 3.5),
        (14.99, "now", 3.5),
        (15, "next", -2.5),
        (29.99, "next", -2.5),
        (30, "default", -0.5),
        (1e5, "default", -0.5),
    ],
)
def test_without_a_link_the_running_control_ends_then_plans_then_the_default(minute: float, name: str, p_kw: float) -> None:
    setpoint = _known(NOW, NEXT).setpoint(_at(minute))
    assert (setpoint.id, setpoint.p_kw, setpoint.is_default) == (name, p_kw, name == "default")


def test_an_order_published_ahead_begins_at_its_time_whatever_runs() -> None:
    known = _known(NOW, BY_HAND)
    assert [known.setpoint(_at(each)).id for each in (4.9, 5, 9.9, 10, 14.9, 15)] == [
        "now",
        "hand",
        "hand",
        "now",
        "now",
        "default",
    ]
    assert known.setpoint(_at(7)).q_kvar == 1.0


def test_an_override_holds_whatever_begins_and_then_what_is_published_counts() -> None:
    known = _known(NOW, NEXT, BY_HAND, override=Override("bat", _at(20), "at home"))
    assert [known.setpoint(_at(each)).p_kw for each in (0, 7, 16)] == [-0.5] * 3
    assert known.in_force(_at(7)) == ()
    assert known.setpoint(_at(20)).id == "next"
    assert [each.id for each in known.in_force(_at(20))] == ["next"]


def test_the_word_of_the_service_counts_more_than_what_is_worked_out() -> None:
    known = _known(NOW, NEXT)
    assert known.told is not None
    cut = known.told.setpoint.model_copy(update={"p_kw": 0.7, "reason": "its charge is at its reserve"})
    known = replace(known, told=Told(cut, "tag"))
    assert known.setpoint(_at(3)).p_kw == 0.7
    assert known.setpoint(_at(15)).p_kw == -2.5


def test_whoever_never_reached_the_service_rests() -> None:
    with Follower(_Teller(_known(NOW), away=True), "bat") as follower:
        setpoint = follower.setpoint(T0)
    assert (setpoint.p_kw, setpoint.q_kvar, setpoint.is_default) == (0.0, 0.0, True)


def test_the_owners_reserve_is_kept_without_a_link_too() -> None:
    device = replace(BATTERY, reserve=0.4)
    known = replace(_known(_control("out", 15, 30, Fields(p_kw=3.0))), device=device)
    assert known.setpoint(_at(15), soc=0.5).p_kw == 3.0
    assert known.setpoint(_at(15), soc=0.4).p_kw == 0.0


def test_controls_in_force_are_those_that_have_a_say() -> None:
    reactive = _control("q", 0, 15, Fields(q_kvar=-1.0), primacy=1)
    power = _control("p", 0, 15, Fields(p_kw=1.0), primacy=2)
    both = _control("both", 0, 15, Fields(p_kw=2.0, q_kvar=2.0), primacy=3)
    assert [each.id for each in _known(both, power, reactive).in_force(T0)] == ["q", "p"]


_FIELDS = st.builds(
    Fields,
    p_kw=st.none() | st.floats(-6, 6),
    q_kvar=st.none() | st.floats(-6, 6),
    generation_limit_kw=st.none() | st.floats(0, 6),
)
_CONTROLS = st.lists(st.tuples(st.integers(0, 59), st.integers(1, 30), st.integers(0, 3), _FIELDS), max_size=6)


@given(_CONTROLS, st.integers(0, 30), st.floats(0, 120))
def test_a_device_that_knows_everything_does_without_a_link_what_the_service_would_say(
    drawn: list[tuple[int, int, int, Fields]], asked: int, minute: float
) -> None:
    controls = [
        _control(f"c{n}", start, start + length, fields, primacy) for n, (start, length, primacy, fields) in enumerate(drawn)
    ]
    now = _at(asked + minute)
    mine = _known(*controls, at=asked).setpoint(now)
    theirs = effective(Said(BATTERY, controls, BATTERY.default, now), now)
    assert (mine.id, mine.p_kw, mine.q_kvar, mine.is_default) == (theirs.control, theirs.p_kw, theirs.q_kvar, theirs.is_default)


@given(_CONTROLS, st.integers(0, 30), st.floats(0, 120))
def test_between_two_changes_nothing_changes(drawn: list[tuple[int, int, int, Fields]], asked: int, minute: float) -> None:
    controls = [
        _control(f"c{n}", start, start + length, fields, primacy) for n, (start, length, primacy, fields) in enumerate(drawn)
    ]
    known, now = _known(*controls, at=asked), _at(asked + minute)
    change = known.next_change(now)
    later = _at(asked + minute + 1e4) if change is None else change - timedelta(microseconds=1)
    one, other = known.setpoint(now), known.setpoint(max(now, later))
    assert (one.id, one.p_kw, one.q_kvar) == (other.id, other.p_kw, other.q_kvar)


@dataclass
class _Teller:
    """A service that says what it is told to say, or nothing."""

    known: Known
    away: bool = False
    asked: int = 0

    def patient(self, patience: Patience) -> _Teller:
        return self

    def device(self, device: str) -> DeviceOut:
        return DeviceOut.of(BATTERY)

    def setpoint(self, device: str, known: Told | None = None, wait_s: int = 0) -> Told:
        self.asked += 1
        if self.away:
            raise Unreachable("away")
        time.sleep(0.02)
        assert self.known.told is not None
        return self.known.told

    def schedule(self, device: str) -> ScheduleOut:
        intervals = [IntervalOut.of(each, T0) for each in self.known.controls]
        return ScheduleOut(device="bat", intervals=intervals, default_control=FieldsBody.of(BATTERY.default))


def test_a_follower_goes_on_with_what_it_knows_and_comes_back() -> None:
    teller = _Teller(_known(NOW, NEXT))
    with Follower(teller, "bat", clock=lambda: T0) as follower:
        assert follower.wait_linked(5.0)
        teller.away = True
        end = time.monotonic() + 5.0
        while follower.linked and time.monotonic() < end:
            time.sleep(0.01)
        assert not follower.linked
        assert follower.setpoint(_at(3)).id == "now"
        teller.known, teller.away = _known(_control("new", 0, 15, Fields(p_kw=2.0))), False
        assert follower.wait_linked(5.0)
        assert follower.setpoint(_at(3)).id == "new"


def test_a_follower_that_is_away_does_not_hammer_the_service() -> None:
    teller = _Teller(_known(NOW), away=True)
    with Follower(teller, "bat", clock=lambda: T0):
        time.sleep(1.2)
    assert 1 <= teller.asked <= 3


def test_a_service_killed_in_mid_event_leaves_control_plan_and_default_at_their_times(server: Server) -> None:
    with Client(server.url, server.ca, server.certificate("cut-off")) as device, server.operator() as operator:
        device.register(DeviceBody(id="cut-off", discharge_kw=5.0, charge_kw=5.0, s_kva=5.5))
        device.set_default("cut-off", FieldsBody(p_kw=-0.25, q_kvar=0.0))
        start = datetime.now(UTC).replace(microsecond=0)
        ends = [start + timedelta(seconds=each) for each in (0, 3, 5)]
        for (begin, end), p_kw in zip(itertools.pairwise(ends), (3.5, -2.5), strict=True):
            operator.dispatch(DispatchBody(device="cut-off", fields=FieldsBody(p_kw=p_kw, q_kvar=1.0), start=begin, end=end))
        seen: list[tuple[float, datetime]] = []
        over = threading.Event()

        def follow() -> None:
            for setpoint in device.follow("cut-off", wait_s=1):
                seen.append((setpoint.p_kw, datetime.now(UTC)))
                if setpoint.is_default and len(seen) > 1:
                    break
            over.set()

        threading.Thread(target=follow, daemon=True).start()
        while not any(p_kw == 3.5 for p_kw, _ in seen):
            time.sleep(0.01)
        server.kill()
        try:
            assert over.wait(10.0)
            assert [p_kw for p_kw, _ in seen][-3:] == [3.5, -2.5, -0.25]
            for (_, at), due in zip(seen[-2:], ends[1:], strict=True):
                assert timedelta(0) <= at - due < timedelta(seconds=2)
            with pytest.raises(ClientError):
                device.patient(Patience(attempts=1)).device("cut-off")
        finally:
            server.start()
        assert device.device("cut-off").id == "cut-off"
