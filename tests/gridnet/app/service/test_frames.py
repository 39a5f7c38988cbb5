"""Frames as they are stored: on SQLite and on PostgreSQL, each quarter-hour once, forgotten in time."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as Alembic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, select, text

from gridnet.app.service import store as service_store
from gridnet.app.service.frames import Frame, Frames, Outlook
from gridnet.app.service.schema import frames
from gridnet.app.service.service import Service
from gridnet.app.service.store import VERSION_TABLE, Store
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import NOON, OPERATOR, QUARTER, SECOND, Clock, metered, service_on

FRAME = Frame(
    start=NOON,
    kind="expected",
    vm_pu=(1.025, None, 0.98765),
    loading_percent=(41.25, None),
    asked_kw=(-2.5, 8.0),
    given_kw=(-2.5, 3.125),
    given_kvar=(0.0, -0.25),
    soc=(0.625,),
    load_kw=(-0.5, -1.25),
    net_kw=(-3.0, 1.875),
    head_kw=1.25,
    head_kvar=-0.5,
    loss_kw=0.125,
    import_eur_per_kwh=0.15158,
    export_eur_per_kwh=-0.01,
    carbon_g_per_kwh=415.61,
)
MEASURED = replace(FRAME, kind="measured", given_kw=(-2.0, 3.0), head_kw=0.5)
OUTLOOK = Outlook((0.1, 0.9), ((-2.0, -3.0), (-1.0, -1.5)), ((0.0, 1.0), (0.0, 2.0)), (0.1, 0.2), (0.05, 0.05), (400.0, 380.5))


def _put(service: Service, *kept: Frame, outlook: Outlook | None = None) -> None:
    with service.store.write() as connection:
        for frame in kept:
            service.frames.put(connection, frame, outlook)


def _at(start: datetime, kind: Any = "expected") -> Frame:
    return replace(FRAME, start=start, kind=kind)


def test_a_frame_and_its_outlook_come_back_as_they_were(either: Service) -> None:
    _put(either, FRAME, outlook=OUTLOOK)

    assert either.frames.at(NOON) == FRAME
    assert either.frames.outlook(NOON) == OUTLOOK


def test_where_there_is_nothing_nothing_comes(either: Service) -> None:
    shown = either.frames
    assert (shown.at(NOON), shown.outlook(NOON), shown.newest(), shown.first()) == (None, None, None, None)
    assert shown.span(NOON, NOON + timedelta(days=1)) == []
    _put(either, FRAME)

    assert (shown.at(NOON - SECOND), shown.at(NOON + QUARTER), shown.outlook(NOON)) == (None, None, None)


def test_any_time_of_a_quarter_hour_finds_it(service: Service) -> None:
    _put(service, FRAME, outlook=OUTLOOK)

    assert service.frames.at(NOON + QUARTER - SECOND) == FRAME
    assert service.frames.outlook(NOON + QUARTER - SECOND) == OUTLOOK


def test_what_is_measured_takes_the_place_of_what_was_expected(either: Service) -> None:
    _put(either, FRAME, outlook=OUTLOOK)
    _put(either, MEASURED)

    assert either.frames.at(NOON) == MEASURED
    assert either.frames.outlook(NOON) == OUTLOOK


def test_what_is_expected_never_takes_the_place_of_what_was_measured(either: Service) -> None:
    _put(either, MEASURED)
    _put(either, FRAME, outlook=OUTLOOK)

    assert either.frames.at(NOON) == MEASURED
    assert either.frames.outlook(NOON) == OUTLOOK


def test_what_is_decided_or_measured_anew_counts(service: Service) -> None:
    for kind in ("expected", "measured"):
        _put(service, _at(NOON, kind))
        again = replace(_at(NOON, kind), head_kw=7.0)
        _put(service, again)
        assert service.frames.at(NOON) == again


def test_a_span_holds_its_start_and_not_its_end_in_order(either: Service) -> None:
    starts = [NOON + k * QUARTER for k in (3, 0, 2, 1)]
    _put(either, *(_at(start) for start in starts))
    span = either.frames.span

    assert [each.start for each in span(NOON + QUARTER, NOON + 3 * QUARTER)] == [NOON + QUARTER, NOON + 2 * QUARTER]
    assert [each.start for each in span(NOON + SECOND, NOON + QUARTER + SECOND)] == [NOON + QUARTER]
    assert span(NOON + QUARTER, NOON + QUARTER) == []
    assert (either.frames.first(), either.frames.newest()) == (NOON, NOON + 3 * QUARTER)


def test_another_feeders_frames_are_not_shown_and_its_outlook_not_taken_over(either: Service) -> None:
    other = Frames(either.store, "another", 400)
    _put(either, FRAME, outlook=OUTLOOK)

    assert (other.at(NOON), other.outlook(NOON), other.newest(), other.first()) == (None, None, None, None)
    assert other.span(NOON, NOON + QUARTER) == []
    with either.store.write() as connection:
        other.put(connection, FRAME)
    assert other.at(NOON) == FRAME
    assert other.outlook(NOON) is None
    assert either.frames.at(NOON) is None


def test_frames_are_forgotten_when_they_are_as_old_as_the_settings_say(url: str, clock: Clock) -> None:
    made = service_on(url, clock, people=False, frames_days=10)
    now = NOON + timedelta(days=10)
    _put(made, _at(NOON - QUARTER), _at(NOON), _at(NOON + QUARTER), outlook=OUTLOOK)
    with made.store.write() as connection:
        made.frames.trim(connection, now)
    assert made.frames.first() == NOON
    with made.store.write() as connection:
        made.frames.trim(connection, now + QUARTER - SECOND)
    assert made.frames.first() == NOON
    with made.store.write() as connection:
        made.frames.trim(connection, now + QUARTER)

    assert made.frames.first() == made.frames.newest() == NOON + QUARTER
    made.store.database.close()


_NUMBERS = st.lists(st.floats(-1e4, 1e4), max_size=4).map(tuple)
_GAPS = st.lists(st.none() | st.floats(0.0, 200.0), max_size=4).map(tuple)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vm_pu=_GAPS, given_kw=_NUMBERS, soc=_NUMBERS, head_kw=st.floats(-1e4, 1e4), carbon=st.floats(0.0, 1e4))
def test_numbers_come_back_within_what_is_said_of_their_rounding(
    service: Service, vm_pu: Any, given_kw: Any, soc: Any, head_kw: float, carbon: float
) -> None:
    frame = replace(FRAME, vm_pu=vm_pu, given_kw=given_kw, soc=soc, head_kw=head_kw, carbon_g_per_kwh=carbon)
    _put(service, frame)
    kept = service.frames.at(NOON)

    assert kept is not None
    assert [each is None for each in kept.vm_pu] == [each is None for each in vm_pu]
    assert [each for each in kept.vm_pu if each is not None] == pytest.approx(
        [each for each in vm_pu if each is not None], abs=1e-5
    )
    assert list(kept.given_kw) == pytest.approx(list(given_kw), abs=1e-3)
    assert list(kept.soc) == pytest.approx(list(soc), abs=1e-4)
    assert (kept.head_kw, kept.carbon_g_per_kwh) == pytest.approx((head_kw, carbon), abs=0.005)
    assert re.search(r"-0\.0\b", _body(service)) is None
    _put(service, kept)
    assert service.frames.at(NOON) == kept


def _body(service: Service) -> str:
    with service.store.read() as connection:
        return "".join(zlib.decompress(body).decode() for body in connection.execute(select(frames.c.body)).scalars())


def test_nothing_is_stored_but_numbers_in_the_feeders_own_order(service: Service) -> None:
    _put(service, FRAME, outlook=OUTLOOK)
    with service.store.read() as connection:
        row = connection.execute(select(frames)).mappings().one()
    for part, kind in (("body", Frame), ("outlook", Outlook)):
        body = json.loads(zlib.decompress(row[part]))
        assert set(body) == {each.name for each in fields(kind)} - {"start", "kind"}
        assert all(each is None or isinstance(each, float) for each in _leaves(list(body.values())))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def test_a_database_of_the_version_before_gets_the_table_and_keeps_what_it_has(url: str, clock: Clock) -> None:
    database = Database(url)
    _migrated_to(Store(database, clock), "0001")
    with database.read() as connection:
        assert "service_frames" not in inspect(connection).get_table_names()
    with database.write() as connection:
        connection.execute(text("INSERT INTO service_meta (key, value) VALUES ('kept', 'yes')"))
    database.close()

    made = service_on(url, clock, people=False)
    made.devices.add(OPERATOR, metered())
    _put(made, FRAME)
    assert made.frames.at(NOON) == FRAME
    with made.store.read() as connection:
        assert connection.execute(text("SELECT value FROM service_meta WHERE key = 'kept'")).scalar() == "yes"
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() > "0001"
    made.store.database.close()


def _migrated_to(store: Store, version: str) -> None:
    config = Alembic()
    config.set_main_option("script_location", str(Path(service_store.__file__).parent / "migrations"))
    with store.write() as connection:
        config.attributes["connection"], config.attributes["version_table"] = connection, VERSION_TABLE
        command.upgrade(config, version)
