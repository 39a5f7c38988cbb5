"""A policy at work: step by step through the shield and the one transition. The benchmark and the pipeline both play this way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.case import Case
from gridnet.errors import PowerFlowDiverged
from gridnet.limits import make_limits
from gridnet.simulate import Params, State, Transition
from gridnet_envs.shield import protect
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy

Floats = NDArray[np.float64]

Shield = Callable[[State, Floats], Floats]
"""At a state, the setpoints (1, 2, devices) nearest to those given that devices can do and the network can carry."""
Steer = Callable[[State, Floats, Shield], Floats]
"""At a state, what is issued in the place of a policy's setpoints, both (1, 2, devices) and behind the shield."""


@dataclass(frozen=True)
class Played:
    """One step: what was done and what flowed (a batch of one), the state after it, how long the policy thought."""

    step: int
    transition: Transition
    after: State
    thinking_s: float
    """The first step's holds the preparation too."""


def play(case: Case, policy: Policy, start: int, steps: int, steer: Steer | None = None) -> Iterator[Played]:
    """Plays `policy` over steps `[start, start + steps)`, from the scenario's starting charge; `steer` may change what is issued.

    Raises `PowerFlowDiverged` where a step has no AC solution.
    """
    limits = make_limits(case.scenario, case.feeder)
    state, params = case.start(start), played(policy, case.params)
    shield = partial(protect, params=params, limits=limits)
    began = time.perf_counter()
    policy.prepare(case, start, steps)
    for step in range(start, start + steps):
        asked = policy.decide(step, state.soc[0])
        thinking_s = time.perf_counter() - began
        issued = shield(state, asked[None])
        if steer is not None:
            issued = steer(state, issued, shield)
        state, transition = simulate.step(state, issued, params)
        if not transition.converged[0]:
            raise PowerFlowDiverged(
                f"policy {policy.name} leaves step {step} of {case.scenario.name} without an AC solution", step=step
            )
        yield Played(step, transition, state, thinking_s)
        began = time.perf_counter()


def played(policy: Policy, params: Params) -> Params:
    """What a policy plays with: the reference has no batteries, so that the shield can't move them either."""
    return params._replace(fleet=params.fleet.without_batteries()) if isinstance(policy, NoBattery) else params
