"""What a policy does over a span and what the meters' points see of it, in one go or in pieces; batteries that don't obey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gridnet.app.play import Played, play
from gridnet.case import Case
from gridnet.clock import Clock
from gridnet.metering.points import PointTruth, point_truth
from gridnet.simulate import Transition, solve_flow
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Policy

DAY_CLOSES = (2, 0)
"""UTC hour and minute at which the day before is weighed as a whole, and the next probes are drawn."""


@dataclass(frozen=True)
class Run:
    """What a policy did over a span, and what the meters' points saw."""

    start: int
    transitions: list[Transition]
    truth: PointTruth

    @property
    def end(self) -> int:
        """The step after its last."""
        return self.start + len(self.transitions)

    @classmethod
    def joined(cls, runs: Sequence[Self]) -> Self:
        """Runs one after the other."""
        transitions = [transition for run in runs for transition in run.transitions]
        return cls(runs[0].start, transitions, PointTruth.joined([run.truth for run in runs]))

    def part(self, first: int, end: int) -> Run:
        """Its steps `[first, end)`, counted from its own first."""
        return Run(self.start + first, self.transitions[first:end], self.truth.rows(first, end))


@dataclass(frozen=True)
class Slack:
    """A battery that moves only `1 - size` of what it is asked from step `first` on, and whose home reports all of it: its charge,
    its sub-meter and the home's meter. No meter is tampered with in between: that is what its owner has them say."""

    device: int
    size: float
    first: int


def run_policy(case: Case, policy: Policy, start: int, steps: int) -> Run:
    """Plays `policy` over a span. Raises `PowerFlowDiverged`."""
    return gathered(play(case, policy, start, steps))


def without_dispatch(case: Case, start: int, steps: int) -> Run:
    """The counterfactual: the same homes, their batteries at rest, the sun uncurtailed."""
    return run_policy(case, NoBattery(), start, steps)


def gathered(steps: Iterable[Played], slack: Sequence[Slack] = ()) -> Run:
    """The run of some steps, one or more. Raises `PowerFlowDiverged`."""
    transitions, truths, first = [], [], None
    for one in steps:
        first = one.step if first is None else first
        transition = _flowed(one, [each for each in slack if one.step >= each.first])
        transitions.append(transition)
        truths.append(point_truth(transition.params, np.array([one.step]), transition, one.after.soc))
    assert first is not None, "a run has a step"
    return Run(first, transitions, PointTruth.joined(truths))


def pieces(clock: Clock, start: int, steps: int) -> Iterator[range]:
    """The span's steps, parted where a day closes: what is decided then changes what comes after it."""
    end = start + steps
    cuts = [step for step in range(start + 1, end) if (clock.time_of(step).hour, clock.time_of(step).minute) == DAY_CLOSES]
    for first, following in zip([start, *cuts], [*cuts, end], strict=True):
        yield range(first, following)


def _flowed(one: Played, slack: Sequence[Slack]) -> Transition:
    """The step as its meters report it, with the power flow that batteries which don't obey leave."""
    if not slack:
        return one.transition
    moved, flow = one.transition.done.copy(), np.empty_like(one.transition.flow)
    for each in slack:
        moved[0, 0, each.device] *= 1.0 - each.size
    solve_flow(one.transition.params, np.array([one.step]), moved, flow)
    return one.transition._replace(flow=flow)
