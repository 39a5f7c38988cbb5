"""Dispatches, programmes, overrides and acknowledgements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gridnet.app.service.errors import Conflict, Forbidden, NotFound
from gridnet.app.service.model import ROLES, Ack, Control, Fields, Measurement, Order, Principal, Program
from gridnet.app.service.schema import controls, devices
from gridnet.app.service.service import Service
from gridnet.errors import InputError
from tests.gridnet.app.service.parts import ALICE, BOB, NOON, OPERATOR, QUARTER, SECOND, Clock, battery, metered, order, setpoint


@pytest.fixture
def served(service: Service) -> Service:
    """With a battery of alice's and one of bob's."""
    service.devices.add(OPERATOR, metered())
    service.devices.add(BOB, battery("bob-1", "bob"))
    return service


def _p_kw(served: Service, device: str = "alice-1") -> float:
    return served.controls.effective(OPERATOR, device).p_kw


def test_a_dispatch_reaches_its_device_alone_and_for_its_time(served: Service, clock: Clock) -> None:
    made = served.controls.dispatch(OPERATOR, order(clock.now, fields=Fields(p_kw=3.5), reason="a test"))
    told = served.controls.effective(ALICE, "alice-1")
    assert (told.control, told.p_kw, told.end, told.reason) == (made.id, 3.5, made.end, "a test")
    assert served.controls.effective(BOB, "bob-1").is_default
    clock.now = made.end - SECOND
    assert _p_kw(served) == 3.5
    clock.now = made.end
    assert served.controls.effective(ALICE, "alice-1").is_default
    assert served.controls.get(ALICE, made.id).status(clock.now) == "completed"


def test_one_for_everybody_reaches_everybody_and_a_later_programme_of_lower_primacy_wins(served: Service, clock: Clock) -> None:
    served.controls.put_program(OPERATOR, Program("alarm", 0))
    served.controls.dispatch(OPERATOR, order(clock.now, device=None, fields=Fields(p_kw=2.0, q_kvar=1.0)))
    served.controls.dispatch(OPERATOR, order(clock.now, fields=Fields(p_kw=-1.0), program="alarm"))
    alice, bob = (served.controls.effective(OPERATOR, device) for device in ("alice-1", "bob-1"))
    assert (alice.p_kw, alice.q_kvar) == (-1.0, 1.0)
    assert (bob.p_kw, bob.q_kvar) == (2.0, 1.0)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "operator"])
def test_only_an_operator_dispatches_cancels_and_makes_programmes(served: Service, clock: Clock, role: str) -> None:
    made = served.controls.dispatch(OPERATOR, order(clock.now))
    by = Principal("alice", role)  # type: ignore[arg-type]
    for ask in (
        lambda: served.controls.dispatch(by, order(clock.now)),
        lambda: served.controls.cancel(by, made.id),
        lambda: served.controls.put_program(by, Program("mine", 0, "alice-1")),
    ):
        with pytest.raises(Forbidden):
            ask()


def test_everything_wrong_with_an_order_is_said(served: Service, clock: Clock) -> None:
    wrong = Order(
        "dispatch", "alice-1", Fields(), clock.now - timedelta(days=9), clock.now - timedelta(days=1), randomize_start_s=-1
    )
    with pytest.raises(InputError) as refused:
        served.controls.dispatch(OPERATOR, wrong)
    assert {fault.where for fault in refused.value.faults} == {"start, end", "end", "fields", "randomize_start_s", "program"}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOON.replace(microsecond=200_000) + timedelta(minutes=6), NOON.replace(microsecond=800_000) + timedelta(minutes=6)),
        (NOON + timedelta(hours=2), NOON + timedelta(hours=1)),
        (datetime.max.replace(tzinfo=UTC) - timedelta(hours=2), datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), NOON + timedelta(hours=1)),
        (NOON, datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))),
    ],
    ids=["within a second", "backwards", "end of time", "beginning of time", "for ever"],
)
def test_an_order_of_no_length_or_beyond_all_bounds_is_refused_in_words(served: Service, start: datetime, end: datetime) -> None:
    with pytest.raises(InputError):
        served.controls.dispatch(OPERATOR, replace(order(NOON), start=start, end=end))
    assert served.controls.of_device(OPERATOR, "alice-1") == []


def test_unknown_devices_and_programmes_are_not_found(served: Service, clock: Clock) -> None:
    for wrong in (order(clock.now, device="nobody"), order(clock.now, program="nothing")):
        with pytest.raises(NotFound):
            served.controls.dispatch(OPERATOR, wrong)


def test_the_same_key_gives_the_same_control(served: Service, clock: Clock) -> None:
    asked = order(clock.now + 0.4 * SECOND, key="k")
    made = served.controls.dispatch(OPERATOR, asked)
    clock.forward(seconds=30)
    assert served.controls.dispatch(OPERATOR, asked).id == made.id
    assert len(served.controls.of_device(ALICE, "alice-1")) == 1
    served.controls.cancel(OPERATOR, made.id)
    assert served.controls.dispatch(OPERATOR, asked).cancelled is not None, "an answer that was lost does not undo the cancelling"


def test_the_same_key_is_answered_when_the_control_is_over(served: Service, clock: Clock) -> None:
    asked = order(clock.now, 0.5, key="k")
    made = served.controls.dispatch(OPERATOR, asked)
    clock.forward(minutes=2)
    assert served.controls.dispatch(OPERATOR, asked).id == made.id


@pytest.mark.parametrize(
    "other",
    [
        {"fields": Fields(p_kw=2.0)},
        {"device": "bob-1"},
        {"device": None},
        {"program": "alarm"},
        {"end": NOON + timedelta(hours=1)},
        {"start": NOON + timedelta(minutes=6)},
        {"randomize_start_s": 60},
    ],
    ids=lambda other: next(iter(other)) + ("" if next(iter(other.values())) is not None else " none"),
)
def test_the_same_key_with_another_order_conflicts(served: Service, clock: Clock, other: dict[str, object]) -> None:
    served.controls.put_program(OPERATOR, Program("alarm", 0))
    asked = order(clock.now, key="k")
    served.controls.dispatch(OPERATOR, asked)
    with pytest.raises(Conflict):
        served.controls.dispatch(OPERATOR, replace(asked, **other))  # type: ignore[arg-type]
    assert len(served.controls.of_device(OPERATOR, "alice-1")) == 1


def test_a_newer_control_supersedes_an_older_one_of_its_programme(served: Service, clock: Clock) -> None:
    older = served.controls.dispatch(OPERATOR, order(clock.now, 30))
    newer = served.controls.dispatch(OPERATOR, order(clock.now + 5 * 60 * SECOND, fields=Fields(p_kw=2.0)))
    assert _p_kw(served) == 1.0
    clock.now = newer.start
    assert _p_kw(served) == 2.0
    assert served.controls.get(ALICE, older.id).status(clock.now) == "superseded"
    clock.now = newer.end
    assert served.controls.effective(ALICE, "alice-1").is_default, "a superseded control does not come back"


_BEGIN_END = st.tuples(st.integers(0, 40), st.integers(1, 30)).map(lambda each: (each[0], each[0] + each[1]))


@given(orders=st.lists(_BEGIN_END, min_size=2, max_size=5), moment=st.integers(0, 70))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_overlapping_controls_the_newest_holds(
    service: Service, clock: Clock, orders: list[tuple[int, int]], moment: int
) -> None:
    """Whatever was dispatched before, in whatever order it begins."""
    clock.now = NOON
    with service.store.write() as connection:
        connection.execute(delete(controls))
        connection.execute(delete(devices))
    service.devices.add(ALICE, battery())
    for number, (start, end) in enumerate(orders):
        asked = order(NOON + start * SECOND, fields=Fields(p_kw=0.1 * (number + 1)))
        service.controls.dispatch(OPERATOR, replace(asked, end=NOON + end * SECOND))
    clock.forward(seconds=moment)
    active = [each for each in service.controls.of_device(ALICE, "alice-1") if each.status(clock.now) == "active"]
    holding = [number for number, (start, end) in enumerate(orders) if start <= moment < end]
    told = service.controls.effective(ALICE, "alice-1")
    assert len(active) <= 1
    if active:
        # An older one may have been superseded by one that is over; never is it the other way round.
        assert told.p_kw == pytest.approx(0.1 * (max(holding) + 1))


def test_a_cancelled_control_is_over_at_once_and_is_cancelled_once(served: Service, clock: Clock) -> None:
    made = served.controls.dispatch(OPERATOR, order(clock.now))
    clock.forward(seconds=9.9)
    assert served.controls.cancel(OPERATOR, made.id).status(clock.now) == "cancelled"
    assert served.controls.effective(ALICE, "alice-1").is_default
    with pytest.raises(Conflict):
        served.controls.cancel(OPERATOR, made.id)
    with pytest.raises(NotFound):
        served.controls.cancel(OPERATOR, "0" * 32)


def test_a_policys_setpoint_is_not_cancelled_but_dispatched_over(served: Service, clock: Clock) -> None:
    served.controls.decided([setpoint(NOON, -2.0)], [])
    (own,) = served.controls.of_device(ALICE, "alice-1")
    with pytest.raises(Conflict):
        served.controls.cancel(OPERATOR, own.id)
    served.controls.dispatch(OPERATOR, order(clock.now, fields=Fields(p_kw=2.0)))
    assert _p_kw(served) == 2.0


def test_strangers_know_of_no_control(served: Service, clock: Clock) -> None:
    made = served.controls.dispatch(OPERATOR, order(clock.now))
    served.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + QUARTER, 1.0)])
    for each in (made, *served.controls.of_device(ALICE, "alice-1")):
        assert served.controls.get(ALICE, each.id).id == each.id
        with pytest.raises(NotFound):
            served.controls.get(BOB, each.id)
        with pytest.raises(NotFound):
            served.controls.acknowledge(BOB, Ack(each.id, "bob-1", "received", clock.now))


def test_a_programme_of_one_device_is_not_anothers(served: Service, clock: Clock) -> None:
    served.controls.put_program(OPERATOR, Program("alices", 2, "alice-1", default=Fields(p_kw=-3.0)))
    assert served.controls.program(ALICE, "alices").primacy == 2
    with pytest.raises(NotFound):
        served.controls.program(BOB, "alices")
    assert "alices" not in {each.id for each in served.controls.programs(BOB, "bob-1")}
    assert (_p_kw(served), _p_kw(served, "bob-1")) == (-3.0, 0.0)
    made = served.controls.dispatch(OPERATOR, order(clock.now, device=None, program="alices"))
    assert made.device == "alice-1"
    assert (_p_kw(served), _p_kw(served, "bob-1")) == (1.0, 0.0)
    with pytest.raises((InputError, NotFound, Conflict)):
        served.controls.dispatch(OPERATOR, order(clock.now, device="bob-1", program="alices"))


def test_programmes_that_cannot_be(served: Service) -> None:
    for wrong in (Program("dispatch", 5), Program("operator", 5), Program("x", -1), Program("x", 256), Program("", 5)):
        with pytest.raises(InputError):
            served.controls.put_program(OPERATOR, wrong)
    with pytest.raises(NotFound):
        served.controls.put_program(OPERATOR, Program("x", 5, "nobody"))


def test_an_override_wins_until_it_ends(served: Service, clock: Clock) -> None:
    served.controls.dispatch(OPERATOR, order(clock.now, 60, fields=Fields(p_kw=4.0)))
    served.controls.override(ALICE, "alice-1", clock.now + timedelta(minutes=20), "a party")
    told = served.controls.effective(ALICE, "alice-1")
    assert (told.p_kw, told.source) == (0.0, "override")
    assert served.controls.overridden() == {"alice-1"}
    clock.forward(minutes=20)
    assert (_p_kw(served), served.controls.overridden()) == (4.0, frozenset())
    served.controls.override(ALICE, "alice-1", clock.now + timedelta(minutes=20), "another")
    served.controls.end_override(ALICE, "alice-1")
    assert _p_kw(served) == 4.0


@pytest.mark.parametrize("after", [timedelta(0), -SECOND, timedelta(days=7, seconds=1)])
def test_an_override_is_for_the_next_seven_days(served: Service, clock: Clock, after: timedelta) -> None:
    with pytest.raises(InputError):
        served.controls.override(ALICE, "alice-1", clock.now + after, "a party")
    with pytest.raises(NotFound):
        served.controls.override(BOB, "alice-1", clock.now + timedelta(hours=1), "a joke")
    assert served.controls.overridden() == frozenset()


def test_an_old_or_future_state_of_charge_says_nothing(served: Service, clock: Clock) -> None:
    served.devices.change(ALICE, "alice-1", reserve=0.4)
    served.controls.dispatch(OPERATOR, order(clock.now, 600, fields=Fields(p_kw=4.0)))
    served.telemetry.measure(ALICE, "alice-1", [Measurement("soc", clock.now, 0.3)])
    assert _p_kw(served) == 0.0
    clock.forward(minutes=61)
    assert _p_kw(served) == 4.0


def test_an_acknowledgement_said_again_is_kept_once(served: Service, clock: Clock) -> None:
    made = served.controls.dispatch(OPERATOR, order(clock.now))
    said = [
        Ack(made.id, "alice-1", status, clock.now + n * SECOND) for n, status in enumerate(("received", "started", "completed"))
    ]
    for each in (*said, said[0]):
        served.controls.acknowledge(ALICE, each)  # type: ignore[arg-type]
    assert [each.status for each in served.controls.acks(ALICE, "alice-1")] == ["received", "started", "completed"]
    with pytest.raises(NotFound):
        served.controls.acks(BOB, "alice-1")
    with pytest.raises(NotFound):
        served.controls.acknowledge(ALICE, Ack(made.id, "bob-1", "received", clock.now))


def _is_in_order(found: list[Control]) -> bool:
    return [each.start for each in found] == sorted(each.start for each in found)


def test_a_schedule_is_by_start_and_goes_back_when_asked(served: Service, clock: Clock) -> None:
    for minutes in (20, 1, 10):
        served.controls.dispatch(OPERATOR, order(clock.now + timedelta(minutes=minutes), 2))
    assert _is_in_order(served.controls.of_device(ALICE, "alice-1"))
    clock.forward(minutes=11)
    assert len(served.controls.of_device(ALICE, "alice-1")) == 2
    assert len(served.controls.of_device(ALICE, "alice-1", since=NOON)) == 3
