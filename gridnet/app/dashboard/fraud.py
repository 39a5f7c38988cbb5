"""The fraud page: what the ladder of checks recorded, who is suspected of what and on which evidence, what waits for a person, and
how often a doubt was a false alarm. It reads alone: decisions are made with `gridnet ledger review`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gridnet.app.dashboard import asked
from gridnet.app.dashboard.certificate import AUDITING
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.service.errors import NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.verdicts import Docket, Wanted, docket, findings, records, weighed
from gridnet.errors import Fault, InputError
from gridnet.verification.findings import stated_confidence
from gridnet.verification.review import Doubt
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Level
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.rows import Judgement

OUTCOMES = ("pass", "hold", "reject")
_MOST = 200
_MOST_FINDINGS = 10
_LOOKS = {
    Level.SIGNED: "signature, order and clock of a message",
    Level.POSSIBLE: "what a device could have done",
    Level.BALANCED: "the feeder's head against the homes, voltages against the power flow",
    Level.LOCATED: "which home explains an imbalance",
    Level.PROBED: "battery steps, at other people's meters",
    Level.REVIEWED: "a person's decision",
}


@dataclass(frozen=True)
class Suspect:
    """A device with open doubts, and the newest records behind them."""

    doubt: Doubt
    evidence: tuple[Judgement, ...]
    confidence: str
    """What number its highest rung gives, in words; it never is more than that rung can say."""


def meanings(settings: Settings) -> dict[Level, str]:
    """What confidence a doubt of each rung carries."""
    budget, days = f"{100 * settings.false_alarms:g} %", settings.window_days
    return {
        Level.SIGNED: "no probability: the message is refused by its signature, order or clock",
        Level.POSSIBLE: "no probability: a limit was passed with an allowance of "
        f"{settings.limit_sigmas:g} standard deviations of the meter; a broken meter does that too",
        Level.BALANCED: f"a threshold: honest feeders pass it in {budget} of windows of {days} days by design. That is not the "
        "chance that somebody cheats, and names nobody but where a voltage does not follow",
        Level.LOCATED: "the posterior that this home explains the imbalance, given that somebody's reading is wrong, a model with "
        f"impedances right to {100 * settings.impedance_error:g} %, and one cause; not the chance of intent",
        Level.PROBED: f"a share with its standard deviation; an honest battery fails {100 * settings.probe_false_alarms:g} % "
        "of probes by design",
        Level.REVIEWED: "a person's word",
    }


def fraud(looking: Looking) -> Mapping[str, object]:
    """The page. Raises `InputError`."""
    wanted, given = _wanted(looking)
    view = LedgerView(looking.service.store)
    try:
        court, counts = docket(view)
        found, total = records(view, wanted, _MOST)
        open_doubts = court.open.pending()
        evidence = findings(view, [each.device for each in open_doubts])
    except NotFound:
        court, counts, found, total, open_doubts, evidence = weighed([]), Counter(), [], 0, (), {}
    return {
        "given": given,
        "levels": [(int(level), _LOOKS[level]) for level in Level],
        "outcomes": OUTCOMES,
        "counts": counts,
        "records": found,
        "total": total,
        "suspects": [_suspect(each, evidence[each.device]) for each in open_doubts],
        "decided": court.decided[::-1],
        "alarms": _alarms(court),
        "meanings": [(int(level), words) for level, words in meanings(Settings()).items()],
    }


def _alarms(court: Docket) -> list[tuple[str, int, int, float, float]]:
    """(level, cleared, decided, least and most share of false alarms)."""
    return [(name, share.count, share.of, *share.interval) for name, share in court.false_alarms()]


def _suspect(doubt: Doubt, evidence: list[Judgement]) -> Suspect:
    words = "no number: see what its level can say"
    stated = stated_confidence(doubt.finding)
    if doubt.level is Level.LOCATED and stated is not None:
        words = f"{stated} % that its meter explains the imbalance"
    elif doubt.level is Level.PROBED:
        words = "the share of its probe that reached the neighbours, in the finding"
    elif doubt.level is Level.BALANCED:
        words = "beyond a threshold, in the finding"
    return Suspect(doubt, tuple(evidence[:_MOST_FINDINGS]), words)


def _wanted(looking: Looking) -> tuple[Wanted, Mapping[str, str]]:
    given = {name: asked.text(looking.query, name) for name in ("level", "outcome", "device", "since", "until")}
    if given["outcome"] not in ("", *OUTCOMES):
        raise InputError("can't tell what is asked for:", [Fault("outcome", given["outcome"], ", ".join(OUTCOMES))])
    level = asked.whole(given, "level", int(Level.REVIEWED)) if given["level"] else None
    today = looking.service.clock().date()
    times = {name: instant(asked.midnight(asked.day(given, name, today))) if given[name] else "" for name in ("since", "until")}
    return Wanted(level, given["outcome"], given["device"], **times), given


PAGES = (Page("/fraud", "Fraud", "fraud.html.j2", fraud, AUDITING),)
FEEDS: tuple[Feed, ...] = ()
DEEDS: tuple[Deed, ...] = ()
