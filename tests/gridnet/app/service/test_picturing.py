"""From decision to frame: what is expected, what was measured, what was known ahead; through failures, restarts and stalls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet import simulate
from gridnet.app.service.decisions import Decider
from gridnet.app.service.frames import OUTLOOK_STEPS, Frame, Frames
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.settling import Settler
from gridnet.app.service.store import seconds
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.app.service.world import World
from gridnet.errors import PowerFlowDiverged
from gridnet.forecast.forecaster import make_forecaster
from gridnet.metering.points import meter_points
from gridnet.simulate import State, Transition
from tests.gridnet.app.service.lived import Lived
from tests.gridnet.app.service.parts import ALICE, KEY, OPERATOR, QUARTER, Clock, Meter, metered
from tests.gridnet.app.service.plant import FAR, Plant, case_at


@pytest.fixture
def plant(year: Path, tmp_path: Path) -> Plant:
    """With a real battery behind `bat-01`."""
    made = Plant(tmp_path, case_at(year))
    made.service.devices.add(OPERATOR, metered(meter="bat-01"))
    return made


def _frames(plant: Plant) -> list[Frame]:
    return plant.service.frames.span(FAR - timedelta(days=1), FAR + timedelta(days=1))


def _all(once: Lived) -> list[Frame]:
    return once.service.frames.span(once.clock.now - timedelta(days=3), once.clock.now)


def _reporting(plant: Plant) -> Callable[[int], None]:
    """What the real battery says after each tick: 0.4 kW of the quarter-hour before, and 40 % of charge."""
    meter = Meter(KEY, "bat-01")

    def report(_: int) -> None:
        start = plant.clock.now - 5 * timedelta(minutes=1) - QUARTER
        plant.service.telemetry.report(ALICE, "alice-1", [meter.reads(start, injected_wh=100, soc_ppm=400_000)])

    return report


def test_a_quarter_hour_is_expected_when_it_is_decided_and_measured_when_it_is_closed(plant: Plant) -> None:
    plant.run(4)

    found = _frames(plant)
    assert [each.start for each in found] == [FAR + k * QUARTER for k in range(-1, 4)]
    assert [each.kind for each in found] == ["measured", "measured", "measured", "expected", "expected"]
    assert [plant.service.frames.outlook(each.start) is not None for each in found] == [False, True, True, True, True]


def test_what_was_asked_is_what_was_decided(plant: Plant) -> None:
    plant.run(3)

    for frame in _frames(plant)[1:]:
        with plant.service.store.read() as connection:
            decided = plant.service.controls.setpoints_at(frame.start, connection)
        assert frame.asked_kw == pytest.approx([decided[point.name].p_kw for point in plant.live.points], abs=1e-3)


def test_a_real_device_did_what_its_reading_says_whatever_was_asked(plant: Plant) -> None:
    plant.run(4, _reporting(plant))

    frame = plant.service.frames.at(FAR + QUARTER)
    assert frame is not None
    assert frame.kind == "measured"
    assert (frame.given_kw[1], frame.soc[1]) == (0.4, 0.4)
    assert frame.asked_kw[1] != 0.4
    assert frame.given_kw[0] == pytest.approx(frame.asked_kw[0], abs=1e-3)


def test_a_measured_frame_says_what_the_meters_say(plant: Plant) -> None:
    plant.run(6)

    heard = {name: {each.start: each for each in plant.heard(name)} for name in ("head", "bat-00", "home-003")}
    homes = [point.name for point in meter_points(plant.case) if point.kind == "home"]
    for frame in [each for each in _frames(plant) if each.kind == "measured"]:
        told = {name: own[frame.start] for name, own in heard.items()}
        assert told["bat-00"].net_wh == pytest.approx(250.0 * frame.given_kw[0], rel=0.02, abs=2.0)
        assert told["bat-00"].soc_ppm == pytest.approx(1e6 * frame.soc[0], abs=20_000)
        assert told["home-003"].net_wh == pytest.approx(250.0 * frame.net_kw[homes.index("home-003")], rel=0.02, abs=2.0)
        assert told["head"].net_wh == pytest.approx(-250.0 * frame.head_kw, rel=0.02, abs=2.0)


def test_energy_is_neither_made_nor_lost_in_any_frame(lived_once: Lived) -> None:
    found = _all(lived_once)
    assert {each.kind for each in found} == {"expected", "measured"}
    for frame in found:
        # Numbers are stored to 1 W, of 13 homes, and the solver closes its balance to less.
        assert frame.head_kw + sum(frame.net_kw) == pytest.approx(frame.loss_kw, abs=0.02)


def test_a_homes_connection_carries_its_loads_and_its_devices(lived_once: Lived) -> None:
    case = lived_once.live.case
    homes = [point.bus for point in meter_points(case) if point.kind == "home"]
    for frame in _all(lived_once):
        behind = np.zeros(case.params.buses)
        np.add.at(behind, case.params.device_bus, frame.given_kw)
        assert frame.net_kw == pytest.approx(np.array(frame.load_kw) + behind[homes], abs=0.005)


def test_shapes_are_the_feeders(lived_once: Lived) -> None:
    case, frame = lived_once.live.case, _all(lived_once)[-1]
    assert len(frame.vm_pu) == case.params.buses
    assert len(frame.loading_percent) == case.params.lines + case.params.trafos
    assert {len(each) for each in (frame.asked_kw, frame.given_kw, frame.given_kvar)} == {case.fleet.devices}
    assert len(frame.soc) == case.fleet.batteries
    assert len(frame.load_kw) == len(frame.net_kw) == sum(point.kind == "home" for point in meter_points(case))


def test_a_home_without_power_has_no_voltage_and_no_load(lived_once: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    live, own = lived_once.live, simulate.step
    home = next(point for point in meter_points(live.case) if point.kind == "home")

    def dark(*given: Any) -> tuple[State, Transition]:
        after, transition = own(*given)
        transition.flow[0, home.bus] = np.nan
        return after, transition

    lit = World(live, 1).expected(100, live.case.start(100).soc[0], live.default_kw())
    monkeypatch.setattr(simulate, "step", dark)
    frame = World(live, 1).expected(100, live.case.start(100).soc[0], live.default_kw())
    assert [bus for bus, vm_pu in enumerate(frame.vm_pu) if vm_pu is None] == [home.bus]
    assert (frame.load_kw[0], frame.net_kw[0]) == (0.0, 0.0)
    assert lit.load_kw[0] < 0.0
    assert frame.load_kw[1:] == lit.load_kw[1:]


def test_a_charge_follows_from_what_the_battery_did(lived_once: Lived) -> None:
    fleet = lived_once.live.case.fleet
    found = _all(lived_once)
    for before, after in pairwise(found):
        p_kw, moved = np.array(after.given_kw[: fleet.batteries]), np.array(after.soc) - np.array(before.soc)
        stored_kw = np.where(p_kw < 0, -p_kw * fleet.efficiency[0], -p_kw / fleet.efficiency[1])
        # The charge is stored to 1e-4, and alice's own is what her reading said.
        assert moved == pytest.approx(stored_kw * fleet.dt_h / fleet.e_kwh, abs=5e-4)


def test_what_is_expected_of_calm_homes_comes_true(plant: Plant) -> None:
    seen: list[Frame] = []
    plant.run(4, lambda _: seen.append(_frames(plant)[-1]))

    for expected in seen[:2]:
        measured = plant.service.frames.at(expected.start)
        assert measured is not None
        assert (expected.kind, measured.kind) == ("expected", "measured")
        assert measured.vm_pu == pytest.approx(expected.vm_pu, abs=2e-5)
        assert measured.given_kw == pytest.approx(expected.given_kw, abs=2e-3)


def test_prices_and_carbon_are_those_of_the_time(lived_once: Lived) -> None:
    for frame in _all(lived_once)[::16]:
        worth = lived_once.service.worth(frame.start)
        assert worth is not None
        assert (frame.import_eur_per_kwh, frame.export_eur_per_kwh) == pytest.approx(
            (worth.import_eur_per_kwh, worth.export_eur_per_kwh), abs=1e-6
        )
        assert frame.carbon_g_per_kwh == pytest.approx(worth.carbon_g_per_kwh, abs=0.01)


def test_an_outlook_is_the_forecast_of_that_time(lived_once: Lived) -> None:
    start = lived_once.clock.now.replace(hour=6, minute=0)
    outlook = lived_once.service.frames.outlook(start)
    totals = make_forecaster(lived_once.live.case).bands(lived_once.live.step_of(seconds(start) // QUARTER_S), OUTLOOK_STEPS)
    assert outlook is not None
    assert outlook.levels == totals.levels
    assert np.array(outlook.load_kw) == pytest.approx(totals.load_p_kw, abs=1e-3)
    assert np.array(outlook.pv_kw) == pytest.approx(totals.pv_p_kw, abs=1e-3)
    assert np.array(outlook.pv_kw).max() > 0 > np.array(outlook.load_kw).max()


@pytest.mark.parametrize(("hour", "known"), [(6, 17 * 4), (10, 13 * 4), (11, 96)])
def test_prices_are_known_as_far_as_the_auction_has_published_them(lived_once: Lived, hour: int, known: int) -> None:
    """Local days begin at 23:00 UTC, and the auction closes at noon of the day before."""
    start = lived_once.clock.now.replace(hour=hour, minute=0)
    outlook = lived_once.service.frames.outlook(start)
    assert outlook is not None
    assert {len(each) for each in (outlook.import_eur_per_kwh, outlook.export_eur_per_kwh, outlook.carbon_g_per_kwh)} == {known}
    worth = [lived_once.service.worth(start + k * QUARTER) for k in range(known)]
    assert outlook.import_eur_per_kwh == pytest.approx([each.import_eur_per_kwh for each in worth if each is not None], abs=1e-6)
    assert outlook.carbon_g_per_kwh == pytest.approx([each.carbon_g_per_kwh for each in worth if each is not None], abs=0.01)


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (Decider, "outlook", ZeroDivisionError("in a forecast")),
        (World, "expected", PowerFlowDiverged("no power flow")),
        (Frames, "put", OSError("disk")),
    ],
)
def test_a_picture_that_fails_stops_no_decision(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        patch.setattr(Settler, "close", lambda *_: None)
        plant.loop.tick()
    assert _frames(plant) == []
    with plant.service.store.read() as connection:
        assert len(plant.service.controls.setpoints_at(FAR, connection)) == len(plant.live.points)
    plant.clock.forward(minutes=15)
    plant.run(2)
    assert [each.kind for each in _frames(plant)] == ["measured", "measured", "expected", "expected"]


def test_setpoints_are_out_before_the_picture_is_made(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[int] = []
    own = Keeper._picture

    def looking(keeper: Keeper, *given: object) -> None:
        with plant.service.store.read() as connection:
            there.append(len(plant.service.controls.setpoints_at(FAR, connection)))
        own(keeper, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Keeper, "_picture", looking)
    plant.run(1)
    assert there == [len(plant.live.points)]


def test_a_restart_changes_no_frame(year: Path, tmp_path: Path) -> None:
    found = []
    for name, restarts in (("calm", False), ("restarted", True)):
        (tmp_path / name).mkdir()
        plant = Plant(tmp_path / name, case_at(year))
        plant.run(4, lambda _, plant=plant, restarts=restarts: plant.start() if restarts else None)  # type: ignore[misc]
        found.append(_frames(plant))
    assert found[0] == found[1]


def test_after_a_stall_all_that_went_by_is_measured(plant: Plant) -> None:
    plant.run(2)
    plant.clock.forward(minutes=60)
    plant.run(1)

    found = _frames(plant)
    assert [each.start for each in found] == [FAR + k * QUARTER for k in range(-1, 5)] + [FAR + 6 * QUARTER]
    assert [each.kind for each in found] == ["measured"] * 6 + ["expected"]
    assert [plant.service.frames.outlook(each.start) is None for each in found] == [True, False, False, True, True, True, False]


def test_frames_of_long_ago_are_forgotten_once_a_day(year: Path, tmp_path: Path) -> None:
    midnight = FAR.replace(hour=0)
    plant = Plant(tmp_path, case_at(year), Clock(midnight - QUARTER + 5 * timedelta(minutes=1)))
    plant.run(1)
    frame = _kept(plant, midnight - QUARTER)
    old = [midnight - timedelta(days=401), midnight - timedelta(days=400)]
    with plant.service.store.write() as connection:
        for start in old:
            plant.service.frames.put(connection, Frame(**{**vars(frame), "start": start}))
    plant.run(1)
    assert plant.service.frames.first() == old[0]
    plant.run(1)

    assert plant.service.frames.first() == old[1]


def _kept(plant: Plant, start: datetime) -> Frame:
    found = plant.service.frames.at(start)
    assert found is not None
    return found
