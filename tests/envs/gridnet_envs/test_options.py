"""Options: unknown and impossible ones are refused, all at once."""

from __future__ import annotations

import pytest

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet_envs.core import Core, action_width
from gridnet_envs.dispatch_env import DispatchEnv
from gridnet_envs.options import Options, parse_options
from gridnet_envs.vector import DispatchVectorEnv


def test_every_bad_option_is_named() -> None:
    with pytest.raises(InputError) as refused:
        parse_options({"days": 8, "weeks": "test", "curtail": True, "action": "price"})
    assert {fault.where for fault in refused.value.faults} == {"days", "weeks", "curtail", "action"}


@pytest.mark.parametrize("days", [0, -1, 8, 1.5, "long"])
def test_an_episode_lasts_one_to_seven_days(days: object) -> None:
    with pytest.raises(InputError):
        parse_options({"days": days})


@pytest.mark.parametrize("make", [DispatchEnv, DispatchVectorEnv])
def test_the_environments_refuse_an_unknown_option(make: type[DispatchEnv] | type[DispatchVectorEnv]) -> None:
    with pytest.raises(InputError, match="shields"):
        make(scenario="rural1", shields=True)


def test_options_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Options().days = 2


@pytest.mark.parametrize(
    ("given", "width"),
    [
        ({}, 5),
        ({"curtailment": True}, 5 + 8),
        ({"reactive": True}, 5 + 13),
        ({"curtailment": True, "reactive": True}, 5 + 8 + 13),
        ({"action": "value"}, 6),
        ({"action": "value", "reactive": True}, 6),
    ],
)
def test_each_option_adds_its_own_numbers_to_the_action(given: dict[str, object], width: int) -> None:
    case, options = load_case("rural1"), parse_options(given)
    assert (case.fleet.batteries, case.fleet.devices) == (5, 13)
    assert action_width(case, options) == Core(case, options, 1).actions == width


def test_the_value_of_energy_decides_on_curtailment_itself() -> None:
    with pytest.raises(InputError, match="curtailment goes with action='setpoints'"):
        parse_options({"action": "value", "curtailment": True})
    assert parse_options({"action": "value", "reactive": True}).reactive
