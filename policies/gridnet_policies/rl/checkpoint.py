"""A learner in the middle of its run, on disk: weights, optimisers, environment, replay buffer, and every source of chance.

Read back, it goes on exactly as it would have gone on. A checkpoint holds tensors and plain values alone, and is read as
such: nothing in it is ever executed.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import TD3

from gridnet.errors import InputError
from gridnet_envs.sb3 import DispatchVecEnv
from gridnet_policies.rl.algorithms import Learner
from gridnet_policies.rl.run_folder import CHECKPOINT, write_whole

# Attributes by which stable-baselines3 knows where it stands; which of them there are depends on the algorithm.
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")
_LAST = ("_last_obs", "_last_episode_starts")


def save_checkpoint(out: Path, learner: Learner, facts: dict[str, Any]) -> None:
    """Writes the learner as it stands between two rollouts, and `facts` (tensors and plain values), into the folder `out`."""
    env = _env(learner)
    held = {
        "parameters": learner.get_parameters(),
        "counters": {name: getattr(learner, name) for name in _COUNTERS if hasattr(learner, name)},
        "last": {name: torch.from_numpy(getattr(learner, name)) for name in _LAST if getattr(learner, name, None) is not None},
        "arrays": [_tensors(each) for each in _stateful(learner)],
        "replay": _replay(learner),
        "torch": torch.get_rng_state(),
        "numpy": json.dumps(np.random.get_state(legacy=False), default=np.ndarray.tolist),  # noqa: NPY002  (SB3 draws from it)
        "env": json.dumps(env._rng.bit_generator.state),
        "facts": facts,
    }
    write_whole(out / CHECKPOINT, lambda beside: torch.save(held, beside))


def load_checkpoint(out: Path, learner: Learner) -> dict[str, Any] | None:
    """Brings a newly made learner to where it stood when the checkpoint in `out` was written, and gives the facts that were
    written with it; None where there is no checkpoint. Raises `InputError` where it is damaged."""
    path = out / CHECKPOINT
    try:
        held = torch.load(path, weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is damaged; delete it, and --resume begins the run anew") from error
    learner.set_parameters(held["parameters"], exact_match=True)
    for name, count in held["counters"].items():
        setattr(learner, name, count)
    for name, last in held["last"].items():
        setattr(learner, name, last.numpy())
    for each, arrays in zip(_stateful(learner), held["arrays"], strict=True):
        for name, array in arrays.items():
            getattr(each, name)[...] = array.numpy()
    if isinstance(learner, TD3):
        assert learner.replay_buffer is not None
        learner.replay_buffer.pos, learner.replay_buffer.full = held["replay"]
    torch.set_rng_state(held["torch"])
    np.random.set_state(json.loads(held["numpy"]))  # noqa: NPY002
    _env(learner)._rng.bit_generator.state = json.loads(held["env"])
    facts: dict[str, Any] = held["facts"]
    return facts


def _env(learner: Learner) -> DispatchVecEnv:
    env = learner.get_env()
    assert isinstance(env, DispatchVecEnv)
    return env


def _stateful(learner: Learner) -> list[object]:
    """Whatever carries arrays from one step to the next: the environment, its batches of feeders, the replay buffer."""
    env = _env(learner)
    buffer = getattr(learner, "replay_buffer", None)
    return [env, *env.cores, *([] if buffer is None else [buffer])]


def _tensors(holder: object) -> dict[str, torch.Tensor]:
    arrays = {name: value for name, value in vars(holder).items() if isinstance(value, np.ndarray)}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _replay(learner: Learner) -> tuple[int, bool] | None:
    """Where the replay buffer stands: its next place, and whether it is full; None without one."""
    buffer = getattr(learner, "replay_buffer", None)
    return None if buffer is None else (buffer.pos, buffer.full)
