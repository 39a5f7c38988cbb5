"""Where signed readings lie: weeks, feeders, what is kept once, what is kept how long."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text

from gridnet.app.service import marks, partitions, readings, retention
from gridnet.app.service.names import MAIN
from gridnet.app.service.readings import Kept, Weeks, arrived, of_meter, put, put_before
from gridnet.app.service.schema import messages
from gridnet.app.service.schema import readings as table
from gridnet.app.service.service import Service
from gridnet.app.service.store import Store
from gridnet.clock import STEPS_PER_DAY
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import NOON, Clock

NOON_Q = int(NOON.timestamp()) // 900
DAYS = 20
QUARTERS = st.integers(0, 2**40)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """One on either kind of database."""
    made = Store(Database(url), Clock())
    made.migrate()
    yield made
    made.database.close()


def kept(number: int, quarter: int = NOON_Q, feeder: str = MAIN, meter: str = "bat-00") -> Kept:
    """A message, whatever it says."""
    raw = f"message {feeder} {meter} {number}".encode()
    return Kept(feeder, meter, number, sha256(raw).digest(), raw, quarter, 0)


def keep(store: Store, *rows: Kept) -> int:
    """Keeps them as a process that was just started does; how many were new."""
    with store.write(MAIN, shared=True) as connection:
        Weeks().prepare(connection, {each.quarter for each in rows})
        return len(put(connection, rows))


def there(store: Store, quarter: int, feeder: str = MAIN) -> list[bytes]:
    """What counts in a quarter-hour."""
    with store.read() as connection:
        return [raw for _, raw in arrived(connection, quarter, feeder)]


def count(store: Store) -> int:
    """Messages in all."""
    with store.read() as connection:
        return sum(connection.execute(select(func.count()).select_from(each)).scalar_one() for each in (table, messages))


@given(QUARTERS)
def test_every_quarter_hour_lies_in_one_week(quarter: int) -> None:
    week = partitions.week_of(quarter)
    assert quarter in partitions.span(week)
    assert quarter not in partitions.span(week + 1)
    assert partitions.span(week).stop == partitions.span(week + 1).start
    assert len(partitions.span(week)) == 7 * 24 * 4


@given(QUARTERS, st.integers(14, 4000), st.integers(0, 2000), st.lists(QUARTERS, max_size=4))
def test_what_is_looked_back_at_is_kept_however_long_ago_it_was(
    quarter: int, days: int, looked_at: int, settled: list[int]
) -> None:
    first = retention.first_kept(quarter, days, looked_at, settled)
    assert first <= quarter - days * STEPS_PER_DAY
    assert all(first <= each - looked_at for each in (*settled, quarter))
    assert first in (quarter - days * STEPS_PER_DAY, *(each - looked_at for each in (*settled, quarter)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["insert", "roll", "trim"]), st.integers(-60, 60)), min_size=1, max_size=14))
def test_nothing_is_lost_in_whatever_order_weeks_come_and_go(store: Store, acts: list[tuple[str, int]]) -> None:
    """Days before and after noon: readings are kept, weeks made, and old ones dropped."""
    with store.write(MAIN) as connection:
        connection.execute(text("DELETE FROM service_readings"))
    expected: dict[int, int] = {}
    for number, (act, day) in enumerate(acts):
        quarter = NOON_Q + day * STEPS_PER_DAY
        if act == "insert":
            assert keep(store, kept(number, quarter)) == 1
            expected[number] = quarter
        elif act == "roll":
            with store.write("other") as connection:
                partitions.prepare(connection, quarter)
        else:
            retention.trim(store, quarter, DAYS, 900, [MAIN])
            # A week goes when all of it is older.
            gone = quarter - DAYS * STEPS_PER_DAY
            with store.read() as connection:
                left = set(connection.execute(select(table.c.sequence)).scalars())
            assert {each for each, at in expected.items() if at >= gone} <= left
            expected = {each: at for each, at in expected.items() if each in left}
    with store.read() as connection:
        found = {row.sequence: row.quarter for row in connection.execute(select(table.c.sequence, table.c.quarter))}
    assert found == expected


def test_a_message_counts_in_its_feeder_alone(store: Store) -> None:
    rows = [kept(1), kept(1, feeder="east"), kept(2, feeder="east", meter="pv-00"), kept(1, feeder="west")]
    assert keep(store, *rows) == 4
    assert there(store, NOON_Q) == [rows[0].raw]
    assert there(store, NOON_Q, "east") == [rows[1].raw, rows[2].raw]
    with store.read() as connection:
        assert of_meter(connection, "east/pv-00", NOON_Q, NOON_Q) == [rows[2].raw]
        assert of_meter(connection, "pv-00", NOON_Q, NOON_Q) == []


def test_a_message_that_comes_again_is_known_for_days(store: Store) -> None:
    days = readings.REPEATED_DAYS
    assert keep(store, kept(1), kept(1)) == 1
    assert keep(store, kept(1, NOON_Q + 1), kept(2, NOON_Q + 1)) == 1
    assert keep(store, kept(1, NOON_Q + days * STEPS_PER_DAY)) == 0
    assert keep(store, kept(1, NOON_Q + 2 * days * STEPS_PER_DAY)) == 1
    assert there(store, NOON_Q + 1) == [kept(2).raw]


def test_what_the_version_before_kept_is_found_and_what_lies_in_both_places_is_found_once(store: Store) -> None:
    old, both, new = kept(1), kept(2), kept(3)
    with store.write(MAIN) as connection:
        assert len(put_before(connection, [old, both])) == 2
        for row in (both, new):
            connection.execute(insert(table), [{column.name: getattr(row, column.name) for column in table.c}])
    assert there(store, NOON_Q) == [old.raw, both.raw, new.raw]
    assert there(store, NOON_Q, "east") == []
    with store.read() as connection:
        assert of_meter(connection, "bat-00", NOON_Q, NOON_Q) == [old.raw, both.raw, new.raw]
    assert keep(store, kept(1, NOON_Q + 1), kept(2, NOON_Q + 1), kept(3, NOON_Q + 1)) == 0
    with store.write(MAIN) as connection:
        assert put_before(connection, [kept(3)]) == set()


def test_readings_are_dropped_when_nobody_looks_back_at_them(store: Store) -> None:
    long_ago, lately = NOON_Q - 60 * STEPS_PER_DAY, NOON_Q - 2 * STEPS_PER_DAY
    keep(store, kept(1, long_ago), kept(2, lately))
    with store.write(MAIN) as connection:
        put_before(connection, [kept(3, long_ago), kept(4, lately)])
        marks.mark(connection, marks.of("east", marks.SETTLED), long_ago + 100)
        marks.mark(connection, marks.SETTLED, NOON_Q)
    retention.trim(store, NOON_Q, DAYS, 900, [MAIN, "east"])
    assert count(store) == 4
    retention.trim(store, NOON_Q, DAYS, 900, [MAIN])
    assert count(store) == 2
    assert len(there(store, lately)) == 2
    assert keep(store, kept(5, long_ago)) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_week_that_is_read_for_long_stays_until_later(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    keep(store, kept(1, NOON_Q - 60 * STEPS_PER_DAY))
    with store.read() as connection:
        assert connection.execute(select(table.c.sequence)).scalars().all() == [1]
        retention.trim(store, NOON_Q, DAYS, 900, [MAIN])
        assert "stay" in caplog.text
        assert count(store) == 1
    retention.trim(store, NOON_Q, DAYS, 900, [MAIN])
    assert count(store) == 0


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_weeks_are_made_ahead_once_by_whoever_comes(store: Store) -> None:
    with store.read() as connection:
        made = partitions.weeks(connection)
    week = partitions.week_of(NOON_Q)
    assert made == set(range(week, week + 1 + partitions.AHEAD))

    def prepares() -> None:
        with store.write("east") as connection:
            partitions.prepare(connection, NOON_Q + 30 * partitions.WEEK)

    others = [Thread(target=prepares) for _ in range(4)]
    for each in others:
        each.start()
    for each in others:
        each.join()
    with store.read() as connection:
        assert len(partitions.weeks(connection)) == 2 * (1 + partitions.AHEAD)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_week_is_made_while_others_read_and_write(store: Store) -> None:
    """And one made in a transaction that is given up is made again by the next one."""
    weeks, far = Weeks(), NOON_Q + 100 * partitions.WEEK
    with store.read() as reading, store.write("east", shared=True) as connection:
        reading.execute(select(table)).all()
        weeks.prepare(connection, [far])
        assert keep(store, kept(1)) == 1
        connection.rollback()
    with store.write("east", shared=True) as connection:
        weeks.prepare(connection, [far])
        assert put(connection, [kept(2, far)]) == {kept(2).digest}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_two_that_share_a_feeder_write_at_once_and_one_that_wants_it_alone_waits(store: Store) -> None:
    closed = Event()

    def close() -> None:
        with store.write("east"):
            closed.set()

    other = Thread(target=close)
    with store.write("east", shared=True), store.write("east", shared=True), store.write("west"), store.write():
        other.start()
        assert not closed.wait(0.5)
    assert closed.wait(5.0)
    other.join()


def test_on_sqlite_a_table_holds_all_weeks(service: Service) -> None:
    with service.store.write(MAIN) as connection:
        assert partitions.prepare(connection, NOON_Q) == set()
    assert keep(service.store, kept(1), kept(2, NOON_Q + 10**6)) == 2
