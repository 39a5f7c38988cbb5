"""How far a device has earned trust: a Beta belief from levels 2 to 4, in whole numbers.

| what happened | the belief gains |
|---|---|
| a day whose balance passed (L2) | 1 good, each home |
| its voltage does not follow the grid (L2) | 5 bad |
| the head does not balance (L2) | nothing: it names nobody |
| suspected (L3) | nothing; `suspicion_ppm` rises, which orders probes and reviews |
| a probe passed (L4) | 20 good, and the suspicion is gone |
| a probe failed (L4) | 20 bad |
| a person decided (L5) | 50 good or bad, and the suspicion is gone |

`score_ppm` is the mean of the belief, (good + 1) / (good + bad + 2): 500,000 for a newcomer. What pays may look at the score, and
at nothing of level 3: a suspicion is not a proof, and its impedances are assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gridnet.verification.verdict import Level, Verdict

PPM = 1_000_000
NEWCOMER_DAYS = 28
"""A device with less good behind it is probed as a suspect is."""
_VOLTAGE, _PROBE, _PERSON = 5, 20, 50


@dataclass(frozen=True, slots=True)
class Reputation:
    """The belief in one device."""

    good: int = 0
    bad: int = 0
    suspicion_ppm: int = 0
    """Highest confidence of level 3 since a probe or a person cleared it."""

    @property
    def score_ppm(self) -> int:
        """Mean of the belief, millionths, rounded down."""
        return PPM * (self.good + 1) // (self.good + self.bad + 2)

    @property
    def wants_probe(self) -> bool:
        """Whether level 4 should look: a suspect, or a newcomer."""
        return self.suspicion_ppm > 0 or self.good < NEWCOMER_DAYS

    def after(self, verdict: Verdict) -> Reputation:
        """The belief after a verdict that names this device."""
        passed = verdict.outcome == "pass"
        match verdict.level:
            case Level.BALANCED:
                return self if passed else replace(self, bad=self.bad + _VOLTAGE)
            case Level.LOCATED:
                confidence = verdict.evidence.get("confidence_ppm", 0)
                return replace(self, suspicion_ppm=max(self.suspicion_ppm, int(confidence)))
            case Level.PROBED:
                return self._weighed(_PROBE, passed) if verdict.evidence.get("decided", 1) else self
            case Level.REVIEWED:
                return replace(self._weighed(_PERSON, passed), suspicion_ppm=0)
        return self

    def after_good_day(self) -> Reputation:
        """The belief after a day whose balance passed."""
        return replace(self, good=self.good + 1)

    def _weighed(self, weight: int, passed: bool) -> Reputation:
        if passed:
            return replace(self, good=self.good + weight, suspicion_ppm=0)
        return replace(self, bad=self.bad + weight)


def after_day(beliefs: Mapping[str, Reputation], verdicts: Iterable[Verdict], head: str) -> dict[str, Reputation]:
    """The beliefs after a day's verdicts (`Ladder.close_day`, probes, reviews). Devices that none names and that were not there
    before are not added. A day is good for all where the head's balance passed, but for those that the same verdicts hold."""
    told = list(verdicts)
    held = {verdict.device for verdict in told if verdict.outcome != "pass"}
    balanced = any(each.device == head and each.level is Level.BALANCED and each.outcome == "pass" for each in told)
    after = dict(beliefs)
    if balanced:
        after.update({name: belief.after_good_day() for name, belief in beliefs.items() if name not in held})
    for verdict in told:
        if verdict.device != head and verdict.device in after:
            after[verdict.device] = after[verdict.device].after(verdict)
    return after
