"""The trained policy at work, and the ones that ship."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import InputError
from gridnet.resources import trained_dir
from gridnet_envs.slots import SERIES_SLOTS, STATE_SLOTS
from gridnet_policies.rl.actor import Actor, load_actor, save_actor
from gridnet_policies.rl.policy import Learned
from gridnet_policies.rl.recipe import Recipe

SLOTS = SERIES_SLOTS + STATE_SLOTS
WIDTH = sum(slot.width for slot in SLOTS)


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


def _one_price(folder: Path, action: float) -> Learned:
    """A policy that names the same price whatever it sees: 1 the highest, -1 the lowest."""
    actor = Actor((np.zeros((1, WIDTH), np.float32),), (np.full(1, action, np.float32),))
    save_actor(folder, actor, SLOTS, {})
    return Learned(folder)


@pytest.mark.parametrize(("action", "p_kw"), [(1.0, -10.0), (0.25, 0.0), (-0.5, 4.0), (-1.0, 10.0)])
def test_the_price_it_names_decides_between_buying_resting_covering_the_load_and_selling(
    action: float, p_kw: float, tiny: Case, tmp_path: Path
) -> None:
    # At 05:00 a kWh is bought at 0.15 and sold at 0.05, and the mean spot price of the next day is 0.083: -1 names 0.033,
    # -0.5 0.083, 0.25 0.158 (times 0.9 when it is stored, so no reason to buy), 1 names 0.233 EUR/kWh.
    policy = _one_price(tmp_path, action)
    policy.prepare(tiny, 0, 96)
    asked = policy.decide(20, np.array([0.5]))
    assert asked.shape == (2, 2)
    assert asked[0, 0] == pytest.approx(p_kw)
    assert asked[0, 1] == np.inf
    assert (asked[1] == 0).all()


def test_the_charge_it_is_told_is_the_charge_it_acts_on(tiny: Case, tmp_path: Path) -> None:
    policy = _one_price(tmp_path, 1.0)
    policy.prepare(tiny, 0, 96)
    assert policy.decide(20, np.array([1.0]))[0, 0] == pytest.approx(0.0)
    assert policy.decide(20, np.array([0.0]))[0, 0] == pytest.approx(-10.0)


def test_setpoints_handed_out_do_not_change_later(tiny: Case, tmp_path: Path) -> None:
    policy = _one_price(tmp_path, 1.0)
    policy.prepare(tiny, 0, 96)
    first = policy.decide(20, np.array([0.0]))
    kept = first.copy()
    policy.decide(21, np.array([1.0]))
    np.testing.assert_array_equal(first, kept)


def test_one_policy_serves_several_feeders_in_turn(tiny: Case, tmp_path: Path) -> None:
    policy, rural1 = _one_price(tmp_path, 1.0), load_case("rural1")
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
    curious = Actor((rng.normal(0, 0.5, (1, WIDTH)).astype(np.float32),), (np.zeros(1, np.float32),))
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
    return sorted((trained_dir() / "value_ppo").glob("seed*"))


def test_three_seeds_ship_each_with_its_own_weights_and_recipe() -> None:
    folders = _shipped_folders()
    assert len(folders) >= 3
    digests, recipes = set(), []
    for folder in folders:
        digests.add(load_actor(folder, SLOTS).digest())
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        recipes.append(Recipe.model_validate(card["recipe"]))
        assert card["validation_eur"] > 0
        assert (folder / "curve.csv").is_file()
    assert len(digests) == len(folders)
    assert len({recipe.seed for recipe in recipes}) == len(folders)
    assert len({recipe.model_copy(update={"seed": 0}) for recipe in recipes}) == 1, "they differ in the seed alone"
