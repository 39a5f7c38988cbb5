"""One feeder as a Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet.scenario import Scenario
from gridnet_envs.core import Core
from gridnet_envs.options import Options, parse_options
from gridnet_envs.reward import TERMS
from gridnet_envs.slots import BOUND

Float32s = NDArray[np.float32]


class DispatchEnv(gymnasium.Env[Float32s, Float32s]):
    """Dispatch the batteries of one distribution feeder, with AC power flow in every step.

    ## Action space
    `Box(-1, 1, (actions,))`. With `action="setpoints"` one number per battery (share of its rated power, positive
    discharges into the grid); with `curtailment=True` one more per PV plant (-1 off, 1 its full rating); with
    `reactive=True` one more per device (share of its apparent rating). With `action="value"` six numbers for the whole feeder:
    how much sunnier the day will be than forecast, at five states of charge, and how much higher prices that are not
    published. They move what stored energy is worth, which the batteries answer by one rule (`gridnet_envs.actions`).

    ## Observation space
    `Box(-4, 4, (width,))`, the slots of `gridnet_envs.slots`: the calendar, the feeder's surplus now and its forecast by the
    hour, spot prices as far as they are published (daily at 12:00 for the next day), state of charge; with
    `action="setpoints"` also each device and the last power flow. `env.unwrapped.slots` lists them with index and unit.

    ## Reward
    EUR per step: the sum of `info["terms"]` - energy_eur (sales less purchases at the connection point), wear_eur,
    carbon_eur, voltage_eur and loading_eur (penalties for broken limits), collapse_eur. With
    `against_idle=True` less what the step would have given with every device at rest.

    ## Start
    A local midnight of a week of the split (`weeks`, training by default), batteries at the scenario's starting charge
    (or random with `random_soc=True`). `reset(options={"step": k, "soc": s})` starts at a given step and charge.

    ## End
    Truncated after `days` days (1 to 7). Terminated only where the power flow has no solution.

    ## Info
    `terms` (name to EUR), `step` (index into the series), `asked` and `done` (2, devices) in kW and kvar, `vm_pu`
    (buses,), `loading_percent` (lines then transformers), `slack_p_kw`, `loss_kw`.

    ## Arguments
    `scenario`: a shipped name, a path to a TOML file, or a `Scenario`; every field of `gridnet_envs.options.Options`.

    ## Version history
    v0: first version.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (Gymnasium declares it as an instance variable)

    def __init__(self, scenario: str | Path | Scenario = "rural1", render_mode: None = None, **options: Any) -> None:
        if render_mode is not None:
            raise InputError(f"render mode {render_mode!r} does not exist; this environment draws nothing")
        self.core = Core(load_case(scenario), parse_options(options), batch=1)
        self.slots = self.core.slots
        self.render_mode = None
        self.observation_space = spaces.Box(-BOUND, BOUND, (self.core.observation.shape[1],), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (self.core.actions,), np.float32)

    @property
    def options(self) -> Options:
        """The options in force."""
        return self.core.options

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Float32s, dict[str, Any]]:
        """Starts an episode; see the class."""
        super().reset(seed=seed)
        given = dict(options or {})
        start, soc = given.pop("step", None), given.pop("soc", None)
        if given:
            raise InputError(f"reset does not know the options {', '.join(sorted(given))}; it takes step and soc")
        core = self.core
        if start is None:
            core.reset(np.zeros(1, dtype=np.int64), self.np_random)
            start = core.step_index[0]
        elif soc is None:
            soc = core.case.scenario.battery.soc_start
        if soc is not None:
            core.reset_at(0, int(start), float(soc))
        return self.core.observation[0].copy(), {"step": int(self.core.step_index[0])}

    def step(self, action: Float32s) -> tuple[Float32s, float, bool, bool, dict[str, Any]]:
        """One step of 15 minutes; see the class."""
        core = self.core
        terminated, truncated = core.step(np.asarray(action).reshape(1, -1))
        buses = core.case.params.buses
        info = {
            "terms": dict(zip(TERMS, core.terms[0].tolist(), strict=True)),
            "step": int(core.step_index[0]),
            "asked": core.asked[0].copy(),
            "done": core.done[0].copy(),
            "vm_pu": core.flow[0, :buses].copy(),
            "loading_percent": core.flow[0, buses:-4].copy(),
            "slack_p_kw": float(core.flow[0, -3]),
            "loss_kw": float(core.flow[0, -4]),
        }
        return core.observation[0].copy(), float(core.reward[0]), bool(terminated[0]), bool(truncated[0]), info
