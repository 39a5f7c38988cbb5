"""What a device says of itself: capability, settings, status and availability of its DER. They are kept as they came; the nameplate
and the state of charge go to the service too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin

from envoy_schema.server.schema.sep2.der import (
    DER,
    DERAvailability,
    DERCapability,
    DERListResponse,
    DERSettings,
    DERStatus,
)
from envoy_schema.server.schema.sep2.identification import Link
from fastapi import Response
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_xml import BaseXmlModel
from pydantic_xml.fields import XmlEntityInfo
from pydantic_xml.typedefs import EntityLocation

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.incoming import LAST_S, Reader
from gridnet.app.api.sep.outgoing import made
from gridnet.app.api.sep.payloads import SUBSCRIBABLE, Ratings, ratings
from gridnet.app.api.sep.rates import poll_s
from gridnet.app.api.sep.scale import WHOLE, kilo_of
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Measurement
from gridnet.errors import Fault, InputError

KINDS: Mapping[str, type[BaseXmlModel]] = {
    "dercap": DERCapability,
    "derg": DERSettings,
    "ders": DERStatus,
    "dera": DERAvailability,
}
"""By the last part of their path; the document's kind is `sep-dercap` and so on."""
TOPIC = "sep-der"
_ASSUMED: Mapping[type[BaseXmlModel], Mapping[str, str]] = {
    # CSIP-AUS needs it; clients for plain 2030.5 do not know it, and so support none of its modes.
    DERCapability: {"doeModesSupported": "00", "modesSupported": "00000000"},
}
_NAMEPLATE = (
    ("rtgMaxW", "discharge_kw"),
    ("rtgMaxChargeRateW", "charge_kw"),
    ("rtgMaxVA", "s_kva"),
    ("rtgMaxWh", "e_kwh"),
)


def der_list(asking: Asking, device: str) -> DERListResponse:
    """The device's one DER."""
    page = asking.page.cut([der(asking, device)])
    return DERListResponse(
        href=hrefs.edev(device, "der"), all_=1, results=len(page), pollRate=poll_s(asking.service, "DERList"), DER_=page
    )


def der(asking: Asking, device: str) -> DER:
    """Where to leave what. Raises `NotFound`."""
    asking.service.devices.get(asking.by, device)
    return DER(
        href=hrefs.der(device),
        DERAvailabilityLink=Link(href=hrefs.der(device, "dera")),
        DERCapabilityLink=Link(href=hrefs.der(device, "dercap")),
        DERSettingsLink=Link(href=hrefs.der(device, "derg")),
        DERStatusLink=Link(href=hrefs.der(device, "ders")),
    )


def part(asking: Asking, device: str, kind: str) -> BaseXmlModel:
    """What the device left. Raises `NotFound` before it left any."""
    if kind not in KINDS:
        raise NotFound(f"a DER has no {kind[:64]}")
    model = KINDS[kind].model_validate(asking.service.documents.get(asking.by, f"sep-{kind}", device).body)
    about = {"href": hrefs.der(device, kind)} | ({} if kind == "dercap" else {"subscribable": SUBSCRIBABLE})
    return model.model_copy(update=about)


def put_part(asking: Asking, reader: Reader, device: str, kind: str) -> Response:
    """Keeps what the device says. Raises `InputError` for what is missing or can't be, `NotFound`."""
    if kind not in KINDS:
        raise NotFound(f"a DER has no {kind[:64]}")
    model = read(KINDS[kind], reader)
    body = model.model_dump(mode="json", exclude_none=True, exclude={"href", "type", "subscribable"})
    if isinstance(model, DERCapability):
        _adopt(asking, device, model)
    if isinstance(model, DERStatus):
        _measure(asking, device, model)
    asking.service.documents.put(asking.by, f"sep-{kind}", device, body, device)
    asking.service.webhooks.publish(TOPIC, device)
    return made(hrefs.der(device, kind), 204)


def ratings_of(asking: Asking, device: str) -> Ratings:
    """What the device said of itself, as far as a setpoint's form depends on it."""
    parts: list[BaseXmlModel | None] = []
    for kind in ("dercap", "derg"):
        try:
            parts.append(part(asking, device, kind))
        except NotFound:
            parts.append(None)
    return ratings(cast(DERCapability | None, parts[0]), cast(DERSettings | None, parts[1]))


def read(model: type[BaseXmlModel], reader: Reader) -> BaseXmlModel:
    """A payload from what a client sent: elements that the model does not know are let pass. Raises `InputError`."""
    if reader.name != model.__name__:
        raise InputError("another document belongs here:", [Fault("root element", reader.name[:80], model.__name__)])
    values = _values(model, reader)
    for tag, assumed in _ASSUMED.get(model, {}).items():
        values.setdefault(tag, assumed)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults = [Fault("/".join(map(str, each["loc"])), repr(each["input"])[:80], each["msg"]) for each in found]
        raise InputError(f"this can't be a {reader.name}:", faults) from error


def _values(model: type[BaseXmlModel], reader: Reader) -> dict[str, Any]:
    """By the model's names, the text of the elements of its tags, and the same for what is inside."""
    names = {tag: name for name, field in model.model_fields.items() for tag in _tags(name, field)}
    values: dict[str, Any] = {}
    for each in reader.all():
        name = names.get(each.name)
        if name is not None:
            inner = _inner(model.model_fields[name].annotation)
            values[name] = each.value if inner is None else _values(inner, each)
    return values


def _tags(name: str, field: FieldInfo) -> list[str]:
    """The tag of a field that is an element; none for an attribute."""
    said = [each for each in field.metadata if isinstance(each, XmlEntityInfo)]
    return [each.path or name for each in said if each.location is EntityLocation.ELEMENT]


def _inner(annotation: Any) -> type[BaseXmlModel] | None:
    """The model that a field holds, None where it holds a text or a number."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    [kind] = [each for each in kinds if each is not NoneType]
    return kind if isinstance(kind, type) and issubclass(kind, BaseXmlModel) else None


def _adopt(asking: Asking, device: str, capability: DERCapability) -> None:
    """Makes the device's ratings its nameplate, unless the model of the grid knows it better."""
    known = asking.service.devices.get(asking.by, device)
    if known.meter is not None:
        return
    said: dict[str, Any] = {}
    for tag, name in _NAMEPLATE:
        power = getattr(capability, tag)
        if power is not None:
            said[name] = kilo_of(power.value, power.multiplier, f"DERCapability/{tag}")
    if replace(known, **said) != known:
        asking.service.devices.change(asking.by, device, **said)


def _measure(asking: Asking, device: str, status: DERStatus) -> None:
    charge = status.stateOfChargeStatus
    if charge is None:
        return
    if not 0 <= charge.dateTime <= LAST_S:
        fault = Fault("stateOfChargeStatus/dateTime", str(charge.dateTime), f"0 to {LAST_S}")
        raise InputError("this can't be a state of charge:", [fault])
    at = datetime.fromtimestamp(charge.dateTime, UTC)
    asking.service.telemetry.measure(asking.by, device, [Measurement("soc", at, charge.value / WHOLE)])


_DER = hrefs.EDEVS + "/{device}/der"
VIEWS = (View(_DER, der_list), View(_DER + "/1", der), View(_DER + "/1/{kind}", part, TOPIC))
ACTIONS = (Action("PUT", _DER + "/1/{kind}", put_part),)
