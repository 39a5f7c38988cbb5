"""Verdicts: canonical, whole numbers only, short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gridnet.errors import InputError
from gridnet.verification.verdict import Level, Verdict, hold

NOON = datetime(2018, 7, 1, 12, tzinfo=UTC)


def test_equal_verdicts_have_one_digest_whatever_the_order_of_their_evidence_and_the_time_zone() -> None:
    one = hold(Level.POSSIBLE, "pv-00", NOON, "too much", wh=5, sun_wh=4)
    other = hold(Level.POSSIBLE, "pv-00", NOON.astimezone(timezone(timedelta(hours=2))), "too much", sun_wh=4, wh=5)

    assert one.digest() == other.digest()
    assert one.encode() == (
        '{"device":"pv-00","evidence":{"sun_wh":4,"wh":5},"finding":"too much","level":1,"outcome":"hold",'
        '"start":"2018-07-01T12:00:00Z"}'
    )


@pytest.mark.parametrize(
    "other",
    [
        hold(Level.BALANCED, "pv-00", NOON, "too much", wh=5),
        hold(Level.POSSIBLE, "pv-01", NOON, "too much", wh=5),
        hold(Level.POSSIBLE, "pv-00", NOON + timedelta(minutes=15), "too much", wh=5),
        hold(Level.POSSIBLE, "pv-00", NOON, "too little", wh=5),
        hold(Level.POSSIBLE, "pv-00", NOON, "too much", wh=6),
        Verdict("pv-00", NOON, Level.POSSIBLE, "reject", "too much", {"wh": 5}),
    ],
)
def test_whatever_a_verdict_says_is_in_its_digest(other: Verdict) -> None:
    assert hold(Level.POSSIBLE, "pv-00", NOON, "too much", wh=5).digest() != other.digest()


def test_floats_flags_and_long_findings_are_refused_together() -> None:
    with pytest.raises(InputError) as refused:
        Verdict("pv-00", NOON, Level.POSSIBLE, "hold", "x" * 201, {"share": 0.5, "sure": True})  # type: ignore[dict-item]
    assert len(refused.value.faults) == 3
