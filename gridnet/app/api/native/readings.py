"""Readings of many meters in one report, for aggregators and head-end systems."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from gridnet.app.api.answering import AnsweringRoute, Asking
from gridnet.app.api.identity import Serving
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import ReadingsBody, ReadingsOut, RemarkOut
from gridnet.app.service.telemetry import Remark

router = APIRouter(prefix="/api/v1/telemetry", tags=["devices"], responses=RESPONSES, route_class=AnsweringRoute)


@router.post("", summary="Report readings of many meters")
def report(body: ReadingsBody, by: Asking, service: Serving) -> ReadingsOut:
    """On disk when this answers. Each reading is of the device whose key signed it, which must be yours; those that are not are
    refused one by one. A report may be repeated."""
    done = service.telemetry.report_many(by, body.readings)
    return ReadingsOut(kept=done.kept, repeated=done.repeated, refused=_out(done.refused), doubted=_out(done.doubted))


def _out(remarks: Sequence[Remark]) -> list[RemarkOut]:
    return [RemarkOut(index=each.index, words=each.words) for each in remarks]
