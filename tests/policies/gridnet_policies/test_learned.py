"""The trained policy at work, and the ones that ship."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridnet import simulate
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import InputError
from gridnet.resources import trained_dir
from gridnet_envs.actions import BELIEFS
from gridnet_envs.slots import SERIES_SLOTS, STATE_SLOTS, VALUE_SLOTS
from gridnet_policies.rl.actor import Actor, load_actor, save_actor
from gridnet_policies.rl.policy import Learned
from gridnet_policies.rl.recipe import Recipe

SLOTS = SERIES_SLOTS + STATE_SLOTS + VALUE_SLOTS
WIDTH = sum(slot.width for slot in SLOTS)


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


def _one_belief(folder: Path, action: float) -> Learned:
    """A policy that believes the same whatever it sees: 1 the most sun and the highest prices, -1 the least."""
    actor = Actor((np.zeros((BELIEFS, WIDTH), np.float32),), (np.full(BELIEFS, action, np.float32),))
    save_actor(folder, actor, SLOTS, {})
    return Learned(folder)


@pytest.mark.parametrize(
    ("hour", "action", "p_kw"), [(5, 1.0, 4.0), (5, -1.0, 0.0), (11, 1.0, 10.0), (11, -0.6, -6.0), (19, 1.0, 4.0), (19, -1.0, 4.0)]
)
def test_the_sun_it_believes_in_decides_what_the_batteries_do(
    hour: int, action: float, p_kw: float, tiny: Case, tmp_path: Path
) -> None:
    # A kWh is bought at 0.15 and sold at 0.05. At 05:00 it is worth 0.15, for it covers load until noon, and less than that the
    # more sun is on its way: cover the load at once, or rest. At 11:00 it is worth 0.05 / 0.9, what storing surplus costs, and
    # nothing where the sun will fill the battery anyhow: sell, or store the 6 kW of surplus. In the evening, when load costs
    # 0.35, no sun matters.
    policy = _one_belief(tmp_path, action)
    policy.prepare(tiny, 0, 96)
    asked = policy.decide(8 * 96 + 4 * hour, np.array([0.5]))
    assert asked.shape == (2, 2)
    assert asked[0, 0] == pytest.approx(p_kw, abs=0.02)
    assert asked[0, 1] == np.inf


def test_its_inverters_give_the_reactive_power_that_leaves_the_least_losses(tiny: Case, tmp_path: Path) -> None:
    policy = _one_belief(tmp_path, 0.0)
    policy.prepare(tiny, 0, 96)
    soc = np.array([0.5])
    asked = policy.decide(20, soc)
    without = asked.copy()
    without[1] = 0.0
    state = simulate.State(np.full(2, 20), np.tile(soc, (2, 1)))
    _, moved = simulate.step(state, np.stack([asked, without]), tiny.params)
    np.testing.assert_allclose(moved.done[0, 1], asked[1])
    assert np.abs(asked[1]).max() > 0
    assert moved.loss_kw[0] < moved.loss_kw[1]


def test_within_a_step_it_answers_each_finer_step_to_what_it_named_at_the_first(tmp_path: Path) -> None:
    rural1 = load_case("rural1")
    rng = np.random.default_rng(3)
    curious = Actor((rng.normal(0, 0.5, (BELIEFS, WIDTH)).astype(np.float32),), (np.zeros(BELIEFS, np.float32),))
    save_actor(tmp_path, curious, SLOTS, {})
    policy = Learned(tmp_path)
    policy.prepare(rural1, 0, 96)
    first, later = np.full(5, 0.6), np.full(5, 0.4)
    whole = policy.decide(3000, first)
    np.testing.assert_array_equal(policy.decide_within(3000, first, rural1.params, 3000), whole)
    # Another step's load and sun: the same worth, answered anew; a charge that has moved on does not change what was named.
    at_noon = policy.decide_within(3000, later, rural1.params, 3024)
    policy.prepare(rural1, 0, 96)
    policy.decide_within(3000, first, rural1.params, 3000)
    np.testing.assert_array_equal(policy.decide_within(3000, later, rural1.params, 3024), at_noon)
    assert not np.array_equal(at_noon, whole)


def test_the_charge_it_is_told_is_the_charge_it_acts_on(tiny: Case, tmp_path: Path) -> None:
    policy = _one_belief(tmp_path, -0.6)
    policy.prepare(tiny, 0, 96)
    late_morning = 8 * 96 + 44
    assert policy.decide(late_morning, np.array([1.0]))[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert policy.decide(late_morning, np.array([0.0]))[0, 0] == pytest.approx(-10.0)


def test_setpoints_handed_out_do_not_change_later(tiny: Case, tmp_path: Path) -> None:
    policy = _one_belief(tmp_path, 1.0)
    policy.prepare(tiny, 0, 96)
    first = policy.decide(20, np.array([0.0]))
    kept = first.copy()
    policy.decide(21, np.array([1.0]))
    np.testing.assert_array_equal(first, kept)


def test_one_policy_serves_several_feeders_in_turn(tiny: Case, tmp_path: Path) -> None:
    policy, rural1 = _one_belief(tmp_path, 1.0), load_case("rural1")
    for case in (tiny, rural1, tiny):
        policy.prepare(case, 0, 96)
        assert policy.decide(20, np.full(case.fleet.batteries, 0.5)).shape == (2, case.fleet.devices)


def test_it_does_not_look_beyond_published_prices_and_its_forecasts(tiny: Case, tmp_path: Path) -> None:
    """A change of the series that begins three days later changes no decision now."""
    later = 4 * STEPS_PER_WEEK + 3 * 96
    price, load = tiny.series.price_eur_per_mwh.copy(), tiny.series.load_p_kw.copy()
    price[later:] *= -2.0
    load[later:] *= 0.5  # not more: the peak load stands for the rating of a feeder without transformer
    series = replace(tiny.series, price_eur_per_mwh=price, load_p_kw=load)
    other = replace(tiny, series=series, params=tiny.params._replace(load_p_kw=load))
    rng = np.random.default_rng(3)
    curious = Actor((rng.normal(0, 0.5, (BELIEFS, WIDTH)).astype(np.float32),), (np.zeros(BELIEFS, np.float32),))
    save_actor(tmp_path, curious, SLOTS, {})
    policy, twin = Learned(tmp_path), Learned(tmp_path)
    policy.prepare(tiny, 4 * STEPS_PER_WEEK, STEPS_PER_WEEK)
    twin.prepare(other, 4 * STEPS_PER_WEEK, STEPS_PER_WEEK)
    for step in range(4 * STEPS_PER_WEEK, later - 96, 3):
        soc = np.array([0.4])
        np.testing.assert_array_equal(policy.decide(step, soc), twin.decide(step, soc))
    asked = [policy.decide(later + hour * 4, np.array([0.4])) for hour in range(24)]
    assert not np.array_equal(asked, [twin.decide(later + hour * 4, np.array([0.4])) for hour in range(24)])


def test_a_folder_without_a_policy_is_told_when_it_is_first_needed(tiny: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gridnet train"):
        Learned(tmp_path / "absent").prepare(tiny, 0, 96)


def _shipped_folders() -> list[Path]:
    return sorted((trained_dir() / "belief_ppo").glob("seed*"))


def test_three_seeds_ship_each_with_its_own_weights_and_recipe() -> None:
    folders = _shipped_folders()
    assert len(folders) >= 3
    digests, recipes = set(), []
    for folder in folders:
        digests.add(load_actor(folder, SLOTS, BELIEFS).digest())
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        recipes.append(Recipe.model_validate(card["recipe"]))
        assert card["validation_eur"] > 0
        assert (folder / "curve.csv").is_file()
    assert len(digests) == len(folders)
    assert len({recipe.seed for recipe in recipes}) == len(folders)
    assert len({recipe.model_copy(update={"seed": 0}) for recipe in recipes}) == 1, "they differ in the seed alone"
