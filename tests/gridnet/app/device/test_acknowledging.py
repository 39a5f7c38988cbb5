"""What a device says of its controls, told by what it knows and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gridnet.app.api.schemas import SetpointOut
from gridnet.app.client.follow import Known, Told
from gridnet.app.device.acknowledging import Acknowledger
from gridnet.app.service.effective import Said, effective
from gridnet.app.service.model import Control, Device, Fields, Override

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
BATTERY = Device("bat", "ann", "battery", discharge_kw=5.0, charge_kw=5.0, s_kva=5.5)
Words = list[tuple[str, str | None]]


def _at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def _control(name: str, start: float, end: float, primacy: int = 65, planned: bool = False) -> Control:
    return Control(name, "any", "bat", Fields(p_kw=1.0), _at(start), _at(end), T0, primacy=primacy, planned=planned)


def _known(*controls: Control, minute: float = 0.0, override: Override | None = None) -> Known:
    said = Said(BATTERY, controls, BATTERY.default, _at(1000), override)
    return Known(BATTERY, controls, Told(SetpointOut.of(effective(said, _at(minute))), "tag"))


def _said(acknowledger: Acknowledger, known: Known, minute: float) -> Words:
    return [(due.control, due.status) for due in acknowledger.see(known, _at(minute))]


def test_a_control_is_received_started_and_completed_once_each() -> None:
    acknowledger, known = Acknowledger(), _known(_control("a", 5, 10))
    assert _said(acknowledger, known, 0) == [("a", "received")]
    assert _said(acknowledger, known, 1) == []
    assert _said(acknowledger, known, 5) == [("a", "started")]
    assert _said(acknowledger, known, 9.9) == []
    assert _said(acknowledger, known, 10.1) == [("a", "completed")]
    assert _said(acknowledger, known, 11) == []
    assert _said(acknowledger, _known(minute=12), 12) == []


def test_completion_is_told_with_the_end_of_the_control() -> None:
    acknowledger, known = Acknowledger(), _known(_control("a", 0, 10))
    acknowledger.see(known, _at(0))
    assert [due.at for due in acknowledger.see(known, _at(10.2))] == [_at(10)]


def test_a_stronger_control_supersedes_the_running_one() -> None:
    acknowledger, running = Acknowledger(), _control("a", 0, 15)
    assert _said(acknowledger, _known(running), 0) == [("a", "received"), ("a", "started")]
    both = _known(running, _control("b", 3, 9, primacy=1), minute=3)
    assert sorted(_said(acknowledger, both, 3)) == [("a", "superseded"), ("b", "received"), ("b", "started")]
    assert _said(acknowledger, both, 9) == [("b", "completed")]
    assert _said(acknowledger, both, 15) == []


def test_of_a_control_that_is_gone_the_service_knows_why() -> None:
    acknowledger = Acknowledger()
    _said(acknowledger, _known(_control("a", 0, 15), _control("b", 15, 30)), 0)
    assert _said(acknowledger, _known(minute=5), 5) == [("a", None), ("b", None)]
    assert _said(acknowledger, _known(minute=6), 6) == []


def test_an_override_is_an_opt_out_of_what_runs() -> None:
    acknowledger, running = Acknowledger(), _control("a", 0, 15)
    _said(acknowledger, _known(running), 0)
    assert _said(acknowledger, _known(running, minute=5, override=Override("bat", _at(60), "home")), 5) == [("a", "opt_out")]


def test_a_plan_is_told_of_when_it_is_followed() -> None:
    acknowledger, plan = Acknowledger(), _control("p", 15, 30, planned=True)
    known = _known(_control("a", 0, 15), plan)
    assert {name for name, _ in _said(acknowledger, known, 0)} == {"a"}
    assert sorted(_said(acknowledger, known, 15)) == [("a", "completed"), ("p", "received"), ("p", "started")]
    decided = _known(replace(plan, planned=False), minute=16)
    assert _said(acknowledger, decided, 16) == []
    assert _said(acknowledger, decided, 30) == [("p", "completed")]


def test_a_plan_that_is_replaced_is_not_spoken_of() -> None:
    acknowledger = Acknowledger()
    _said(acknowledger, _known(_control("p", 15, 30, planned=True)), 0)
    assert _said(acknowledger, _known(minute=5), 5) == []
