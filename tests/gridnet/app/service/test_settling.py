"""Quarter-hours from arrival to ledger, with a clock that is told: restarts anywhere, stalls, real devices, lost databases."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from gridnet.app.service import marks
from gridnet.app.service.errors import Unavailable
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.model import Measurement
from gridnet.app.service.names import MAIN
from gridnet.app.service.schema import messages, readings, setpoints
from gridnet.app.service.settling import Settler
from gridnet.app.service.store import moment, upsert
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.errors import GridnetError, LedgerError
from gridnet.metering.cose import open_message
from gridnet.metering.keys import DeviceKey
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyRegistry
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.actions.records import GridFactor
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.gridnet.app.service.parts import ALICE, KEY, OPERATOR, QUARTER, Clock, Meter, metered
from tests.gridnet.app.service.plant import FAR, Plant, case_at


class Killed(Exception):
    """What a process is told nothing of."""


@pytest.fixture(scope="module")
def begun(year: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a feeder that has run for an hour, with a real battery on it from the beginning."""
    plant = Plant(tmp_path_factory.mktemp("begun"), case_at(year))
    plant.service.devices.add(OPERATOR, metered(meter="bat-01"))
    plant.run(4)
    plant.service.store.database.close()
    return plant.folder


@pytest.fixture
def going_on(begun: Path, year: Path, tmp_path: Path) -> Callable[[str], Plant]:
    """Makes a plant that goes on from there, in a folder of its own: equal pseudonyms, equal keys."""

    def copied(name: str) -> Plant:
        shutil.copytree(begun, tmp_path / name)
        return Plant(tmp_path / name, case_at(year), Clock(FAR + timedelta(hours=1, minutes=5)))

    return copied


def _run(
    plant: Plant, quarters: int, disturb: Callable[[int], Any] = lambda _: None, meter: Meter | None = None
) -> list[tuple[str, str]]:
    """Ticks with a device that reports each quarter-hour after it went by; gives what the ledger then holds."""
    meter = meter or Meter(KEY, "bat-01")

    def report(number: int) -> None:
        start = moment(int(plant.clock.now.timestamp()) // QUARTER_S * QUARTER_S - QUARTER_S)
        plant.service.telemetry.report(ALICE, "alice-1", [meter.reads(start, injected_wh=100 + number, soc_ppm=400_000)])
        disturb(number)

    plant.run(quarters, report)
    return plant.entries()


def test_quarter_hours_are_closed_one_after_the_other_and_the_ledger_is_sound(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("calm")
    before = plant.settled()
    held = _run(plant, 6)
    assert plant.settled() == before + 6
    assert len({key for key, _ in held}) == len(held)
    for number in range(1, 7):
        key = f"verify:year:{moment((before + number - 1) * QUARTER_S):%Y-%m-%dT%H:%MZ}"
        assert sum(each == key for each, _ in held) == 1
    assert plant.is_sound()


def test_a_reading_that_lies_where_two_versions_keep_it_counts_once(going_on: Callable[[str], Plant]) -> None:
    calm, doubled = going_on("once"), going_on("twice")

    def copy(_: int) -> None:
        """Each of the device's readings arrives in the next quarter-hour again, by way of the version before."""
        with doubled.service.store.write(MAIN) as connection:
            of_now = select(readings).where(readings.c.meter == "bat-01", readings.c.quarter == doubled.settled() + 1)
            for row in connection.execute(of_now).all():
                again = {"meter": row.meter, "sequence": row.sequence, "digest": row.digest.hex(), "raw": row.raw}
                upsert(connection, messages, [{**again, "received_s": 0, "quarter": row.quarter + 1}], replace=False)

    _run(calm, 5)
    _run(doubled, 5, copy)
    assert doubled.settler.pipeline.readings() == calm.settler.pipeline.readings()
    assert [key for key, _ in doubled.entries()] == [key for key, _ in calm.entries()]
    assert doubled.settler.pipeline.tally.readings == {**calm.settler.pipeline.tally.readings, "copies": 3}
    assert doubled.is_sound()


def _restarts(plant: Plant, _: pytest.MonkeyPatch) -> None:
    plant.start()


def _killed(at: str) -> Callable[[Plant, pytest.MonkeyPatch], None]:
    """Kills the process in the next tick: at a step of `Settler.close`, before or after it is done."""

    def kill(plant: Plant, patch: pytest.MonkeyPatch) -> None:
        plant.clock.forward(minutes=15)
        with patch.context() as inside:
            _trap(inside, at)
            with pytest.raises(Killed):
                plant.loop.tick()
        plant.clock.forward(minutes=-15)
        plant.start()

    return kill


def _trap(patch: pytest.MonkeyPatch, at: str) -> None:
    step, _, when = at.partition(" ")
    owner, name = {
        "decide": (Keeper, "_decide"),
        "live": (Settler, "_live_through"),
        "judge": (Settler, "_close"),
        "publish": (Seal, "sign"),
    }[step]
    own = getattr(owner, name)

    def trapped(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            own(*arguments, **named)
        raise Killed

    patch.setattr(owner, name, trapped)


DISTURBANCES: dict[str, Callable[[Plant, pytest.MonkeyPatch], None]] = {
    "a restart": _restarts,
    **{f"killed {at}": _killed(at) for at in ("decide before", "decide after", "live before", "live after")},
    **{f"killed {at}": _killed(at) for at in ("judge before", "judge after", "publish before", "publish after")},
}


@pytest.fixture(scope="module")
def calm(begun: Path, year: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """What the ledger holds after five undisturbed quarter-hours."""
    folder = tmp_path_factory.mktemp("calm") / "plant"
    shutil.copytree(begun, folder)
    return _run(Plant(folder, case_at(year), Clock(FAR + timedelta(hours=1, minutes=5))), 5)


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_a_restart_in_any_position_gives_the_same_ledger(
    going_on: Callable[[str], Plant], calm: list[tuple[str, str]], disturbance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = going_on("shaken")
    held = _run(plant, 5, lambda number: DISTURBANCES[disturbance](plant, monkeypatch) if number in (1, 2) else None)
    assert held == calm
    assert plant.is_sound()


def test_a_restart_at_every_tick_gives_the_same_ledger(going_on: Callable[[str], Plant], calm: list[tuple[str, str]]) -> None:
    plant = going_on("shaken")
    assert _run(plant, 5, lambda _: plant.start()) == calm


def test_nothing_is_decided_twice_for_one_quarter_hour(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("shaken")
    seen: dict[str, float] = {}
    for _ in range(3):
        plant.loop.tick()
        with plant.service.store.read() as connection:
            found = plant.service.controls.setpoints_at(FAR + timedelta(hours=1), connection)
        assert len(found) == 3
        assert all(seen.setdefault(name, each.p_kw) == each.p_kw for name, each in found.items())
        plant.start()


def test_after_a_stall_the_present_is_decided_first_and_the_past_is_settled(
    going_on: Callable[[str], Plant], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = going_on("stalled")
    _run(plant, 1)
    plant.clock.forward(hours=2)
    now = moment(int(plant.clock.now.timestamp()) // QUARTER_S * QUARTER_S)
    closed, close = [], Settler.close

    def closes(settler: Settler, quarter: int) -> None:
        with plant.service.store.read() as connection:
            assert plant.service.controls.setpoints_at(now, connection), "homes wait for their setpoint, books can"
        closed.append(quarter)
        close(settler, quarter)

    monkeypatch.setattr(Settler, "close", closes)
    plant.loop.tick()
    assert closed == list(range(closed[0], int(now.timestamp()) // QUARTER_S))
    assert len(closed) >= 8
    assert plant.settled() == closed[-1]
    with plant.service.store.read() as connection:
        decided = connection.execute(
            select(func.count()).select_from(setpoints).where(setpoints.c.start_s >= closed[1] * QUARTER_S)
        )
        assert decided.scalar_one() == 3, "the past had the default; nothing is decided in hindsight"
    assert plant.is_sound()


def test_a_stall_and_a_restart_in_it_give_the_ledger_of_the_stall_alone(going_on: Callable[[str], Plant]) -> None:
    held = []
    for name in ("stalled", "restarted"):
        plant = going_on(name)
        _run(plant, 1)
        plant.clock.forward(hours=2)
        if name == "restarted":
            plant.start()
        held.append(_run(plant, 2))
    assert held[0] == held[1]


def test_the_ledger_is_there_when_the_first_quarter_hour_is_decided(year: Path, tmp_path: Path) -> None:
    plant = Plant(tmp_path, case_at(year))
    plant.run(1)
    assert "found" in {key for key, _ in plant.entries()}
    assert plant.is_sound()


def test_when_the_series_end_the_feeder_goes_on_with_another_year(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("another year")
    plant.run(2)
    before = len(plant.entries())
    plant.clock.forward(minutes=53 * 7 * 24 * 60)
    plant.run(4)
    assert plant.settled() == int(plant.clock.now.timestamp()) // QUARTER_S - 2
    assert len(plant.entries()) > before
    assert plant.is_sound()


def test_what_a_real_device_reports_is_what_the_feeder_sees_and_the_ledger_counts(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("real")
    _run(plant, 5)
    own = plant.heard("bat-01")
    assert {each.injected_wh for each in own} >= {100, 101, 102, 103}
    settler = plant.settler
    accepted = [
        reading for readings in settler.pipeline.readings().values() for name, reading in readings.items() if name == "bat-01"
    ]
    assert {each.injected_wh for each in accepted} >= {100, 101, 102}
    assert abs(settler.state().soc[1] - 0.4) < 1e-6, "its own word on its charge counts"


def test_a_real_device_that_says_nothing_is_not_spoken_for(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("silent")
    before = len(plant.heard("bat-01"))
    plant.run(3)
    assert len(plant.heard("bat-01")) == before
    assert len(plant.heard("bat-00")) > before
    settler = plant.settler
    assert settler.pipeline.tally.readings["rejected"] == 0


def test_binding_a_meter_leaves_what_it_said_before_valid(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("bound")
    plant.run(1)
    other = DeviceKey.simulated(77, "another inverter")
    plant.service.devices.add(OPERATOR, metered("second", meter="bat-00", key=other))
    plant.run(3)
    with plant.service.store.read() as connection:
        registry = KeyRegistry.decode(str(marks.marked(connection, marks.KEYS)))
        raws = connection.execute(select(readings.c.raw).where(readings.c.meter.in_(["bat-00", "pv-00"]))).scalars().all()
    assert raws
    for raw in raws:
        open_message(raw, registry, plant.clock.now)


def test_a_meter_whose_device_is_gone_and_comes_again_is_heard(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("again")
    meter = Meter(KEY, "bat-01")
    _run(plant, 1, meter=meter)
    plant.service.devices.remove(OPERATOR, "alice-1")
    plant.run(2)
    plant.service.devices.add(OPERATOR, metered(meter="bat-01"))
    _run(plant, 3, meter=meter)
    assert _accepted(plant)[-1] is not None


def _accepted(plant: Plant, meter: str = "bat-01") -> list[Reading | None]:
    """What verification took from a meter, quarter-hour by quarter-hour."""
    settler = plant.settler
    return [readings.get(meter) for _, readings in sorted(settler.pipeline.readings().items())]


def test_a_new_device_with_a_new_key_takes_a_meter_over(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("moved in")
    _run(plant, 1)
    plant.service.devices.remove(OPERATOR, "alice-1")
    other = DeviceKey.simulated(77, "another inverter")
    plant.service.devices.add(OPERATOR, metered(meter="bat-01", key=other))
    _run(plant, 4, meter=Meter(other, "bat-01"))
    assert _accepted(plant)[-1] is not None
    assert plant.is_sound()


def test_an_entry_that_another_made_meanwhile_does_not_stop_the_settlement(going_on: Callable[[str], Plant]) -> None:
    """The operator reviews something two seconds after the quarter-hour, before it is closed."""
    plant = going_on("reviewed")
    plant.run(1)
    action = GridFactor(
        start=instant(FAR),
        end=instant(FAR + QUARTER),
        zone="elsewhere",
        emissions_mg_per_kwh=1,
        residual_mg_per_kwh=1,
        carbon_free_ppm=0,
        origin="a review",
    )
    ledger = Ledger.open(plant.url, Seal.at(plant.folder / "seal"))
    ledger.commit([Order("a-review", action)], plant.clock.now)
    ledger.close()
    before = plant.settled()
    plant.run(2)
    assert plant.settled() == before + 2
    assert plant.is_sound()


def test_a_charge_that_a_device_made_up_stays_within_bounds(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("liar")
    for soc in (-5.0, 5.0):
        with contextlib.suppress(GridnetError):
            plant.service.telemetry.measure(ALICE, "alice-1", [Measurement("soc", plant.clock.now, soc)])
    plant.run(1)
    assert all(abs(each.fields.p_kw or 0.0) <= 5.5 for each in plant.service.controls.of_device(OPERATOR, "alice-1"))


def test_a_reading_of_more_than_the_device_can_give_moves_no_mountain(going_on: Callable[[str], Plant]) -> None:
    plant = going_on("giant")
    meter = Meter(KEY, "bat-01")

    def report(_: int) -> None:
        start = moment(int(plant.clock.now.timestamp()) // QUARTER_S * QUARTER_S - QUARTER_S)
        plant.service.telemetry.report(ALICE, "alice-1", [meter.reads(start, injected_wh=2**53 - 1, soc_ppm=0)])

    plant.run(4, report)
    assert all(abs(each.net_wh) < 50_000 for each in plant.heard("head") + plant.heard("bat-00"))
    assert plant.is_sound()


def test_a_database_that_is_away_is_waited_for(going_on: Callable[[str], Plant], calm: list[tuple[str, str]]) -> None:
    plant = going_on("away")
    path, hidden = plant.folder / "plant.db", plant.folder / "hidden"

    def away(number: int) -> None:
        if number != 1:
            return
        plant.service.store.database.close()
        plant.clock.forward(minutes=15)
        for each in (path, *plant.folder.glob("plant.db-*")):
            each.rename(hidden.with_name(each.name.replace("plant", "hidden")))
        path.mkdir()  # as good as unreadable, for root too
        with pytest.raises((Unavailable, LedgerError)):
            plant.make_keeper().tick()
        with pytest.raises(Unavailable):
            plant.service.controls.effective(ALICE, "alice-1")
        path.rmdir()
        for each in plant.folder.glob("hidden.db*"):
            each.rename(each.with_name(each.name.replace("hidden", "plant")))
        plant.clock.forward(minutes=-15)
        plant.start()

    assert _run(plant, 5, away) == calm
