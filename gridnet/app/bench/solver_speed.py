"""How fast the planners decide, and how much memory it takes: each case in a process of its own, on one thread."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from gridnet import simulate
from gridnet.app.bench.solver_cases import CASES, SUNNY_DAY
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.limits import make_limits
from gridnet_envs.shield import protect
from gridnet_policies.lp import make_task
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.mpc import Mpc
from gridnet_policies.rl.policy import shipped


class Measured(NamedTuple):
    """Seconds of each repetition, and the process's peak memory in MB."""

    seconds: list[float]
    memory_mb: float

    @property
    def median_s(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def longest_s(self) -> float:
        """The longest one."""
        return max(self.seconds)


def time_plan(name: str, days: int, readable: bool = False) -> Measured:
    """Times `make_plan` on a case from its sunny day on, building included; with the Pyomo engine where `readable`."""
    return _apart(_plan, name, days, readable)


def time_control(name: str, hours: int) -> Measured:
    """Times every decision of `mpc` but the first over the sunny day, with a horizon of `hours`; `name` is a case or a shipped
    scenario."""
    return _apart(_control, name, hours)


def time_learned(name: str) -> Measured:
    """Times every decision of `rl` but the first over the sunny day of a shipped scenario, the shield included."""
    return _apart(_learned, name)


def _apart(work: Callable[..., list[float]], *arguments: object) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., list[float]], *arguments: object) -> Measured:
    with threadpool_limits(1):
        seconds = work(*arguments)
    return Measured(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _case(name: str) -> Case:
    """The case with its kernels compiled."""
    case = load_case(CASES.get(name, name))
    make_plan(make_task(case, 0, 4))
    return case


def _plan(name: str, days: int, readable: bool) -> list[float]:
    case, seconds = _case(name), []
    for _ in range(3):
        began = time.perf_counter()
        task = make_task(case, SUNNY_DAY * STEPS_PER_DAY, days * STEPS_PER_DAY)
        if readable:
            # Imported here because Pyomo takes a second to load.
            from gridnet_policies.lp.pyomo_engine import PyomoEngine

            make_plan(task, PyomoEngine)
        else:
            make_plan(task)
        seconds.append(time.perf_counter() - began)
    return seconds


def _control(name: str, hours: int) -> list[float]:
    case, seconds = _case(name), []
    policy, state = Mpc(hours * STEPS_PER_DAY // 24), case.start(SUNNY_DAY * STEPS_PER_DAY)
    policy.prepare(case, int(state.step[0]), STEPS_PER_DAY)
    for _ in range(STEPS_PER_DAY):
        began = time.perf_counter()
        asked = policy.decide(int(state.step[0]), state.soc[0])
        seconds.append(time.perf_counter() - began)
        state, _ = simulate.step(state, asked[None], case.params)
    return seconds[1:]


def _learned(name: str) -> list[float]:
    case, seconds = load_case(name), []
    policy, limits, state = shipped(1)[0], make_limits(case.scenario, case.feeder), case.start(SUNNY_DAY * STEPS_PER_DAY)
    policy.prepare(case, int(state.step[0]), STEPS_PER_DAY)
    for _ in range(STEPS_PER_DAY):
        began = time.perf_counter()
        asked = protect(state, policy.decide(int(state.step[0]), state.soc[0])[None], case.params, limits)
        seconds.append(time.perf_counter() - began)
        state, _ = simulate.step(state, asked, case.params)
    return seconds[1:]
