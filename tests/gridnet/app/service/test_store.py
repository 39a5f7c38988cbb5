"""The door to the database."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import select

from gridnet.app.service import marks
from gridnet.app.service.schema import meta
from gridnet.app.service.store import Store, upsert
from tests.gridnet.app.service.parts import Clock, service_on


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return service_on(f"sqlite:///{tmp_path / 'service.db'}", Clock(), people=False).store


def _noted(store: Store) -> str | None:
    with store.read() as connection:
        return marks.marked(connection, "a")


def _note(store: Store, value: str) -> None:
    with store.write() as connection:
        marks.mark(connection, "a", value)


def test_a_view_shows_one_state_whatever_is_written_meanwhile(store: Store) -> None:
    _note(store, "before")
    with store.view():
        assert _noted(store) == "before"
        _note(store, "after")
        seen = _noted(store)

    assert (seen, _noted(store)) == ("before", "after")


def test_a_view_is_of_its_own_thread_alone(store: Store) -> None:
    _note(store, "before")
    seen: list[str | None] = []
    with store.view():
        _noted(store)
        _note(store, "after")
        other = Thread(target=lambda: seen.append(_noted(store)))
        other.start()
        other.join()

    assert seen == ["after"]


def test_a_view_that_ends_in_an_error_is_over(store: Store) -> None:
    _note(store, "before")
    with pytest.raises(ZeroDivisionError), store.view():
        _ = 1 / int(_noted(store) == "")
    _note(store, "after")

    assert _noted(store) == "after"


def test_an_upsert_replaces_or_leaves_what_is_there(store: Store) -> None:
    with store.write() as connection:
        upsert(connection, meta, [{"key": "a", "value": "1"}])
        upsert(connection, meta, [{"key": "a", "value": "2"}, {"key": "b", "value": "2"}], replace=False)
        upsert(connection, meta, [{"key": "b", "value": "3"}])
        upsert(connection, meta, [])
        found = {row.key: row.value for row in connection.execute(select(meta).where(meta.c.key.in_(["a", "b"])))}

    assert found == {"a": "1", "b": "3"}
