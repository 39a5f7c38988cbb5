"""The prosumer's page: the bill with and without the community, credits and certificates, reputation, devices and the switch with
which an owner opts out. A prosumer sees its own party alone; an operator names one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

from gridnet.app.community import Community
from gridnet.app.dashboard import asked
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.service.bills import Bill, Household, bill
from gridnet.app.service.errors import Forbidden, NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import Device, Effective, Principal, Role
from gridnet.app.service.parties import Parties
from gridnet.app.service.standing import standings
from gridnet.errors import Fault, InputError
from gridnet.metering.points import meter_points
from gridnet.verification.reputation import NEWCOMER_DAYS

PERIODS = ("day", "month")
HOURS = (1, 3, 6, 12, 24, 48, 96, 168)
"""For how long one may opt out."""
_MOST_DEVICES, _MOST_CERTIFICATES = 1000, 50
_MICRO = 1e6


@dataclass(frozen=True)
class Asked:
    """A device and what it shall do now."""

    device: Device
    now: Effective

    @property
    def opted_out(self) -> bool:
        """Whether its owner has opted out."""
        return self.now.source == "override"


def home(looking: Looking) -> Mapping[str, object]:
    """The page of one party. Raises `Forbidden` for another's, `InputError`."""
    party = _party(looking)
    parties = Parties(looking.service.store, _community(looking))
    homes = _homes(parties)
    since, until, period = _period(looking)
    meter = None if party is None else homes.get(party)
    return {
        "party": party,
        "parties": list(homes) if looking.by.operates else [],
        "period": period,
        "periods": PERIODS,
        "since": since,
        "until": until,
        "bill": None if party is None or meter is None else _bill(looking, party, meter, (since, until)),
        "eur": _eur,
        "standing": None if meter is None else standings(_ledger(looking), _community(looking), [meter])[meter],
        "newcomer_days": NEWCOMER_DAYS,
        "devices": _devices(looking, parties, party),
        "hours": HOURS,
        **_credits(looking, party),
    }


def opt_out(looking: Looking, form: Mapping[str, str], device: str) -> str:
    """The owner takes a device out of the dispatch for some hours. Raises `NotFound`, `InputError`."""
    said = form.get("hours", "")
    if said not in {str(each) for each in HOURS}:
        raise InputError("can't opt out so:", [Fault("hours", repr(said[:40]), f"one of {', '.join(map(str, HOURS))}")])
    until = looking.service.clock() + timedelta(hours=int(said))
    looking.service.controls.override(looking.by, device, until, form.get("reason", "").strip())
    return _back(looking, form)


def opt_in(looking: Looking, form: Mapping[str, str], device: str) -> str:
    """The owner is in again. Raises `NotFound`."""
    looking.service.controls.end_override(looking.by, device)
    return _back(looking, form)


def _back(looking: Looking, form: Mapping[str, str]) -> str:
    named = looking.by.operates and form.get("party")
    return f"/home?party={quote(form['party'], safe='')}#devices" if named else "/home#devices"


def _community(looking: Looking) -> str:
    return looking.live.case.scenario.name


def _ledger(looking: Looking) -> LedgerView:
    return LedgerView(looking.service.store)


def _party(looking: Looking) -> str | None:
    """Whose page it is; None where an operator names nobody, and for a prosumer who is no party of the ledger."""
    named = asked.text(looking.query, "party")
    if looking.by.operates:
        return named or None
    if named and named != looking.by.party:
        raise Forbidden("another party's page is for operators")
    return looking.by.party


def _homes(parties: Parties) -> dict[str, str]:
    try:
        return parties.homes()
    except NotFound:
        return {}


def _period(looking: Looking) -> tuple[date, date, str]:
    """[first day, day after the last) and what it is called."""
    today = looking.service.clock().date()
    period = looking.query.get("period", PERIODS[0])
    if period not in PERIODS:
        raise InputError("can't tell what is asked for:", [Fault("period", repr(period[:40]), " or ".join(PERIODS))])
    first = asked.day(looking.query, "day", today)
    if not date.min < first < date.max - timedelta(days=40):
        raise InputError("can't tell what is asked for:", [Fault("day", first.isoformat(), "a day that calendars hold")])
    if period == "day":
        return first, first + timedelta(days=1), period
    return first.replace(day=1), asked.next_month(first), period


def _bill(looking: Looking, party: str, meter: str, days: tuple[date, date]) -> Bill:
    case, community = looking.live.case, _community(looking)

    def mean_drawn_wh() -> int:
        bus = next(point.bus for point in meter_points(case) if point.name == meter)
        return Community(case, community, {bus: party}).mean_drawn_wh[party]

    household = Household(community, party, meter, mean_drawn_wh)
    since, until = (asked.midnight(each) for each in days)
    return bill(looking.service.store, household, since, until, looking.live.worth)


def _eur(micro_eur: int) -> float:
    return micro_eur / _MICRO


def _credits(looking: Looking, party: str | None) -> Mapping[str, object]:
    nothing = {"balances": [], "holdings": [], "certificates": [], "most_certificates": _MOST_CERTIFICATES}
    if party is None:
        return nothing
    view = _ledger(looking)
    try:
        return {
            **nothing,
            "balances": view.balances(party),
            "holdings": view.holdings(party),
            "certificates": view.newest_of(party, _MOST_CERTIFICATES),
        }
    except NotFound:
        return nothing


def _devices(looking: Looking, parties: Parties, party: str | None) -> list[Asked]:
    """The party's devices; what an operator may do, it does in its own name."""
    owners = [looking.by.id] if not looking.by.operates else [] if party is None else parties.principals(party)
    found = []
    for owner in owners:
        whose = looking.by if owner == looking.by.id else Principal(owner, "prosumer")
        for device in looking.service.devices.page(whose, 0, _MOST_DEVICES)[0]:
            found.append(Asked(device, looking.service.controls.effective(looking.by, device.id)))
    return found


_WHO: tuple[Role, ...] = ("prosumer", "operator")
PAGES = (Page("/home", "Home", "home.html.j2", home, _WHO),)
FEEDS: tuple[Feed, ...] = ()
DEEDS = (
    Deed("/opt-out/{device}", opt_out, _WHO),
    Deed("/opt-in/{device}", opt_in, _WHO),
)
