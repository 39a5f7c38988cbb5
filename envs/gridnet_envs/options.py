"""What an environment does, beside its scenario."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridnet.errors import Fault, InputError
from gridnet_envs.reward import Penalties


class Options(BaseModel):
    """Options of an environment; every adapter takes them as keyword arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(1, ge=1, le=7)
    """Length of an episode."""
    action: Literal["setpoints", "value"] = "setpoints"
    """One number per device, or what stored energy is worth to the whole feeder (`gridnet_envs.actions`)."""
    curtailment: bool = False
    """With `setpoints`: one more number per PV plant, the ceiling on its power."""
    reactive: bool = False
    """With `setpoints`: one more number per device, its reactive power. With `value`: least losses."""
    shield: bool = False
    """Cut setpoints back before they break a network limit."""
    weeks: Literal["training", "validation", "held-out", "all"] = "training"
    """Which weeks episodes are drawn from."""
    random_soc: bool = False
    """Start episodes at a random state of charge instead of the scenario's."""
    against_idle: bool = False
    """Add to the reward what the step would have cost with every device at rest, so that it reads as a saving."""
    penalties: Penalties = Penalties()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.action == "value" and self.curtailment:
            raise ValueError("curtailment goes with action='setpoints'; with 'value' the price says it all")
        if min(self.penalties) < 0:
            raise ValueError("penalties of at least 0")
        return self


def parse_options(given: dict[str, Any]) -> Options:
    """Options from keyword arguments. Raises `InputError` listing every unknown or impossible one."""
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        faults = [Fault(".".join(str(part) for part in item["loc"]), repr(item["input"]), item["msg"]) for item in error.errors()]
        raise InputError("environment options can't be used:", faults) from error
