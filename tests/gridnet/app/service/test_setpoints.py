"""The policy's setpoints: one for each meter and interval, whoever decides how often; plans until then."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gridnet.app.service.model import Control
from gridnet.app.service.schema import devices, plans, setpoints
from gridnet.app.service.service import Service
from tests.gridnet.app.service.parts import ALICE, NOON, OPERATOR, QUARTER, Clock, metered, setpoint

DECISIONS = st.lists(
    st.tuples(
        st.integers(0, 3),  # quarter-hours that go by before it
        st.lists(st.sampled_from([-2.0, 0.0, 1.0, 1.0002, 3.0]), min_size=5, max_size=5),  # now, and four planned
    ),
    min_size=1,
    max_size=6,
)


def _decide(service: Service, start: datetime, kw: Sequence[float]) -> None:
    planned = [setpoint(start + k * QUARTER, p_kw, source="rule") for k, p_kw in enumerate(kw[1:], 1)]
    service.controls.decided([setpoint(start, kw[0])], planned)


def _schedule(service: Service) -> list[Control]:
    return service.controls.of_device(ALICE, "alice-1")


@given(DECISIONS, st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_two_different_setpoints_for_one_interval_and_names_change_with_content(
    service: Service, clock: Clock, decisions: list[tuple[int, list[float]]], runs: bool
) -> None:
    with service.store.write() as connection:
        for table in (setpoints, plans, devices):
            connection.execute(delete(table))
    service.devices.add(OPERATOR, metered())
    seen: dict[datetime, float] = {}
    names: dict[str, tuple[datetime, float]] = {}
    clock.now, start = Clock().now, NOON
    for passed, kw in decisions:
        start += passed * QUARTER
        clock.forward(minutes=15 * passed, seconds=runs)
        _decide(service, start, kw)
        schedule = _schedule(service)
        assert [each.start for each in schedule] == [start + k * QUARTER for k in range(len(schedule))], "contiguous, each once"
        assert [each.planned for each in schedule] == [False] + [True] * 4
        now = schedule[0].fields.p_kw
        assert now is not None
        assert seen.setdefault(start, now) == now
        for each in schedule:
            p_kw = each.fields.p_kw or 0.0
            known = names.setdefault(each.id, (each.start, p_kw))
            assert known[0] == each.start
            assert abs(known[1] - p_kw) < 0.01, "one name, two setpoints"


def test_a_plan_that_is_decided_unchanged_keeps_its_name_and_another_gets_a_new_one(service: Service, clock: Clock) -> None:
    service.devices.add(OPERATOR, metered())
    _decide(service, NOON, (1.0, 2.0, 3.0))
    before = {each.start: each.id for each in _schedule(service)}
    clock.forward(minutes=15)
    _decide(service, NOON + QUARTER, (2.0, 2.5, 0.0))
    now, then, new = _schedule(service)
    assert now.id == before[NOON + QUARTER]
    assert then.id != before[NOON + 2 * QUARTER]
    assert new.id not in before.values()


def test_plans_are_replaced_and_count_where_nobody_decides(service: Service, clock: Clock) -> None:
    service.devices.add(OPERATOR, metered())
    _decide(service, NOON, (1.0, 2.0, 3.0))
    clock.forward(minutes=15)
    told = service.controls.effective(ALICE, "alice-1")
    assert (told.p_kw, told.source, told.is_default) == (2.0, "rule", False)
    clock.forward(minutes=30)
    assert service.controls.effective(ALICE, "alice-1").is_default


def test_plans_that_are_not_made_again_are_gone(service: Service) -> None:
    service.devices.add(OPERATOR, metered())
    _decide(service, NOON, (1.0, 2.0, 3.0))
    _decide(service, NOON, (1.0, 2.0))
    assert [each.fields.p_kw for each in _schedule(service)] == [1.0, 2.0]


def test_of_concurrent_decisions_one_counts_for_everybody(either: Service) -> None:
    either.devices.add(OPERATOR, metered())

    def decide(number: int) -> float | None:
        _decide(either, NOON, (0.25 * number, 1.0, 1.0))
        return _schedule(either)[0].fields.p_kw

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(decide, range(16)))
    assert len(seen) == 1
    assert len(_schedule(either)) == 3


def test_a_meter_without_a_device_is_decided_for_all_the_same(service: Service) -> None:
    service.controls.decided([setpoint(NOON, 1.0, "bat-01")], [])
    with service.store.read() as connection:
        assert {name: each.p_kw for name, each in service.controls.setpoints_at(NOON, connection).items()} == {"bat-01": 1.0}
    service.devices.add(OPERATOR, metered(meter="bat-01"))
    assert service.controls.effective(ALICE, "alice-1").p_kw == 1.0
