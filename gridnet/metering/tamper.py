"""Frauds: what a tampered meter takes for true. It signs that with its own key, so no signature check can see it.

Each model is a pure function from what sensors gave to what the meter counts; nothing but what it says changes. `size` is a
share, 0.05 to 0.5 in the studies. p > 0 injects into the grid, so a home gains by a higher p. Models that need a past (a level to
compare with, a day to repeat) take a `Recording` of it, so that what they do at a step depends on that step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import Fault, InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Model = Literal["scaled", "shifted", "replayed", "clipped", "inflated", "stuck", "opposed", "agreeing", "swapped"]
PAIRS: frozenset[Model] = frozenset({"opposed", "agreeing", "swapped"})
NEEDS_RECORDING: frozenset[Model] = frozenset({"shifted", "replayed", "clipped", "stuck"})
SIZES = (0.05, 0.10, 0.20, 0.50)
"""The sizes that the studies use."""
FOR_EVER = 2**62


class Sensed(NamedTuple):
    """Step means at one meter (steps,) or at several (steps, meters)."""

    p_kw: Floats
    q_kvar: Floats
    vm_pu: Floats

    def of(self, meter: int) -> Sensed:
        """The series of one meter (steps,)."""
        return Sensed(*(each[:, meter] for each in self))


class Recording(NamedTuple):
    """What one meter saw from step `first` on; `seen` (steps,)."""

    first: int
    seen: Sensed


@dataclass(frozen=True)
class Tamper:
    """One fraud: `model` at `meters` (names; two for pairs) in steps `[first, end)`.

    Raises `InputError` listing what the model lacks: a size in (0, 1) (all but replayed, stuck and swapped), one or two meters, a
    recording.
    """

    model: Model
    meters: tuple[str, ...]
    size: float = 0.0
    first: int = 0
    end: int = FOR_EVER
    recording: Recording | None = None

    def __post_init__(self) -> None:
        wanted, faults = 2 if self.model in PAIRS else 1, []
        if len(set(self.meters)) != wanted or len(self.meters) != wanted:
            faults.append(Fault(f"{self.model}, meters", str(self.meters), f"{wanted}, not the same twice"))
        if self.model not in {"replayed", "stuck", "swapped"} and not 0.0 < self.size < 1.0:
            faults.append(Fault(f"{self.model}, size", str(self.size), "a share above 0 and below 1"))
        if self.model in NEEDS_RECORDING and (self.recording is None or not len(self.recording.seen.p_kw)):
            faults.append(Fault(f"{self.model}, recording", "none", "one step of the meter's past or more"))
        if faults:
            raise InputError("the fraud can't be done", faults)


def scaled(seen: Sensed, size: float) -> Sensed:
    """P and Q smaller by `size`, as behind a shunted current transformer. A home gains that share of its bill, and loses it of
    what it is paid for injecting."""
    return seen._replace(p_kw=seen.p_kw * (1.0 - size), q_kvar=seen.q_kvar * (1.0 - size))


def shifted(seen: Sensed, size: float, past: Sensed) -> Sensed:
    """P higher by `size` of the past's mean magnitude, day and night. The owner draws that much for nothing or is paid for it."""
    return seen._replace(p_kw=seen.p_kw + size * float(np.abs(past.p_kw).mean()))


def replayed(seen: Sensed, steps: Ints, recording: Recording) -> Sensed:
    """The recording again and again, in phase with the day if it holds whole days. The owner picks a day that paid: a sunny one,
    or one away from home. `steps` (steps,)."""
    row = (steps - recording.first) % len(recording.seen.p_kw)
    return Sensed(*(each[row] for each in recording.seen))


def clipped(seen: Sensed, size: float, past: Sensed) -> Sensed:
    """Draws above (1 - size) of the past's highest are counted as that. The owner gains where peaks cost: a demand charge, or
    dear evening hours."""
    return seen._replace(p_kw=np.maximum(seen.p_kw, (1.0 - size) * min(0.0, float(past.p_kw.min()))))


def inflated(seen: Sensed, size: float) -> Sensed:
    """Injection higher by `size`, draw as it is. A PV owner gains certificates, and at the home meter payment, for sun that
    never shone."""
    return seen._replace(p_kw=np.where(seen.p_kw > 0.0, seen.p_kw * (1.0 + size), seen.p_kw))


def stuck(seen: Sensed, past: Sensed) -> Sensed:
    """The past's first values for ever. Often a fault rather than a fraud; the owner gains if it stuck at a good moment."""
    return Sensed(*(np.full_like(each, each_past[0]) for each, each_past in zip(seen, past, strict=True)))


def opposed(one: Sensed, other: Sensed, size: float) -> tuple[Sensed, Sensed]:
    """`one` is higher by `size` of its own magnitude, `other` lower by the same kW, so that their sum, and with it the feeder's
    balance, stays. `one` gains what `other` loses: two with one purse and two prices, or an `other` that never pays."""
    moved = size * np.abs(one.p_kw)
    return one._replace(p_kw=one.p_kw + moved), other._replace(p_kw=other.p_kw - moved)


def agreeing(one: Sensed, other: Sensed, size: float) -> tuple[Sensed, Sensed]:
    """Both are higher by `size` of their own magnitude. Both gain, from whoever bears the feeder's losses; neighbours that agree
    look more honest than one alone."""
    raised = [each._replace(p_kw=each.p_kw + size * np.abs(each.p_kw)) for each in (one, other)]
    return raised[0], raised[1]


def swapped(one: Sensed, other: Sensed) -> tuple[Sensed, Sensed]:
    """Each meter measures at the other's place. The one that used more gains what the other pays too much; often it is an
    installer's slip."""
    return other, one


def tampered(seen: Sensed, steps: Ints, names: Sequence[str], tampers: Sequence[Tamper]) -> Sensed:
    """`seen` (steps, meters named `names`) after `tampers`, one after the other. `steps` (steps,) are absolute.

    Raises `InputError` for a tamper whose meter is not among `names`.
    """
    index = {name: column for column, name in enumerate(names)}
    unknown = [
        Fault(tamper.model, name, "a meter of the feeder") for tamper in tampers for name in tamper.meters if name not in index
    ]
    if unknown:
        raise InputError("a fraud needs its meter", unknown)
    counted = Sensed(*(each.copy() for each in seen))
    for tamper in tampers:
        active = (steps >= tamper.first) & (steps < tamper.end)
        columns = [index[name] for name in tamper.meters]
        before = [Sensed(*(each[active, column] for each in counted)) for column in columns]
        for column, after in zip(columns, _apply(tamper, before, steps[active]), strict=True):
            for whole, part in zip(counted, after, strict=True):
                whole[active, column] = part
    return counted


def _apply(tamper: Tamper, before: list[Sensed], steps: Ints) -> tuple[Sensed, ...]:
    seen, other, size = before[0], before[-1], tamper.size
    # A model that needs a recording has one: the tamper was refused without.
    recording = tamper.recording or Recording(0, seen)
    after: tuple[Sensed, ...]
    match tamper.model:
        case "scaled":
            after = (scaled(seen, size),)
        case "shifted":
            after = (shifted(seen, size, recording.seen),)
        case "replayed":
            after = (replayed(seen, steps, recording),)
        case "clipped":
            after = (clipped(seen, size, recording.seen),)
        case "inflated":
            after = (inflated(seen, size),)
        case "stuck":
            after = (stuck(seen, recording.seen),)
        case "opposed":
            after = opposed(seen, other, size)
        case "agreeing":
            after = agreeing(seen, other, size)
        case "swapped":
            after = swapped(seen, other)
    return after
