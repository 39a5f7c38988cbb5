"""The network map and the dispatch view over HTTP: what they show is what was kept, and neighbours' homes are their own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from gridnet.app.dashboard.looking import Looking
from gridnet.app.dashboard.plan import plan_of
from gridnet.app.dashboard.seen import seen_by
from gridnet.app.service.model import Device, Principal
from tests.gridnet.app.dashboard.visiting import Visits
from tests.gridnet.app.service.lived import END, PROSUMERS, Lived
from tests.gridnet.app.service.parts import OPERATOR, order

BEFORE = (END - timedelta(days=1)).replace(hour=0)
DAY = f"{BEFORE:%Y-%m-%d}"


def _seen(lived: Lived, name: str) -> Any:
    by = OPERATOR if name == "boss" else Principal(name, "prosumer")
    return seen_by(Looking(lived.service, lived.live, by), plan_of(lived.live))


def test_the_map_has_each_bus_and_branch_once(visits: Visits, lived_once: Lived) -> None:
    text, feeder = visits.get("boss", "/network").text, lived_once.live.case.feeder
    assert sorted(map(int, re.findall(r'<circle class="bus[^>]* data-bus="(\d+)"', text))) == list(range(len(feeder.bus_name)))
    branches = len(feeder.line_name) + len(feeder.trafo_name)
    assert sorted(map(int, re.findall(r'data-branch="(\d+)"', text))) == list(range(branches))
    assert text.count('class="home"') == len(plan_of(lived_once.live).homes)


def test_the_map_shows_the_quarter_hour_that_is_asked_for(visits: Visits, lived_once: Lived) -> None:
    time = BEFORE.replace(hour=9, minute=45)
    frame = lived_once.service.frames.at(time)
    text = visits.get("boss", f"/network?day={DAY}&at=09:45").text

    assert frame is not None
    assert f"{DAY} 09:45 UTC, measured" in text
    assert f'data-total="loss_kw">{frame.loss_kw:.3f}<' in text
    levels = dict(re.findall(r'<circle class="bus[^>]* data-bus="(\d+)"[^>]* data-level="(\d)"', text))
    low, high = lived_once.live.case.scenario.limits.vm_min_pu, lived_once.live.case.scenario.limits.vm_max_pu
    for bus, vm_pu in enumerate(frame.vm_pu):
        assert vm_pu is not None
        middle = 1.0 - 0.15 * (1.0 - low) <= vm_pu < 1.0 + 0.15 * (high - 1.0)
        assert (levels[str(bus)] == "3") == middle


def test_without_a_time_the_map_shows_the_newest_frame(visits: Visits) -> None:
    assert f"{END:%Y-%m-%d %H:%M} UTC, expected" in visits.get("boss", "/network").text


def test_the_feed_says_what_frames_say(visits: Visits, lived_once: Lived) -> None:
    body = visits.get("boss", f"/feeds/network/{DAY}").json()
    frames = lived_once.service.frames.span(BEFORE, BEFORE + timedelta(days=1))
    scale = body["scale"]

    assert body["numbers"] == list(range(96))
    assert all(body["measured"])
    np.testing.assert_allclose(np.array(body["vm_pu"]) / scale["vm_pu"], [each.vm_pu for each in frames], atol=6e-6)
    limits = lived_once.live.limits.percent
    used = [np.array(each.loading_percent) / limits * 100.0 for each in frames]
    np.testing.assert_allclose(np.array(body["loading"]) / scale["loading"], used, atol=0.051)
    for name, among in (("load_kw", "homes"), ("net_kw", "homes"), ("asked_kw", "devices"), ("given_kw", "devices")):
        shown = np.array(body[name]) / scale[name]
        np.testing.assert_allclose(shown, [[getattr(each, name)[k] for k in body[among]] for each in frames], atol=0.0051)
    np.testing.assert_allclose(np.array(body["soc"]) / scale["soc"], [each.soc for each in frames], atol=5.1e-4)
    assert [each["head_kw"] for each in body["totals"]] == pytest.approx([each.head_kw for each in frames], abs=0.0051)


def test_the_feed_goes_on_from_a_quarter_hour(visits: Visits) -> None:
    assert visits.get("boss", f"/feeds/network/{DAY}?since=90").json()["numbers"] == list(range(90, 96))
    for nonsense in ("-1", "x", "", "9999"):
        assert visits.get("boss", f"/feeds/network/{DAY}?since={nonsense}").status_code == 200


def test_a_prosumer_sees_all_voltages_and_its_own_home_alone(visits: Visits, lived_once: Lived) -> None:
    plan, boss = plan_of(lived_once.live), visits.get("boss", f"/feeds/network/{DAY}").json()
    for name in PROSUMERS:
        body, text = visits.get(name, f"/feeds/network/{DAY}").json(), visits.get(name, "/network").text
        mine = {device.meter for device in lived_once.service.devices.page(Principal(name, "prosumer"))[0]}
        devices = [plan.devices.index(meter) for meter in sorted(mine, key=plan.devices.index)]

        assert body["vm_pu"] == boss["vm_pu"]
        assert body["loading"] == boss["loading"]
        assert body["devices"] == devices
        assert body["homes"] == [home.number for home in plan.homes if set(home.devices) & set(devices)]
        assert body["homes"] != []
        for row, all_of_it in zip(body["net_kw"], boss["net_kw"], strict=True):
            assert row == [all_of_it[number] for number in body["homes"]]
        assert {len(row) for row in body["soc"]} == {len([each for each in devices if each < lived_once.live.case.fleet.batteries])}
        assert len(re.findall(r'class="home"', text)) == len(body["homes"])
        others = [home.name for home in plan.homes if home.number not in body["homes"]]
        assert [other for other in others if other in text] == []


def test_a_connection_shared_with_anothers_device_is_nobodys(own_visits: Visits, lived_own: Lived) -> None:
    plan = plan_of(lived_own.live)
    [home] = _seen(lived_own, "alice").homes
    free = next(k for k in range(len(plan.devices)) if k not in [n for name in PROSUMERS for n in _seen(lived_own, name).devices])
    stranger = next(each for each in plan.homes if free in each.devices)
    assert _seen(lived_own, "bob").devices != ()

    # Bob gets the device of another home, and then alice a second one there, where such a home has two.
    lived_own.service.devices.add(OPERATOR, Device("bob-more", "bob", "pv", discharge_kw=1.0, s_kva=1.0, meter=plan.devices[free]))
    assert stranger in _seen(lived_own, "bob").homes
    crowded = next((each for each in plan.homes if len(each.devices) > 1), None)
    if crowded is None:
        lived_own.service.devices.change(OPERATOR, "bob-more", owner="alice")
        assert {each.number for each in _seen(lived_own, "alice").homes} == {home.number, stranger.number}


@pytest.mark.parametrize("path", ["/network", "/dispatch"])
@pytest.mark.parametrize("day", ["nonsense", "2090-02-30", "0000-01-01", "9999-12-31", "2090-6-1", "20900613"])
def test_a_day_that_is_none_is_refused_in_words(visits: Visits, path: str, day: str) -> None:
    answer = visits.get("boss", f"{path}?day={day}")
    assert answer.status_code == 422
    assert "a day like 2026-03-01" in answer.text
    assert visits.get("boss", f"/feeds{path}/{day}").status_code == 422


@pytest.mark.parametrize("path", ["/network", "/dispatch"])
@pytest.mark.parametrize("at", ["25:00", "12:07", "noon"])
def test_a_time_that_is_none_is_refused_in_words(visits: Visits, path: str, at: str) -> None:
    assert "a time, like 14:15" in visits.get("boss", f"{path}?day={DAY}&at={at}").text


@pytest.mark.parametrize("path", ["/network", "/dispatch"])
def test_a_day_that_nothing_is_kept_of_is_empty(visits: Visits, path: str) -> None:
    answer = visits.get("boss", f"{path}?day=2050-01-01")
    assert answer.status_code == 200
    assert "Nothing" in answer.text
    assert visits.get("boss", f"/feeds{path}/2050-01-01").json()["numbers"] == []


def test_young_feeds_are_empty(young: Visits) -> None:
    assert young.get("boss", "/feeds/network/2026-03-01").json()["newest"] is None
    assert young.get("alice", "/feeds/dispatch/2026-03-01").json()["numbers"] == []
    assert young.get("boss", "/feeds/outlook/2026-03-01/4").json()["levels"] == []


def test_a_day_of_one_device_is_replayed(visits: Visits, lived_once: Lived) -> None:
    plan = plan_of(lived_once.live)
    body = visits.get("boss", f"/feeds/dispatch/{DAY}?device=bat-02").json()
    frames = lived_once.service.frames.span(BEFORE, BEFORE + timedelta(days=1))
    number = plan.devices.index("bat-02")
    for name in ("asked_kw", "given_kw"):
        shown = np.array(body[name]) / body["scale"][name]
        np.testing.assert_allclose(shown, [getattr(each, name)[number] for each in frames], atol=6e-4)
    soc = np.array(body["soc_percent"]) / body["scale"]["soc_percent"]
    np.testing.assert_allclose(soc, [100.0 * each.soc[number] for each in frames], atol=0.051)
    price = np.array(body["import_ct"]) / body["scale"]["import_ct"]
    np.testing.assert_allclose(price, [100.0 * each.import_eur_per_kwh for each in frames], atol=6e-4)
    fleet = lived_once.live.case.fleet
    assert (body["most_kw"], body["least_kw"]) == pytest.approx((fleet.s_kva[number], -fleet.s_kva[number]), abs=1e-3)


def test_all_together_is_the_batteries_sum(visits: Visits, lived_once: Lived) -> None:
    body, batteries = visits.get("boss", f"/feeds/dispatch/{DAY}").json(), lived_once.live.case.fleet.batteries
    frames = lived_once.service.frames.span(BEFORE, BEFORE + timedelta(days=1))
    given = np.array(body["given_kw"]) / body["scale"]["given_kw"]
    np.testing.assert_allclose(given, [sum(each.given_kw[:batteries]) for each in frames], atol=6e-4)
    load = np.array(body["load_kw"]) / body["scale"]["load_kw"]
    np.testing.assert_allclose(load, [sum(each.load_kw) for each in frames], atol=6e-4)
    weights = lived_once.live.case.fleet.e_kwh
    soc = np.array(body["soc_percent"]) / body["scale"]["soc_percent"]
    np.testing.assert_allclose(soc, [100.0 * np.average(each.soc, weights=weights) for each in frames], atol=0.06)


def test_every_decision_of_a_day_stands_in_the_table(visits: Visits) -> None:
    rows = re.findall(r'<tr data-quarter="(\d+)".*?</tr>', visits.get("boss", f"/dispatch?day={DAY}&device=bat-02").text)
    assert list(map(int, rows)) == list(range(96))
    row = re.search(r'<tr data-quarter="40".*?</tr>', visits.get("boss", f"/dispatch?day={DAY}&device=bat-02").text)
    assert row is not None
    assert "<td" in row[0]
    assert ">rule<" in row[0]
    assert ">measured<" in row[0]


def test_a_device_is_shown_to_its_owner_alone(visits: Visits, lived_once: Lived) -> None:
    plan = plan_of(lived_once.live)
    mine = {plan.devices[number] for number in _seen(lived_once, "alice").devices}
    text = visits.get("alice", "/dispatch").text
    assert mine == set(plan.devices) & set(re.findall(r"[a-z]+-\d\d", re.sub(r"alice-", "", text)))
    for meter in plan.devices:
        for address in (f"/dispatch?day={DAY}&device={meter}", f"/feeds/dispatch/{DAY}?device={meter}"):
            assert visits.get("alice", address).status_code == (200 if meter in mine else 404)
            assert visits.get("many", address).status_code == 404
    unknown, foreign = (visits.get("alice", f"/dispatch?device={name}") for name in ("bat-77", "bat-04"))
    assert unknown.text.replace("bat-77", "bat-04") == foreign.text, "what is another's is not told from what is nowhere"


def test_whoever_has_nothing_here_learns_no_more_than_prices(visits: Visits) -> None:
    body = visits.get("many", f"/feeds/dispatch/{DAY}").json()
    assert set(body["scale"]) == {"asked_kw", "given_kw", "soc_percent", "import_ct", "export_ct"}
    assert set(body["asked_kw"]) == set(body["given_kw"]) == {None}
    assert visits.get("many", f"/feeds/outlook/{DAY}/40").status_code == 403
    assert "No device that a meter of this feeder speaks for" in visits.get("many", "/dispatch").text


def test_the_outlook_is_what_was_known_then(visits: Visits, lived_once: Lived) -> None:
    body = visits.get("boss", f"/feeds/outlook/{DAY}/40").json()
    kept = lived_once.service.frames.outlook(BEFORE + timedelta(hours=10))
    assert kept is not None
    assert body["levels"] == list(kept.levels)
    np.testing.assert_allclose(body["load_kw"], kept.load_kw, atol=0.0051)
    np.testing.assert_allclose(body["import_ct"], 100.0 * np.array(kept.import_eur_per_kwh), atol=6e-4)
    for quarter in ("96", "-1", "x", "\u0664"):
        assert visits.get("boss", f"/feeds/outlook/{DAY}/{quarter}").status_code == 404


def test_what_is_dispatched_by_hand_stands_beside_the_policys(own_visits: Visits, lived_own: Lived) -> None:
    start = lived_own.clock.now + timedelta(minutes=1)
    sent = lived_own.service.controls.dispatch(OPERATOR, order(start, device="bob-bat-01", reason="a line is repaired"))
    assert "a line is repaired" in own_visits.get("boss", "/dispatch").text
    assert "a line is repaired" in own_visits.get("bob", "/dispatch").text
    assert "a line is repaired" not in own_visits.get("alice", "/dispatch").text
    assert "a line is repaired" not in own_visits.get("boss", f"/dispatch?day={DAY}").text
    lived_own.clock.forward(minutes=2)
    assert re.search(rf"bob-bat-01</th>.*?{sent.source}.*?a line is repaired", own_visits.get("bob", "/dispatch").text, re.DOTALL)


def test_an_override_shows_in_what_the_device_shall_do_now(own_visits: Visits, lived_own: Lived) -> None:
    until = lived_own.clock.now + timedelta(hours=2)
    lived_own.service.controls.override(Principal("bob", "prosumer"), "bob-bat-01", until, "<guests>")
    text = own_visits.get("bob", "/dispatch").text
    assert "the owner opted out until" in text
    assert "&lt;guests&gt;" in text, "what people write is no markup"


def test_days_are_in_utc(visits: Visits) -> None:
    body = visits.get("boss", f"/feeds/network/{END:%Y-%m-%d}").json()
    assert body["numbers"][-1] == 4 * END.hour
    assert datetime.fromisoformat(body["newest"]) == END.astimezone(UTC)
