"""What levels 2 and 3 saw, in words and whole numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from gridnet.verification.balance import Balance
from gridnet.verification.locate import Located, Suspect
from gridnet.verification.verdict import Level, Verdict, hold

_MILLI = 1000.0
_PPM = 1e6
_CONFIDENCE = re.compile(r"confidence ([0-9]{1,3}) %")


def balance_verdicts(seen: Balance, homes: Sequence[str], head: str, start: datetime) -> Iterator[Verdict]:
    """A verdict on the feeder's head, passed or held, and a held one on each meter whose voltage does not follow the grid."""
    finding = (
        f"head against homes: CUSUM {seen.cusum:.1f} of {seen.cusum_limit:.1f}, "
        f"highest score {seen.highest:.1f} of {seen.score_limit:.1f} standard deviations"
    )
    evidence: dict[str, int | str] = {
        "cusum_milli": round(_MILLI * seen.cusum),
        "cusum_limit_milli": round(_MILLI * seen.cusum_limit),
        "score_milli": round(_MILLI * seen.highest),
        "shift_score_milli": round(_MILLI * seen.shift_score),
        "score_limit_milli": round(_MILLI * seen.score_limit),
    }
    yield Verdict(head, start, Level.BALANCED, "hold" if seen.unbalanced else "pass", finding, evidence)
    for home in np.flatnonzero(np.nan_to_num(seen.follows) > seen.follows_limit).tolist():
        ratio = float(seen.follows[home])
        words = f"its voltage does not follow the grid's: mean square {ratio:.1f} where {seen.follows_limit:.1f} is allowed"
        yield hold(Level.BALANCED, homes[home], start, words, follows_milli=round(_MILLI * ratio))


def located_verdicts(found: Located, homes: Sequence[str], impedance_error: float, start: datetime) -> Iterator[Verdict]:
    """A held verdict on each suspect; none where nobody stands out. Nothing is taken from anybody for it: a person decides."""
    for suspect in found.suspects:
        yield _suspected(suspect, homes[suspect.home], impedance_error, start)


def stated_confidence(finding: str) -> int | None:
    """The confidence, in %, that level 3's words state; None in the words of others."""
    stated = _CONFIDENCE.search(finding)
    return None if stated is None else int(stated[1])


def _suspected(suspect: Suspect, home: str, impedance_error: float, start: datetime) -> Verdict:
    finding = (
        f"explains the imbalance with a gain of {100 * suspect.gain:+.1f} +- {100 * suspect.gain_sd:.1f} %, "
        f"confidence {100 * suspect.confidence:.0f} %, impedances taken as right to {100 * impedance_error:g} %"
    )
    return hold(
        Level.LOCATED,
        home,
        start,
        finding,
        gain_ppm=round(_PPM * suspect.gain),
        gain_sd_ppm=round(_PPM * suspect.gain_sd),
        confidence_ppm=round(_PPM * suspect.confidence),
        score_milli=round(_MILLI * suspect.score),
        assumed_impedance_error_ppm=round(_PPM * impedance_error),
    )
