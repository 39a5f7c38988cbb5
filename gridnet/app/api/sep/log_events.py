"""What devices note: LogEvents. Of each device the last ones are kept."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from envoy_schema.server.schema.sep2.log_events import LogEvent, LogEventList
from fastapi import Response

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.der import read
from gridnet.app.api.sep.incoming import Reader
from gridnet.app.api.sep.outgoing import made
from gridnet.app.api.sep.payloads import SUBSCRIBABLE
from gridnet.app.api.sep.rates import poll_s
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Document

KIND, TOPIC = "sep-log", "sep-log"
MOST_KEPT = 500


def log_events(asking: Asking, device: str) -> LogEventList:
    """A device's log, oldest first. Raises `NotFound`."""
    found, total = asking.service.documents.page(asking.by, KIND, device, asking.page.start, asking.page.limit)
    return LogEventList(
        href=hrefs.edev(device, "lel"),
        subscribable=SUBSCRIBABLE,
        all_=total,
        results=len(found),
        pollRate=poll_s(asking.service, "LogEventList"),
        LogEvent_=[_event(each) for each in found],
    )


def log_event(asking: Asking, device: str, name: str) -> LogEvent:
    """One entry. Raises `NotFound`."""
    found = asking.service.documents.get(asking.by, KIND, name)
    if found.device != device:
        raise NotFound(f"no log event {name[:64]}")
    return _event(found)


def note(asking: Asking, reader: Reader, device: str) -> Response:
    """Keeps an entry; where the log is full, in the place of the oldest. Raises `InputError`, `NotFound`."""
    event, documents = read(LogEvent, reader), asking.service.documents
    oldest, total = documents.page(asking.by, KIND, device, 0, 1)
    if total >= MOST_KEPT:
        documents.remove(asking.by, KIND, oldest[0].id)
    body = event.model_dump(mode="json", exclude_none=True, exclude={"href", "type"})
    kept = documents.put(asking.by, KIND, token_hex(8), body, device)
    asking.service.webhooks.publish(TOPIC, device)
    return made(hrefs.edev(device, "lel", kept.id))


def _event(entry: Document) -> LogEvent:
    body: dict[str, Any] = entry.body
    return LogEvent.model_validate({**body, "href": hrefs.edev(str(entry.device), "lel", entry.id)})


_PATH = hrefs.EDEVS + "/{device}/lel"
VIEWS = (View(_PATH, log_events, TOPIC), View(_PATH + "/{name}", log_event))
ACTIONS = (Action("POST", _PATH, note),)
