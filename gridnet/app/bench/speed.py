"""`gridnet bench --speed`: medians on this machine, one thread, beside a reference measured in the same run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import gymnasium
import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.bench.figures import Figure, figure_table, median_s
from gridnet.app.bench.solver_speed import time_control, time_learned, time_plan
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.case import Case, load_case
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.network import reference_flow
from gridnet.scenario import NetworkSource, Scenario
from gridnet_envs.options import Options
from gridnet_envs.vector import DispatchVectorEnv

_MV_CODE = "1-MV-comm--0-sw"
_BATCH = 256

Floats = NDArray[np.float64]


def bench_speed(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and shows: progress goes to `say`, the table to standard output. Raises `InputError` before anything is run."""
    faults = file_faults("--json", arguments.json)
    if faults:
        raise InputError("the figures can't be written:", faults)
    figures = measure(say)
    write_json({"speed": [figure.as_json() for figure in figures]}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(figure_table(figures))


def measure(say: Callable[[str], None]) -> list[Figure]:
    """Measures everything; `say` is told what is being measured. Kernels are compiled before the clock starts."""
    figures: list[Figure] = []
    for what, part in (
        ("power flow", _power_flow),
        ("a year of steps", _years),
        ("environments", _environments),
        ("learning", _learning),
        ("optimiser", _optimiser),
        ("decisions", _decisions),
    ):
        say(f"measuring {what}")
        figures.extend(part())
    return figures


def _points(case: Case, count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    shape = (count, case.params.buses)
    return rng.uniform(-5.0, 5.0, shape), rng.uniform(-1.0, 1.0, shape)


def _power_flow() -> list[Figure]:
    case = load_case("semiurb4")
    p_kw, q_kvar = _points(case, 4096)
    # One call solves three points and builds the network once: the build is measured alone and taken off.
    build = median_s(lambda: reference_flow(case.scenario, p_kw[:0], q_kvar[:0]), 3)
    reference = (median_s(lambda: reference_flow(case.scenario, p_kw[:3], q_kvar[:3]), 3) - build) / 3
    single = median_s(lambda: case.power_flow.solve(p_kw[0], q_kvar[0]), 5000)
    batched = median_s(lambda: case.power_flow.solve(p_kw, q_kvar), 20) / len(p_kw)
    return [
        Figure("pandapower.runpp, 44 buses (reference)", reference * 1e6, "us"),
        Figure("power flow, one point, 44 buses", single * 1e6, "us", "<= 10", reference / single),
        Figure("power flow, batch of 4096, 44 buses", batched * 1e6, "us", "<= 4", reference / batched),
    ]


def _years() -> list[Figure]:
    mv = Scenario(name=_MV_CODE, title=_MV_CODE, network=NetworkSource(simbench=_MV_CODE))
    figures = []
    for case, target in ((load_case("rural1"), "<= 0.3"), (load_case(mv), "<= 0.6")):
        steps = case.clock.steps
        soc = np.full((steps, case.fleet.batteries), case.scenario.battery.soc_start)
        state = simulate.State(np.arange(steps), soc)
        asked = idle(steps, case.fleet.batteries, case.fleet.devices)
        year = median_s(partial(simulate.step, state, asked, case.params), 5)
        figures.append(Figure(f"{steps} steps of {case.scenario.name}, {case.params.buses} buses", year, "s", target))
    return figures


def _environments() -> list[Figure]:
    single = gymnasium.make("gridnet_envs:gridnet/Dispatch-v0", scenario="semiurb4")
    batched = DispatchVectorEnv(_BATCH, "semiurb4")
    single.reset(seed=0)
    batched.reset(seed=0)
    single.action_space.seed(0)
    batched.action_space.seed(0)
    actions = [single.action_space.sample() for _ in range(96)]
    batch_actions = [batched.action_space.sample() for _ in range(96)]

    def one_day() -> None:
        single.reset()
        for action in actions:
            single.step(action)

    def one_batched_day() -> None:
        for action in batch_actions:
            batched.step(action)

    alone, together = median_s(one_day, 20) / 96, median_s(one_batched_day, 10) / (96 * _BATCH)
    return [
        Figure("environment steps, gymnasium.make, semiurb4", 1 / alone, "1/s", ">= 5,000"),
        Figure("environment steps, batch of 256, semiurb4", 1 / together, "1/s", ">= 100,000", alone / together),
    ]


def _learning() -> list[Figure]:
    # Imported here because torch takes seconds to load.
    from gridnet_policies.rl.speed import ppo_steps_per_s

    rate = ppo_steps_per_s(load_case("semiurb4"), Options(action="value", shield=True), _BATCH)
    return [Figure("PPO learning end to end, batch of 256, semiurb4", rate, "1/s", ">= 10,000")]


def _optimiser() -> list[Figure]:
    plans = {
        "44 buses, 20 batteries, 30 PV, a day": (time_plan("M", 1), "<= 2"),
        "59 buses, 60 batteries, 65 PV, a day": (time_plan("U", 1), "<= 6"),
        "111 buses, 60 batteries, 69 PV, a day": (time_plan("L", 1), "<= 8"),
        "44 buses, 20 batteries, 30 PV, a week": (time_plan("M", 7), "<= 10"),
    }
    readable = time_plan("M", 1, readable=True)
    street, feeder = time_control("M", 24), time_control("rural1", 36)
    measured = [*(plan for plan, _ in plans.values()), readable, street, feeder]
    figures = [Figure("plan by Pyomo, 44 buses, a day (reference)", readable.median_s, "s")]
    for number, (name, (plan, target)) in enumerate(plans.items()):
        figures.append(Figure(f"plan, {name}", plan.median_s, "s", target, None if number else readable.median_s / plan.median_s))
    return [
        *figures,
        Figure("mpc, 44 buses, 20 batteries, 24 h, median", 1e3 * street.median_s, "ms", "<= 200"),
        Figure("mpc, 44 buses, 20 batteries, 24 h, longest", 1e3 * street.longest_s, "ms", "<= 500"),
        Figure("mpc, rural1, 36 h, median", 1e3 * feeder.median_s, "ms", "<= 50"),
        Figure("largest memory of any of these", max(each.memory_mb for each in measured), "MB", "<= 1,000"),
    ]


def _decisions() -> list[Figure]:
    planned, learned = time_control("rural3", 36), time_learned("rural3")
    return [
        Figure("mpc, rural3, 129 buses, 36 h, median (reference)", 1e3 * planned.median_s, "ms"),
        Figure(
            "rl and shield, rural3, 129 buses, median", 1e3 * learned.median_s, "ms", "<= 1", planned.median_s / learned.median_s
        ),
    ]
