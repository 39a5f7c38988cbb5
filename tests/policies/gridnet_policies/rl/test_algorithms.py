"""Every algorithm's exported actor plays what its policy plays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridnet.case import load_case
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv
from gridnet_policies.rl.algorithms import CutFunction, actor_of, make_learner, mean_layers
from tests.policies.gridnet_policies.rl.small import QUICK


@pytest.mark.parametrize("algo", ["ppo", "a2c", "td3"])
@pytest.mark.parametrize("gain", [1.0, 40.0], ids=["inside", "past the ends"])
def test_the_exported_actor_plays_what_the_policy_plays(algo: str, gain: float) -> None:
    env = DispatchVecEnv([load_case("tiny")], Options(action="value", shield=True), 16)
    learner = make_learner(QUICK.model_copy(update={"algo": algo}), env)
    with torch.no_grad():
        mean_layers(learner)[1].weight.mul_(10.0 * gain)
    seen = env.reset()
    played = learner.predict(seen, deterministic=True)[0]
    if gain > 1.0 and algo == "td3":
        assert (np.abs(played) == 1.0).any()
    np.testing.assert_allclose(actor_of(learner).act(seen), played, atol=2e-5)


@pytest.mark.parametrize(
    ("named", "loss_falls_with", "moves"),
    [(0.5, 1.0, True), (2.0, 1.0, False), (2.0, -1.0, True), (-2.0, -1.0, False), (-2.0, 1.0, True)],
)
def test_past_an_end_only_the_way_back_is_learnt(named: float, loss_falls_with: float, moves: bool) -> None:
    action = torch.tensor([named], requires_grad=True)
    cut = CutFunction.apply(action)
    assert float(cut.detach()) == max(-1.0, min(1.0, named))
    (-loss_falls_with * cut).sum().backward()
    assert action.grad is not None
    assert float(action.grad) == (-loss_falls_with if moves else 0.0)
