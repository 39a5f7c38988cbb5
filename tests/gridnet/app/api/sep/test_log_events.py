"""What devices note."""

from __future__ import annotations

import pytest
from envoy_schema.server.schema.sep2.log_events import LogEvent, LogEventList

from gridnet.app.api.sep import log_events
from tests.gridnet.app.api.sep.parties import NS, World

PATH = "/sep2/edev/bob-bat/lel"


def event(code: object) -> str:
    about = "<functionSet>11</functionSet>"
    ids = f"<logEventCode>{code}</logEventCode><logEventID>7</logEventID><logEventPEN>0</logEventPEN><profileID>2</profileID>"
    return f"<LogEvent {NS}><createdDateTime>1772366700</createdDateTime><details>hot</details>{about}{ids}</LogEvent>"


def test_an_entry_is_kept_and_read(world: World) -> None:
    location = world.bob.post(PATH, event(3))

    found = world.bob.get(LogEvent, location)
    assert (found.logEventCode, found.details, found.createdDateTime) == (3, "hot", 1772366700)
    assert world.bob.get(LogEventList, PATH, l=10).LogEvent_ == [found]
    assert world.ann.status("GET", PATH) == 404
    assert world.ann.status("GET", location) == 404
    assert world.boss.status("GET", location) == 200
    assert world.boss.status("GET", location.replace("bob-bat", "ann-bat")) == 404


def test_the_last_entries_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_events, "MOST_KEPT", 3)
    for code in range(5):
        world.bob.post(PATH, event(code))

    found = world.bob.get(LogEventList, PATH, l=10)

    assert (found.all_, [each.logEventCode for each in found.LogEvent_ or []]) == (3, [2, 3, 4])


@pytest.mark.parametrize("body", [event("x"), "<LogEvent/>", "<Other/>"])
def test_an_entry_that_can_not_be_is_refused(world: World, body: str) -> None:
    assert world.bob.status("POST", PATH, body) == 400
    assert world.bob.get(LogEventList, PATH).all_ == 0
