"""A stored actor: the same numbers as the network it came from, and no folder that is not what its card says."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet_envs.actions import BELIEFS
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv
from gridnet_envs.slots import BOUND, SERIES_SLOTS, STATE_SLOTS, VALUE_SLOTS
from gridnet_policies.rl.actor import CARD, WEIGHTS, Actor, load_actor, save_actor
from gridnet_policies.rl.algorithms import actor_of

SLOTS = SERIES_SLOTS + STATE_SLOTS + VALUE_SLOTS
WIDTH = sum(slot.width for slot in SLOTS)


def _actor(seed: int = 0, widths: tuple[int, ...] = (WIDTH, 16, 8, BELIEFS)) -> Actor:
    rng = np.random.default_rng(seed)
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    return Actor(
        tuple(rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes),
        tuple(rng.normal(0, 0.3, outputs).astype(np.float32) for outputs, _ in shapes),
    )


def _views(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-BOUND, BOUND, (count, WIDTH)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_actor(tmp_path / "seed0", _actor(), SLOTS, {"recipe": {"steps": 1}, "validation_eur": 2.5})
    return tmp_path / "seed0"


@pytest.fixture(scope="module")
def ppo() -> PPO:
    env = DispatchVecEnv([load_case("tiny")], Options(action="value"), 4)
    shape = {"net_arch": [64, 32], "activation_fn": torch.nn.SiLU}
    return PPO("MlpPolicy", env, n_steps=8, batch_size=32, policy_kwargs=shape, seed=5, device="cpu")


def _scaled(ppo: PPO, factor: float) -> PPO:
    """The last layer `factor` times its first size: 1 stays inside the action's bounds, 1000 mostly leaves them."""
    with torch.no_grad():
        weight = ppo.policy.action_net.weight
        weight.mul_(factor * 0.01 / weight.abs().mean())
    return ppo


@pytest.mark.parametrize("factor", [1.0, 10.0, 1000.0])
def test_it_acts_as_the_network_it_was_taken_from(ppo: PPO, factor: float) -> None:
    views = _views(500)
    wanted, _ = _scaled(ppo, factor).predict(views, deterministic=True)
    got = actor_of(ppo).act(views)
    np.testing.assert_allclose(got, wanted, atol=1e-6 * factor)  # float32 rounds in proportion to the last layer
    bounded = np.abs(wanted) == 1.0
    assert bounded.mean() > 0.5 if factor == 1000.0 else bounded.mean() < 0.5
    assert np.ptp(wanted) > 1e-3, "the network says the same to everything"


def test_a_batch_is_its_rows(ppo: PPO) -> None:
    actor, views = actor_of(_scaled(ppo, 1.0)), _views(20)
    rows = np.stack([actor.act(view) for view in views])
    np.testing.assert_allclose(actor.act(views), rows, atol=1e-6)


def test_an_actor_does_not_follow_the_network_it_was_taken_from(ppo: PPO) -> None:
    actor = actor_of(ppo)
    before = actor.digest()
    _scaled(ppo, 3.0)
    assert actor.digest() == before
    assert actor_of(ppo).digest() != before


def test_a_mean_beyond_the_bounds_is_cut() -> None:
    actor = Actor((np.full((1, 2), 50.0, np.float32),), (np.zeros(1, np.float32),))
    assert actor.act(np.array([[1, 1], [-1, -1]], np.float32)).tolist() == [[1.0], [-1.0]]


def test_a_saturated_unit_is_silent() -> None:
    actor = Actor((np.full((1, 1), 100.0, np.float32), np.ones((1, 1), np.float32)), (np.zeros(1, np.float32),) * 2)
    assert actor.act(np.array([-2.0], np.float32)).tolist() == [0.0]


def test_what_was_saved_is_loaded(folder: Path) -> None:
    loaded = load_actor(folder, SLOTS, BELIEFS)
    assert loaded.digest() == _actor().digest()
    np.testing.assert_array_equal(loaded.act(_views(5)), _actor().act(_views(5)))


def test_the_card_tells_the_recipe_and_the_observation(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    assert card["recipe"] == {"steps": 1}
    assert card["validation_eur"] == 2.5
    assert [slot["name"] for slot in card["observation"]] == [slot.name for slot in SLOTS]
    assert len(card["sha256"]) == 64


def test_the_digest_depends_on_every_number_and_on_the_shapes() -> None:
    actor = _actor()
    for part in range(3):
        weights = tuple(array.copy() for array in actor.weights)
        weights[part].flat[-1] = np.nextafter(weights[part].flat[-1], np.float32(9))
        assert Actor(weights, actor.biases).digest() != actor.digest()
    flat = Actor((np.ones((1, 4), np.float32),), (np.ones(1, np.float32),))
    tall = Actor((np.ones((2, 2), np.float32),), (np.ones(1, np.float32),))
    assert flat.digest() != tall.digest()


def _stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / WEIGHTS) as stored:
        return {name: stored[name] for name in stored.files}


def _change_one_weight(folder: Path) -> None:
    arrays = _stored(folder)
    arrays["weight_1"][3, 2] += np.float32(1e-6)
    np.savez(folder / WEIGHTS, **arrays)


def _swap_for_another_actor(folder: Path) -> None:
    other = folder.parent / "other"
    save_actor(other, _actor(seed=9), SLOTS, {})
    (other / WEIGHTS).replace(folder / WEIGHTS)


def _flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[300] ^= 0xFF
    (folder / WEIGHTS).write_bytes(bytes(content))


def _drop_a_layer(folder: Path) -> None:
    arrays = _stored(folder)
    del arrays["weight_2"], arrays["bias_2"]
    np.savez(folder / WEIGHTS, **arrays)


def _rename_a_layer(folder: Path) -> None:
    arrays = _stored(folder)
    arrays["weight_7"] = arrays.pop("weight_2")
    np.savez(folder / WEIGHTS, **arrays)


def _claim_another_digest(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    (folder / CARD).write_text(json.dumps({**card, "sha256": "0" * 64}), encoding="utf-8")


def _forget_the_digest(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    del card["sha256"]
    (folder / CARD).write_text(json.dumps(card), encoding="utf-8")


@pytest.mark.parametrize(
    "tamper",
    [
        _change_one_weight,
        _swap_for_another_actor,
        _flip_a_byte,
        _drop_a_layer,
        _rename_a_layer,
        _claim_another_digest,
        _forget_the_digest,
    ],
)
def test_weights_that_are_not_those_of_the_card_are_refused(tamper: Callable[[Path], None], folder: Path) -> None:
    tamper(folder)
    with pytest.raises(InputError, match=str(folder)):
        load_actor(folder, SLOTS, BELIEFS)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_says_how_to_get_one(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match="gridnet train"):
        load_actor(folder, SLOTS, BELIEFS)


def test_an_actor_is_refused_where_another_observation_is_seen(folder: Path) -> None:
    others = [
        SLOTS[1:],
        SLOTS[::-1],
        (replace(SLOTS[0], scale=2.0), *SLOTS[1:]),
        (replace(SLOTS[0], unit="h"), *SLOTS[1:]),
        (replace(SLOTS[0], width=3), *SLOTS[1:]),
    ]
    for slots in others:
        with pytest.raises(InputError, match="another observation"):
            load_actor(folder, slots, BELIEFS)


def test_another_wording_of_a_slots_meaning_is_no_other_observation(folder: Path) -> None:
    assert load_actor(folder, (replace(SLOTS[0], meaning="in other words"), *SLOTS[1:]), BELIEFS).digest() == _actor().digest()


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, crater: Path) -> None:
        self._crater = crater

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._crater,)


def _pickled_array(bomb: Bomb) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, weight_0=np.array([bomb], dtype=object), bias_0=np.zeros(1, np.float32))
    return stream.getvalue()


@pytest.mark.parametrize("make", [_pickled_array, pickle.dumps], ids=["object array", "bare pickle"])
def test_code_hidden_in_weights_is_never_run(make: Callable[[Bomb], bytes], folder: Path, tmp_path: Path) -> None:
    crater = tmp_path / "crater"
    (folder / WEIGHTS).write_bytes(make(Bomb(crater)))
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)
    assert not crater.exists()


def test_the_bomb_would_go_off_where_pickles_are_trusted(tmp_path: Path) -> None:
    crater = tmp_path / "crater"
    pickle.loads(pickle.dumps(Bomb(crater)))
    assert crater.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"hello"], ids=["empty", "cut", "bytes", "text"])
def test_a_card_that_is_no_json_is_refused(content: bytes, folder: Path) -> None:
    (folder / CARD).write_bytes(content)
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_a_card_that_is_no_table_is_refused(content: str, folder: Path) -> None:
    (folder / CARD).write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)


def test_empty_weights_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)


def test_weights_that_are_a_single_array_are_refused(folder: Path) -> None:
    with (folder / WEIGHTS).open("wb") as stream:
        np.save(stream, np.zeros(3, np.float32))
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)


def _with_its_own_card(folder: Path, actor: Actor) -> Path:
    save_actor(folder, actor, SLOTS, {})
    return folder


@pytest.mark.parametrize(
    "widths",
    [(WIDTH - 1, 8, BELIEFS), (WIDTH, 8, BELIEFS + 1), (WIDTH, 8, 1), ()],
    ids=["narrow", "one more", "one action", "no layers"],
)
def test_layers_that_do_not_fit_observation_and_action_are_refused(widths: tuple[int, ...], tmp_path: Path) -> None:
    folder = _with_its_own_card(tmp_path / "odd", _actor(widths=widths))
    with pytest.raises(InputError):
        load_actor(folder, SLOTS, BELIEFS)
