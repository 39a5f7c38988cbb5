"""Who decides, and what of it is passed on: policies that fail in every way there is, the AC check, the default."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.service.decisions import PLANNED_STEPS, Decider
from gridnet.app.service.live import AHEAD_STEPS, PERIOD, LiveFeeder
from gridnet.case import Case, load_case
from gridnet.errors import InputError, ModelError
from gridnet.scenario import Limits
from gridnet.simulate import State
from tests.gridnet.app.service.parts import NOON

Floats = NDArray[np.float64]
HALF = np.array([0.5, 0.5])
STEP = 1000


@cache
def _case(path: Path) -> Case:
    return load_case(str(path))


@pytest.fixture
def live(year: Path) -> LiveFeeder:
    """The small feeder, now."""
    return LiveFeeder.at(_case(year), NOON)


@pytest.fixture
def tight(year: Path) -> LiveFeeder:
    """The same with so narrow a band of voltage that batteries alone can leave it."""
    case = _case(year)
    scenario = case.scenario.model_copy(update={"limits": Limits(vm_min_pu=0.995, vm_max_pu=1.005)})
    return LiveFeeder.at(replace(case, scenario=scenario), NOON)


class Told:
    """A policy that does as a test says."""

    def __init__(self, answer: Callable[[int, Floats], Any], name: str = "told", prepare: Callable[[], None] | None = None) -> None:
        self.name, self._answer, self._prepare = name, answer, prepare
        self.prepared: list[int] = []

    def prepare(self, case: Case, start: int, steps: int) -> None:
        self.prepared.append(start)
        if self._prepare is not None:
            self._prepare()

    def decide(self, step: int, soc: Floats) -> Any:
        return self._answer(step, soc)


def _raises(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def _says(content: Any) -> Callable[..., Any]:
    return lambda *_: content


def _rest(*_: Any) -> Floats:
    return np.zeros((2, 3))


WRONG: dict[str, Callable[..., Any]] = {
    "raises": _raises(ValueError("lost the thread")),
    "raises ours": _raises(ModelError("no solution")),
    "raises without words": _raises(RuntimeError()),
    "not a number": _says(np.array([[0.0, np.nan, 0.0], [0.0] * 3])),
    "minus infinity": _says(np.array([[0.0, -np.inf, 0.0], [0.0] * 3])),
    "infinite q": _says(np.array([[0.0] * 3, [0.0, 0.0, np.inf]])),
    "too few": _says(np.zeros((2, 2))),
    "flat": _says(np.zeros(6)),
    "a list": _says([[0.0] * 3, [0.0] * 3]),
    "nothing": _says(None),
    "words": _says("discharge!"),
    "objects": _says(np.array([[None] * 3, ["a"] * 3], dtype=object)),
    "text": _says(np.full((2, 3), "1.0")),
    "complex": _says(np.zeros((2, 3), dtype=complex)),
    "dates": _says(np.zeros((2, 3), dtype="datetime64[s]")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_policy_that_gives_no_setpoint_is_passed_over_and_the_reason_kept(live: LiveFeeder, wrong: str) -> None:
    second = Told(_rest, "second")
    decision = Decider(live, [Told(WRONG[wrong], "first"), second], 5.0).decide(STEP, HALF)
    assert decision.source == "second"
    assert all("first" in reason for reason in decision.reasons)
    assert second.prepared == [STEP]


def test_policies_are_asked_in_their_order_and_each_failure_is_named(live: LiveFeeder) -> None:
    named = [Told(WRONG["raises"], "a"), Told(WRONG["nothing"], "b"), Told(_rest, "c"), Told(_raises(AssertionError("asked")), "d")]
    decision = Decider(live, named, 5.0).decide(STEP, HALF)
    words = decision.reasons[0]
    assert decision.source == "c"
    assert words.index("a failed: ValueError: lost the thread") < words.index("b answered")
    assert "d failed" not in words


def test_where_all_fail_the_default_stays(live: LiveFeeder) -> None:
    for policies in ([], [Told(WRONG["raises"])], [Told(_rest, prepare=_raises(OSError("no weights")))]):
        decision = Decider(live, policies, 5.0).decide(STEP, HALF)
        assert decision.source == "default"
        np.testing.assert_allclose(decision.setpoint[0, :2], 0.0, atol=1e-9)
        assert "nobody is left to ask" in decision.reasons[0]
        assert len(decision.planned) == PLANNED_STEPS


def test_a_policy_that_hangs_is_late_and_left_alone_until_it_is_back(live: LiveFeeder) -> None:
    back, asked = threading.Event(), []

    def slow(step: int, _: Floats) -> Floats:
        asked.append(step)
        back.wait(20.0)
        return np.ones((2, 3))

    slow_one = Told(slow, "slow")
    decider = Decider(live, [slow_one, Told(_rest, "second")], 0.2)
    decider.decide(STEP, HALF)  # compiles
    began = time.monotonic()
    decision = decider.decide(STEP + 1, HALF)
    assert time.monotonic() - began < 5.0
    assert (decision.source, asked) == ("second", [STEP])
    assert "slow is still thinking" in decision.reasons[0]
    back.set()
    end = time.monotonic() + 10.0
    while decision.source != "slow" and time.monotonic() < end:
        decision = decider.decide(STEP + 2, HALF)
    assert decision.source == "slow"
    assert slow_one.prepared[-1] == STEP + 2, "it missed steps: it is prepared anew"


def test_a_policy_is_prepared_once_while_it_keeps_up(live: LiveFeeder) -> None:
    policy = Told(_rest)
    decider = Decider(live, [policy], 5.0)
    for step in (STEP, STEP + 1, STEP + 2, STEP + 9):
        decider.decide(step, HALF)
    assert policy.prepared == [STEP, STEP + 9]


def test_a_policy_cannot_change_the_charge_that_others_see(live: LiveFeeder) -> None:
    def spoil(_: int, soc: Floats) -> Floats:
        soc[:] = np.nan
        raise ValueError

    soc = HALF.copy()
    Decider(live, [Told(spoil), Told(_rest)], 5.0).decide(STEP, soc)
    np.testing.assert_array_equal(soc, HALF)


def _broken(live: LiveFeeder, step: int, soc: Floats, asked: Floats) -> bool:
    _, transition = simulate.step(State(np.array([step]), soc[None]), asked[None], live.case.params)
    return bool(live.limits.broken(transition.vm_pu, transition.loading_percent)[0])


@pytest.mark.parametrize("asked_kw", [1e9, -1e9])
@pytest.mark.parametrize("soc", [0.0, 0.5, 1.0])
def test_the_check_limits_a_policy_that_asks_for_everything(tight: LiveFeeder, asked_kw: float, soc: float) -> None:
    charge, fleet = np.full(2, soc), tight.case.fleet
    asked = np.array([[asked_kw] * 3, [0.0] * 3])
    decider = Decider(tight, [Told(_says(asked))], 5.0)
    cut = 0
    for step in range(STEP, STEP + 96, 12):
        decision = decider.decide(step, charge)
        issued = decision.setpoint
        assert decision.source == "told"
        assert np.isfinite(issued).all()
        assert (np.hypot(issued[0], issued[1])[:2] <= fleet.s_kva[:2] + 1e-6).all()
        after, _ = simulate.step(State(np.array([step]), charge[None]), issued[None], tight.case.params)
        assert ((after.soc >= -1e-9) & (after.soc <= 1 + 1e-9)).all()
        idle = np.zeros((2, 3))
        assert not _broken(tight, step, charge, issued) or _broken(tight, step, charge, idle)
        cut += _broken(tight, step, charge, asked)
        assert all("the device and the network allow" in reason for reason in decision.reasons[:2])
    assert cut or soc == (0.0 if asked_kw > 0 else 1.0), "the feeder is so tight that the network binds"


def test_a_battery_that_is_asked_for_infinity_gets_a_number(live: LiveFeeder) -> None:
    endless = np.array([[np.inf] * 3, [0.0] * 3])
    assert np.isfinite(Decider(live, [Told(_says(endless))], 5.0).decide(STEP, HALF).setpoint).all()


def test_plans_are_finite_and_as_many_as_promised(live: LiveFeeder) -> None:
    decision = Decider(live, [Told(_rest)], 5.0).decide(STEP, HALF)
    assert len(decision.planned) == PLANNED_STEPS
    assert all(each.shape == (2, 3) and np.isfinite(each).all() for each in decision.planned)


def test_a_plant_that_gives_all_its_sun_is_not_held_to_what_is_expected(live: LiveFeeder) -> None:
    free = np.array([[0.0, 0.0, np.inf], [0.0] * 3])
    noon = STEP + int(np.argmax(live.case.params.pv_p_kw[STEP : STEP + 96, 0]))
    decision = Decider(live, [Told(_says(free))], 5.0).decide(noon, HALF)
    assert decision.setpoint[0, 2] == live.case.fleet.s_kva[2]


def test_the_default_is_safe_when_the_sun_gives_most(live: LiveFeeder) -> None:
    params, asked = live.case.params, live.default_kw()
    hardest = np.argsort(params.pv_p_kw.sum(axis=1) + params.load_p_kw.sum(axis=1))[-200:]
    batch = np.repeat(asked[None], len(hardest), axis=0)
    _, transition = simulate.step(State(hardest.astype(np.int64), np.full((len(hardest), 2), 0.5)), batch, params)
    assert not live.limits.broken(transition.vm_pu, transition.loading_percent).any()
    assert 0.0 <= live.safe_pv_share <= 1.0


def test_the_series_are_moved_by_whole_weeks_so_that_the_present_lies_in_them(live: LiveFeeder) -> None:
    case = live.case
    for now in (NOON, NOON + PERIOD - timedelta(seconds=1), NOON + 3 * PERIOD + timedelta(days=100), NOON - 9 * PERIOD):
        moved = LiveFeeder.at(case, now).case.clock
        assert moved.start <= now < moved.start + PERIOD
        assert (moved.start - case.clock.start) % timedelta(weeks=52) == timedelta(0)
        quarter = int(now.timestamp() // 900)
        assert LiveFeeder.at(case, now).holds(quarter)


def _cut(case: Case, steps: int) -> Case:
    """The case with fewer steps of series."""
    series = case.series
    names = ("load_p_kw", "load_q_kvar", "pv_p_kw", "price_eur_per_mwh", "carbon_g_per_kwh")
    short = {name: getattr(series, name)[:steps] for name in names}
    return replace(case, series=replace(series, clock=replace(series.clock, steps=steps), **short))


def test_too_short_series_are_refused_in_words_and_others_decide_to_the_last_quarter_hour(live: LiveFeeder) -> None:
    least = int(PERIOD / timedelta(minutes=15))
    with pytest.raises(InputError, match="52 weeks"):
        LiveFeeder.at(_cut(live.case, least - 1), NOON)
    for steps in (least, least + AHEAD_STEPS - 1, least + AHEAD_STEPS):
        try:
            start = LiveFeeder.at(_cut(live.case, steps), NOON).case.clock.start
        except InputError:
            assert steps < least + AHEAD_STEPS
            continue
        last = start + PERIOD - timedelta(minutes=15)
        assert LiveFeeder.at(_cut(live.case, steps), last).holds(int(last.timestamp() // 900))
