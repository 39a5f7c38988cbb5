"""Several feeders in one service: each decided and settled for itself, in one ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from gridnet.app.service import marks
from gridnet.app.service.assembled import Assembled
from gridnet.app.service.config import Config
from gridnet.app.service.feeders import case_of, make_sites
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import Measurement
from gridnet.app.service.schema import plans, setpoints
from gridnet.app.service.store import moment
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.errors import InputError
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.schema import entries
from gridnet_policies.policy import Policy
from tests.gridnet.app.service.many import assembled, config_of, decided, is_sound, loop_of, mark_of, until
from tests.gridnet.app.service.parts import ALICE, KEY, OPERATOR, QUARTER, Clock, Meter, metered
from tests.gridnet.app.service.plant import FAR, FAR_Q

NAMES = ("", "east", "west")
LOCAL = ("bat-00", "bat-01", "pv-00")
ALL = {f"{name}/{each}" if name else each for name in NAMES for each in LOCAL}


@pytest.fixture
def far() -> Clock:
    return Clock(FAR + QUARTER / 3)


@pytest.fixture
def made(year: Path, tmp_path: Path, far: Clock) -> Iterator[Assembled]:
    """Three feeders of equal homes; alice's battery is real, and on the further feeder."""
    one = assembled(f"sqlite:///{tmp_path / 'many.db'}", tmp_path, config_of(year, NAMES[1:]), far)
    one.service.devices.add(OPERATOR, metered(meter="east/bat-01"))
    yield one
    one.service.store.database.close()


def _tick(made: Assembled, far: Clock, quarters: int, meter: Meter | None = None) -> None:
    for number in range(quarters):
        loop_of(made).tick()
        if meter is not None:
            start = moment(made.service.store.now_s() // QUARTER_S * QUARTER_S - QUARTER_S)
            raw = meter.reads(start, injected_wh=100 + number, soc_ppm=400_000)
            assert made.service.telemetry.report(ALICE, "alice-1", [raw])[0].problem is None
        far.forward(minutes=15)


def _keeper(made: Assembled, name: str) -> Keeper:
    return next(keeper for keeper in made.keepers if keeper.name == name)


def _heard(made: Assembled, name: str) -> dict[str, list[int]]:
    """By meter: what verification took of each quarter-hour, Wh."""
    settler = _keeper(made, name).settler
    assert settler is not None
    found: dict[str, list[int]] = {}
    for _, readings in sorted(settler.pipeline.readings().items()):
        for meter, reading in readings.items():
            found.setdefault(meter, []).append(reading.injected_wh)
    return found


def test_each_is_decided_and_settled_in_one_ledger_that_is_sound(made: Assembled, far: Clock, tmp_path: Path) -> None:
    _tick(made, far, 4)

    for quarter in range(FAR_Q, FAR_Q + 4):
        assert decided(made.service, quarter) == dict.fromkeys(ALL, "rule")
    assert {mark_of(made.service, name) for name in NAMES} == {FAR_Q + 2}
    with made.service.store.read() as connection:
        keys = connection.execute(select(entries.c.key)).scalars().all()
        planned = set(connection.execute(select(plans.c.meter)).scalars())
    assert planned == ALL
    verified = [key for key in keys if key.startswith("verify:")]
    assert {name: sum(key.startswith(f"verify:{name}:") for key in verified) for name in ("year", "east", "west")} == {
        "year": 3,
        "east": 3,
        "west": 3,
    }
    assert is_sound(f"sqlite:///{tmp_path / 'many.db'}", tmp_path)


def test_the_homes_of_a_further_feeder_do_what_was_decided_for_it(made: Assembled, far: Clock) -> None:
    """Equal homes that get equal setpoints come to equal charges; at rest, or by another's, they would not."""
    _tick(made, far, 4)
    main, _, west = (keeper.settler for keeper in made.keepers)
    assert main is not None
    assert west is not None
    assert west.state().soc == pytest.approx(main.state().soc, abs=1e-9)
    assert abs(west.state().soc - 0.5).max() > 1e-3


def test_what_is_reported_on_one_feeder_is_counted_on_no_other(made: Assembled, far: Clock) -> None:
    _tick(made, far, 4, Meter(KEY, "bat-01"))

    assert {101, 102} <= set(_heard(made, "east")["bat-01"])
    for name in ("", "west"):
        assert not {101, 102} & set(_heard(made, name)["bat-01"]), "its simulated meter of the same name says something else"
    settlers = [_keeper(made, name).settler for name in NAMES]
    charges = [settler.state().soc[1] for settler in settlers if settler is not None]
    assert abs(charges[1] - 0.4) < 1e-6
    assert all(abs(charges[number] - 0.4) > 1e-3 for number in (0, 2))


def test_what_a_device_tells_of_its_charge_counts_on_its_own_feeder(made: Assembled, far: Clock) -> None:
    made.service.telemetry.measure(ALICE, "alice-1", [Measurement("soc", far.now, 0.123)])
    seen = {}
    own = Keeper._soc
    for keeper in made.keepers:
        keeper.tick()
        assert keeper._live is not None
        assert keeper.settler is not None
        seen[keeper.name] = own(keeper, FAR_Q, keeper._live, keeper.settler)[1]
    assert seen["east"] == 0.123
    assert 0.123 not in (seen[""], seen["west"])


def test_a_device_of_a_further_feeder_gets_its_setpoint(made: Assembled, far: Clock) -> None:
    _tick(made, far, 1)
    far.forward(minutes=-15)
    told = made.service.controls.effective(ALICE, "alice-1")
    with made.service.store.read() as connection:
        row = connection.execute(select(setpoints).where(setpoints.c.meter == "east/bat-01")).one()
    assert (told.control, told.source, told.is_default) == (row.id, "rule", False)
    schedule = made.service.controls.of_device(ALICE, "alice-1")
    assert [each.planned for each in schedule] == [False] + [True] * 4


def test_a_restart_goes_on_where_each_feeder_was(made: Assembled, far: Clock, year: Path, tmp_path: Path) -> None:
    _tick(made, far, 2)
    again = assembled(f"sqlite:///{tmp_path / 'many.db'}", tmp_path, config_of(year, NAMES[1:]), far)
    _tick(again, far, 2)
    assert {mark_of(again.service, name) for name in NAMES} == {FAR_Q + 2}
    assert is_sound(f"sqlite:///{tmp_path / 'many.db'}", tmp_path)
    again.service.store.database.close()


def test_frames_are_the_main_feeders(made: Assembled, far: Clock) -> None:
    _tick(made, far, 3)
    found = {each.start: each for each in made.service.frames.span(FAR, FAR + 4 * QUARTER) if each.kind == "measured"}
    settler = _keeper(made, "").settler
    assert settler is not None
    for start, frame in found.items():
        assert abs(settler.pipeline.readings()[start]["head"].net_wh / 250.0 + frame.head_kw) < 0.05
    assert list(found) == [FAR]


def test_equal_feeders_have_unequal_meters_and_pseudonyms(made: Assembled, far: Clock) -> None:
    _tick(made, far, 1)
    settlers = [keeper.settler for keeper in made.keepers]
    keys = [settler.world.keys["bat-00"].public_key.kid for settler in settlers if settler is not None]
    parties = [tuple(settler.pipeline.community.party_of_bus.values()) for settler in settlers if settler is not None]
    assert len(set(keys)) == 3
    assert len({settler._seed for settler in settlers if settler is not None}) == 3, "else their meters would err alike"
    assert len({party for each in parties for party in each}) == sum(map(len, parties))


class _Hangs(Policy):
    """Answers when it is told to."""

    name = "rule"

    def __init__(self) -> None:
        self.freed = threading.Event()

    def prepare(self, *_: object) -> None:
        pass

    def decide(self, step: int, soc: object) -> object:  # type: ignore[override]
        self.freed.wait(60.0)
        return None


def test_a_feeder_whose_policy_hangs_stops_no_other(made: Assembled) -> None:
    hangs = _Hangs()
    keeper = _keeper(made, "east")
    keeper._makings = replace(keeper._makings, policies=lambda: [hangs])
    loop = loop_of(made)
    loop.start()
    try:
        until(lambda: decided(made.service).keys() >= {each for each in ALL if not each.startswith("east/")}, 30.0)
        assert not any(each.startswith("east/") for each in decided(made.service))
    finally:
        hangs.freed.set()
        loop.stop()


def test_a_feeder_that_is_dropped_is_small(made: Assembled, far: Clock) -> None:
    _tick(made, far, 1)
    keeper = _keeper(made, "west")
    assert keeper.settler is not None
    keeper.drop()
    assert (keeper.settler, keeper._live, keeper._decider) == (None, None, None)


def test_a_further_feeders_case_shares_its_arrays(year: Path) -> None:
    main, east = case_of("", str(year)), case_of("east", str(year))
    assert (main.scenario.name, east.scenario.name) == ("year", "east")
    assert east.params.load_p_kw is main.params.load_p_kw
    live = LiveFeeder.at(east, FAR, "east")
    assert live.meters == tuple(f"east/{each}" for each in LOCAL)


def test_every_feeder_that_cant_be_kept_live_is_named(year: Path) -> None:
    with pytest.raises(InputError) as refused:
        make_sites(Config(scenario=str(year), feeders=("east=nowhere", f"year={year}", "short=tiny")), FAR)
    said = str(refused.value)
    assert all(each in said for each in ("nowhere", "'year'", "52 weeks"))
    assert [site.name for site in make_sites(Config(scenario=str(year), feeders=(f"east={year}",)), FAR)] == ["", "east"]


def test_the_share_of_the_sun_is_worked_out_once_for_a_scenario(year: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked = []
    share = LiveFeeder.safe_pv_share.func
    monkeypatch.setattr(LiveFeeder, "safe_pv_share", property(lambda live: worked.append(live.name) or share(live)))
    sites = make_sites(config_of(year, ("east", "west")), FAR)
    assert worked == [""]
    assert len({site.safe_pv_share for site in sites}) == 1


def test_a_process_may_answer_alone(year: Path, tmp_path: Path, far: Clock) -> None:
    config = replace(config_of(year, ("east",)), keeps_feeders=False)
    one = assembled(f"sqlite:///{tmp_path / 'many.db'}", tmp_path, config, far)
    assert one.keepers == ()
    one.service.devices.add(OPERATOR, metered(meter="east/bat-01"))
    loop = loop_of(one)
    loop.start()
    loop.stop()
    with Database(f"sqlite:///{tmp_path / 'many.db'}").read() as connection:
        assert marks.marked(connection, marks.SETTLED) is None
    one.service.store.database.close()
