"""Devices: who registers, sees, changes and removes which."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gridnet.app.service.errors import Conflict, Forbidden, NotFound
from gridnet.app.service.model import Device, Fields, Measurement, Principal, sfdi_of
from gridnet.app.service.service import Service
from gridnet.errors import InputError
from tests.gridnet.app.service.parts import ALICE, BOB, NOON, OPERATOR, PEOPLE, Clock, battery, metered, order, setpoint

LFDI = "3e4f45ab31edfe5b67e343e5e4562e31984e23e5"
CERTIFIED = Principal(f"lfdi:{LFDI}", "device", LFDI)


def test_a_device_is_its_owners_the_operators_and_nobody_elses(service: Service) -> None:
    made = service.devices.add(ALICE, battery())
    for by in (ALICE, OPERATOR):
        assert service.devices.get(by, "alice-1") == made
        assert service.devices.page(by) == ([made], 1)
    for by in (BOB, PEOPLE["auditor"], PEOPLE["many"], CERTIFIED):
        assert service.devices.page(by) == ([], 0)
        for ask in (service.devices.get, service.devices.remove, service.devices.change, service.controls.effective):
            with pytest.raises(NotFound):
                ask(by, "alice-1")


def test_a_device_is_its_certificates_too(service: Service) -> None:
    made = service.devices.add(OPERATOR, battery(lfdi=LFDI.upper()))
    assert made.lfdi == LFDI
    assert service.devices.get(CERTIFIED, "alice-1") == made
    assert service.devices.by_lfdi(CERTIFIED, LFDI.upper()) == made
    with pytest.raises(NotFound):
        service.devices.by_lfdi(BOB, LFDI)


@pytest.mark.parametrize(
    ("by", "device"),
    [
        (ALICE, battery(owner="bob")),
        (PEOPLE["auditor"], battery(owner="auditor")),
        (CERTIFIED, battery(owner=CERTIFIED.id, lfdi=LFDI[::-1])),
        (CERTIFIED, battery(owner="alice", lfdi=LFDI)),
        (ALICE, battery(lfdi=LFDI)),
    ],
)
def test_nobody_registers_what_is_not_theirs(service: Service, by: Principal, device: Device) -> None:
    with pytest.raises(Forbidden):
        service.devices.add(by, device)
    assert service.devices.page(OPERATOR) == ([], 0)


def test_id_certificate_and_meter_are_given_once(service: Service) -> None:
    service.devices.add(OPERATOR, battery(lfdi=LFDI, meter="bat-00"))
    for again in (battery(), battery("other", lfdi=LFDI.upper()), battery("other", meter="bat-00")):
        with pytest.raises(Conflict):
            service.devices.add(OPERATOR, again)


@pytest.mark.parametrize("changes", [{"lfdi": LFDI}, {"lfdi": LFDI.upper()}, {"meter": "bat-00"}])
def test_a_change_to_what_another_device_has_conflicts(service: Service, changes: dict[str, Any]) -> None:
    service.devices.add(OPERATOR, battery(lfdi=LFDI, meter="bat-00"))
    service.devices.add(OPERATOR, battery("second", meter="bat-01"))
    with pytest.raises(Conflict):
        service.devices.change(OPERATOR, "second", **changes)


def test_every_fault_of_a_device_is_listed() -> None:
    with pytest.raises(InputError) as refused:
        Device("a b/c", "alice", "kettle", -1.0, float("nan"), 1e9, float("inf"), soc_min=0.6, soc_max=0.4)  # type: ignore[arg-type]
    assert len(refused.value.faults) == 7


def test_meter_lfdi_and_key_are_looked_at(service: Service) -> None:
    with pytest.raises(InputError) as refused:
        service.devices.add(OPERATOR, battery(meter="bat-77", lfdi="zz", meter_key="ed25519:00"))
    assert {fault.where for fault in refused.value.faults} == {"meter", "lfdi", "meter_key"}


@pytest.mark.parametrize(
    "changes", [{"meter": "bat-00"}, {"meter_key": "ed25519:" + "0" * 64}, {"lfdi": LFDI}, {"owner": "bob"}, {"id": "x"}]
)
def test_an_owner_does_not_change_which_meter_speaks_for_a_device(service: Service, changes: dict[str, Any]) -> None:
    made = service.devices.add(ALICE, battery())
    with pytest.raises(Forbidden):
        service.devices.change(ALICE, "alice-1", **changes)
    assert service.devices.get(ALICE, "alice-1") == made


def test_a_change_is_kept_and_checked(service: Service) -> None:
    service.devices.add(ALICE, battery())
    changed = service.devices.change(ALICE, "alice-1", reserve=0.3, default=Fields(p_kw=-1.0))
    assert (changed.reserve, changed.default.p_kw) == (0.3, -1.0)
    assert service.devices.get(ALICE, "alice-1") == changed
    for wrong in ({"reserve": 1.5}, {"discharge_kw": float("nan")}, {"colour": "red"}):
        with pytest.raises(InputError):
            service.devices.change(ALICE, "alice-1", **wrong)
    assert service.devices.get(ALICE, "alice-1") == changed


def test_a_removed_device_is_gone_and_its_controls_are_cancelled(service: Service, clock: Clock) -> None:
    service.devices.add(ALICE, battery())
    control = service.controls.dispatch(OPERATOR, order(clock.now))
    service.devices.remove(ALICE, "alice-1")
    with pytest.raises(NotFound):
        service.devices.get(ALICE, "alice-1")
    service.devices.add(BOB, battery(owner="bob"))
    assert service.controls.of_device(BOB, "alice-1") == []
    assert service.controls.effective(BOB, "alice-1").is_default
    assert control.id not in {each.id for each in service.controls.of_device(BOB, "alice-1", since=NOON)}


def test_whoever_takes_an_id_over_sees_nothing_of_the_owner_before(service: Service, clock: Clock) -> None:
    service.devices.add(ALICE, battery())
    service.telemetry.measure(ALICE, "alice-1", [Measurement("soc", clock.now, 0.7)])
    service.controls.override(ALICE, "alice-1", clock.now + timedelta(days=1), "a party")
    service.documents.put(ALICE, "usage-point", "1", {"at": "home"}, "alice-1")
    service.devices.remove(ALICE, "alice-1")
    service.devices.add(BOB, battery(owner="bob"))
    assert service.telemetry.latest(BOB, "alice-1", "soc") is None
    assert service.controls.effective(BOB, "alice-1").source == "default"
    assert service.documents.page(BOB, "usage-point", "alice-1") == ([], 0)


def test_removing_one_device_leaves_the_plans_of_the_others(service: Service) -> None:
    service.devices.add(OPERATOR, metered())
    service.devices.add(BOB, battery("bob-1", "bob"))
    service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + timedelta(minutes=15), 2.0)])
    service.devices.remove(BOB, "bob-1")
    assert [each.planned for each in service.controls.of_device(ALICE, "alice-1")] == [False, True]


def test_pages_are_in_the_order_of_registration(service: Service) -> None:
    for number in (3, 1, 2):
        service.devices.add(ALICE, battery(f"alice-{number}"))
        service.devices.add(BOB, battery(f"bob-{number}", "bob"))
    found, total = service.devices.page(ALICE, 1, 1)
    assert ([each.id for each in found], total) == (["alice-1"], 3)
    assert service.devices.page(OPERATOR, 0, 100)[1] == 6


def test_the_default_of_a_plant_is_what_the_grid_always_carries(service: Service) -> None:
    assert service.default_of("pv", 10.0) == Fields(p_kw=5.0, q_kvar=0.0)
    assert service.default_of("battery", 10.0) == Fields(p_kw=0.0, q_kvar=0.0)


def test_the_short_form_is_the_standards() -> None:
    # The example of IEEE 2030.5, 6.3.4.
    assert sfdi_of(LFDI) == 167261211391
