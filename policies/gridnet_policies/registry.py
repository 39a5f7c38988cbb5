"""The policies by name, as the command line knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gridnet.errors import InputError
from gridnet_policies.lp import PerfectForesightLp
from gridnet_policies.mpc import Mpc
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy
from gridnet_policies.rl.policy import shipped, shipped_seeds
from gridnet_policies.rule import Rule

_MAKERS: dict[str, Callable[[int], Sequence[Policy]]] = {
    "no_battery": lambda seeds: [NoBattery()],
    "rule": lambda seeds: [Rule()],
    "mpc": lambda seeds: [Mpc()],
    "rl": shipped,
    "lp": lambda seeds: [PerfectForesightLp()],
}

LEARNED = "rl"
"""The policy that ships from several training seeds."""

POLICIES = tuple(_MAKERS)
"""Every policy's name, in the order that a table shows them."""


__all__ = ["LEARNED", "POLICIES", "make_policies", "shipped_seeds"]


def make_policies(name: str, seeds: int) -> Sequence[Policy]:
    """The policy called `name`: one instance, or one per training seed (at most `seeds`) where it was trained.

    Raises `InputError` for an unknown name.
    """
    if name not in _MAKERS:
        raise InputError(f"no policy named '{name}'; there are {', '.join(POLICIES)}")
    return _MAKERS[name](seeds)
