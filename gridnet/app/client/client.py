"""`Client`: one method for each thing that can be asked of the service. kW, kvar and shares 0-1; > 0 generates.

```python
with Client("https://localhost:8443", Path("ca.pem"), Certificate(Path("bat.pem"), Path("bat.key"))) as client:
    for setpoint in client.follow("alice-battery"):
        inverter.apply(setpoint.p_kw, setpoint.q_kvar)
```
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from gridnet.app.api.schemas import (
    AckBody,
    AckOut,
    CertificateOut,
    CertificatesOut,
    CreditsOut,
    DeviceBody,
    DeviceChanges,
    DeviceOut,
    DevicesOut,
    DispatchBody,
    DispatchOut,
    FieldsBody,
    MeasurementBody,
    OverrideBody,
    OverrideOut,
    ReadingsOut,
    ScheduleOut,
    SetpointOut,
    TelemetryOut,
)
from gridnet.app.client.connection import Answer, Call, Connection, Credentials, Patience, understood
from gridnet.app.client.follow import Follower, Told
from gridnet.app.service.model import AckStatus

_ACKS = TypeAdapter(list[AckOut])
_PAGE = 1000


class Client:
    """What a principal can ask for. Every method raises `Refused` with all faults, and `Unreachable`. Safe to use from several
    threads."""

    def __init__(self, url: str, ca: Path | None = None, by: Credentials | None = None, patience: Patience | None = None) -> None:
        """`ca`: certificates that the service's must come from; `by`: a certificate, or an id and a secret. Raises `InputError`."""
        self._connection = Connection(url, ca, by)
        self._patience = patience or Patience()

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def patient(self, patience: Patience) -> Client:
        """A client over the same connection that waits longer, or less."""
        other = object.__new__(type(self))
        other._connection, other._patience = self._connection, patience
        return other

    def register(self, device: DeviceBody) -> DeviceOut:
        """Registers a device: with its certificate itself, with a secret one's own."""
        return self._done(DeviceOut, Call("POST", "/api/v1/devices", _body(device), repeatable=False))

    def devices(self) -> Iterator[DeviceOut]:
        """All that one may see, in the order of registration."""
        start, total = 0, 1
        while start < total:
            page = self._done(DevicesOut, Call("GET", "/api/v1/devices", query={"start": start, "limit": _PAGE}))
            yield from page.devices
            start, total = start + _PAGE, page.total

    def device(self, device: str) -> DeviceOut:
        """Nameplate, limits, default."""
        return self._done(DeviceOut, Call("GET", _of(device)))

    def change(self, device: str, changes: DeviceChanges) -> DeviceOut:
        """Changes what is named. An operator binds a device to its meter so."""
        return self._done(DeviceOut, Call("PATCH", _of(device), _body(changes)))

    def remove(self, device: str) -> None:
        """Deregisters it. Done twice, it is refused as not found."""
        self._ask(Call("DELETE", _of(device), repeatable=False))

    def setpoint(self, device: str, known: Told | None = None, wait_s: int = 0) -> Told:
        """What the device shall do now. With `known` that very object where nothing changed; with `wait_s` (at most 60) not
        before something did, or the time is over."""
        headers = {} if known is None else {"if-none-match": known.tag, "prefer": f"wait={wait_s}"}
        answer = self._connection.ask(Call("GET", _of(device, "setpoint"), headers=headers, waits_s=wait_s), self._patience)
        if known is not None and answer.status_code == 304:
            return known
        return Told(understood(SetpointOut, answer), answer.headers.get("etag", ""))

    def schedule(self, device: str) -> ScheduleOut:
        """What it shall do next, and without a link."""
        return self._done(ScheduleOut, Call("GET", _of(device, "schedule")))

    def follow(
        self, device: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), wait_s: int = 30
    ) -> Iterator[SetpointOut]:
        """The setpoint to apply, each time that it changes, for ever; the first one at once.

        When the link is lost: the running control to its end, then what was published ahead, then the default, each at its time.
        `wait_s` is how often to look for what was published meanwhile; what changes now comes within a second.
        """
        with Follower(self, device, clock, wait_s) as follower:
            last: SetpointOut | None = None
            while True:
                setpoint = follower.setpoint(clock())
                if last is None or not same(setpoint, last):
                    last = setpoint
                    yield setpoint
                follower.wait()

    def report(self, device: str, readings: Sequence[bytes] = (), measurements: Sequence[MeasurementBody] = ()) -> TelemetryOut:
        """Signed readings (COSE_Sign1, 200 at most) and unsigned measurements: on the service's disk when this returns. A reading
        that it had before is not counted again."""
        body = {
            "readings": [base64.b64encode(raw).decode() for raw in readings],
            "measurements": [_body(each) for each in measurements],
        }
        return self._done(TelemetryOut, Call("POST", _of(device, "telemetry"), body))

    def report_readings(self, readings: Sequence[bytes]) -> ReadingsOut:
        """Signed readings of many meters (COSE_Sign1, 2,000 at most), each of a device of one's own: on the service's disk when
        this returns."""
        body = {"readings": [base64.b64encode(raw).decode() for raw in readings]}
        return self._done(ReadingsOut, Call("POST", "/api/v1/telemetry", body))

    def acknowledge(self, device: str, control: str, status: AckStatus, at: datetime) -> AckOut:
        """Says what the device did with a control, and when."""
        said = AckBody(control=control, status=status, at=at)
        return self._done(AckOut, Call("POST", _of(device, "acks"), _body(said)))

    def acknowledgements(self, device: str) -> list[AckOut]:
        """What it said so far, oldest first."""
        return _ACKS.validate_json(self._ask(Call("GET", _of(device, "acks"))))

    def set_default(self, device: str, fields: FieldsBody) -> FieldsBody:
        """What it shall do when nothing is said; must be safe for grid and battery."""
        return self._done(FieldsBody, Call("PUT", _of(device, "default-control"), _body(fields)))

    def override(self, device: str, until: datetime, reason: str = "the owner's wish") -> OverrideOut:
        """Opts out: the device follows its default."""
        return self._done(OverrideOut, Call("POST", _of(device, "override"), _body(OverrideBody(until=until, reason=reason))))

    def end_override(self, device: str) -> None:
        """Opts in again."""
        self._ask(Call("DELETE", _of(device, "override")))

    def dispatch(self, order: DispatchBody, key: str | None = None) -> DispatchOut:
        """Dispatches a control, for operators. The same `key` twice gives one control; without one, it is still made once however
        often this call has to ask."""
        headers = {"idempotency-key": key or secrets.token_hex(16)}
        return self._done(DispatchOut, Call("POST", "/api/v1/dispatches", _body(order), headers=headers))

    def control(self, control: str) -> DispatchOut:
        """One control and where it stands."""
        return self._done(DispatchOut, Call("GET", _control(control)))

    def cancel(self, control: str) -> DispatchOut:
        """Takes a control back, at once, for operators."""
        return self._done(DispatchOut, Call("POST", _control(control, "cancel"), repeatable=False))

    def credits(self, party: str | None = None) -> CreditsOut:
        """What a party of the ledger holds; one's own where none is named."""
        return self._done(CreditsOut, Call("GET", "/api/v1/credits", query=_named(party)))

    def certificates(self, party: str | None = None) -> Iterator[CertificateOut]:
        """By name; auditors and operators see everybody's where no party is named."""
        after: str | None = ""
        while after is not None:
            query = {**_named(party), "after": after, "limit": _PAGE}
            page = self._done(CertificatesOut, Call("GET", "/api/v1/certificates", query=query))
            yield from page.certificates
            after = page.next

    def checkpoint(self) -> str:
        """The log's newest signed head, a C2SP checkpoint."""
        return self._ask(Call("GET", "/api/v1/log/checkpoint")).decode()

    def proof(self, entry: int) -> str:
        """Proof of an entry, which `gridnet audit verify` takes as it is; for auditors and operators."""
        return self._ask(Call("GET", "/api/v1/log/proof", query={"entry": entry})).decode()

    def export(self, file: Path) -> None:
        """Writes the whole ledger as a zip; for auditors and operators."""
        file.write_bytes(self._ask(Call("GET", "/api/v1/audit/export", waits_s=300.0)))

    def _done(self, kind: type[Answer], call: Call) -> Answer:
        return understood(kind, self._connection.ask(call, self._patience))

    def _ask(self, call: Call) -> bytes:
        return self._connection.ask(call, self._patience).content


def same(one: SetpointOut, other: SetpointOut) -> bool:
    """Whether a device has to do the same under both, for as long."""
    return one.model_dump(exclude={"valid_from"}) == other.model_dump(exclude={"valid_from"})


def _body(message: BaseModel) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_none=True)


def _named(party: str | None) -> dict[str, str | int]:
    return {} if party is None else {"party": party}


def _of(device: str, *below: str) -> str:
    return "/".join(("/api/v1/devices", quote(device, safe=""), *below))


def _control(control: str, *below: str) -> str:
    return "/".join(("/api/v1/dispatches", quote(control, safe=""), *below))
