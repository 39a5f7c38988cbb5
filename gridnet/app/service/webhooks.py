"""Notifications: written in the transaction of what they tell of (a transactional outbox), sent by a worker, retried.

A target is https, on the allow-list where there is one, and no private address unless the configuration permits it: the address
is looked up and checked when it is sent to, not only when it is subscribed. Nothing is followed: a redirect is a failure.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection, Row, delete, insert, select, update

from gridnet.app.service import queries
from gridnet.app.service.config import Config
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Principal
from gridnet.app.service.schema import outbox, principals, subscriptions
from gridnet.app.service.store import Store, packed
from gridnet.errors import Fault, GridnetError, InputError

MOST_ATTEMPTS = 12
FIRST_WAIT_S, LONGEST_WAIT_S = 2, 300
TIMEOUT_S = 5.0
TAKEN_S = 60
"""How long one is a process's that took it: longer than it takes to send it."""
_BATCH = 50
_SENDING = "/outbox"
"""Whose lock is taken to send, shared by all: no feeder has such a name."""
_EMBEDDING = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""IPv6 addresses whose last 32 bits are an IPv4 address: NAT64, and the old compatible ones."""


@dataclass(frozen=True)
class Target:
    """Where notifications go, and in which protocol's words."""

    protocol: str
    url: str


@dataclass(frozen=True)
class Subscription:
    """Who wants to hear of a topic, where; `device` None: of every device that is the owner's."""

    id: str
    owner: str
    protocol: str
    topic: str
    device: str | None
    url: str
    body: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Rendered:
    """What is sent."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Webhooks:
    """Subscriptions and the outbox."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self.renderers: dict[str, Callable[[Subscription, str], Rendered]] = {}
        """By protocol: what to send when a topic comes up, made at sending time."""

    def subscribe(
        self, by: Principal, target: Target, topic: str, device: str | None = None, body: dict[str, Any] | None = None
    ) -> Subscription:
        """Whoever calls has checked that the device is `by`'s. Raises `InputError` for a target that is not allowed."""
        problem = target_problem(target.url, self._config)
        if problem is not None:
            raise InputError("nothing can be sent there:", [Fault("url", target.url[:200], problem)])
        made = Subscription(secrets.token_hex(16), by.id, target.protocol, topic, device, target.url, body or {})
        row = {**vars(made), "body": packed(made.body)}
        with self._store.write() as connection:
            connection.execute(insert(subscriptions), [row])
        return made

    def subscriptions(self, by: Principal, protocol: str, device: str | None = None) -> list[Subscription]:
        """One's own; an operator sees all."""
        which = subscriptions.c.protocol == protocol
        if not by.operates:
            which &= subscriptions.c.owner == by.id
        if device is not None:
            which &= subscriptions.c.device == device
        with self._store.read() as connection:
            return [_read(row) for row in connection.execute(select(subscriptions).where(which).order_by(subscriptions.c.id))]

    def get(self, by: Principal, subscription: str) -> Subscription:
        """Raises `NotFound`, for another's too."""
        with self._store.read() as connection:
            row = connection.execute(select(subscriptions).where(subscriptions.c.id == subscription)).first()
        if row is None or not (by.operates or row.owner == by.id):
            raise NotFound(f"no subscription {subscription[:64]}")
        return _read(row)

    def remove(self, by: Principal, subscription: str) -> None:
        """Raises `NotFound`."""
        self.get(by, subscription)
        with self._store.write() as connection:
            connection.execute(delete(subscriptions).where(subscriptions.c.id == subscription))
            connection.execute(delete(outbox).where(outbox.c.subscription == subscription))

    def publish(self, topic: str, device: str | None = None) -> None:
        """Tells everybody who wants to hear of it."""
        with self._store.write() as connection:
            self.put(connection, topic, device)

    def put(self, connection: Connection, topic: str, device: str | None) -> None:
        """The same in the transaction of what it tells of. One notification waits for each subscription, not one a change."""
        which = subscriptions.c.topic == topic
        if device is not None:
            everything = subscriptions.c.device.is_(None) & subscriptions.c.owner.in_(_watching(connection, device))
            which &= everything | (subscriptions.c.device == device)
        wanted = set(connection.execute(select(subscriptions.c.id).where(which)).scalars())
        if not wanted:
            return
        fresh = (outbox.c.attempts == 0) & (outbox.c.topic == topic)
        # Locked: nobody takes one before what it shall tell is there to see.
        waiting = select(outbox.c.subscription).where(fresh).order_by(outbox.c.id).with_for_update()
        wanted -= set(connection.execute(waiting).scalars())
        now_s = self._store.now_s()
        rows = [{"id": secrets.token_hex(16), "subscription": each, "topic": topic} for each in sorted(wanted)]
        if rows:
            connection.execute(insert(outbox), [{**row, "due_s": now_s, "attempts": 0, "problem": None} for row in rows])

    def forget(self, connection: Connection, device: str) -> None:
        """Drops a device's subscriptions and what is on its way for them."""
        gone = select(subscriptions.c.id).where(subscriptions.c.device == device)
        connection.execute(delete(outbox).where(outbox.c.subscription.in_(gone)))
        connection.execute(delete(subscriptions).where(subscriptions.c.device == device))

    def send_due(self, client: httpx.Client) -> int:
        """Sends what is due, once each, whoever else sends too; gives how many arrived. A failure waits twice as long as the one
        before, 5 minutes at most, and is given up after the twelfth."""
        sent = 0
        for waiting in self._due():
            taken = self._take(waiting)
            if taken is None:
                continue
            row, subscription = taken
            problem = self._send(client, subscription, row.topic)
            sent += problem is None
            # Where it took so long that another has taken it since, that one says what became of it.
            ours = (outbox.c.id == row.id) & (outbox.c.attempts == row.attempts + 1)
            with self._store.write(_SENDING, shared=True) as connection:
                if problem is None or row.attempts + 1 >= MOST_ATTEMPTS:
                    connection.execute(delete(outbox).where(ours))
                else:
                    due_s = self._store.now_s() + min(FIRST_WAIT_S * 2**row.attempts, LONGEST_WAIT_S)
                    connection.execute(update(outbox).where(ours).values(problem=problem[:500], due_s=due_s))
        return sent

    def waiting(self) -> int:
        """How many are on their way."""
        with self._store.read() as connection:
            return len(connection.execute(select(outbox.c.id)).all())

    def _due(self) -> list[str]:
        """Ids of what is due, longest first."""
        query = select(outbox.c.id).join(subscriptions, subscriptions.c.id == outbox.c.subscription)
        query = query.where(outbox.c.due_s <= self._store.now_s()).order_by(outbox.c.due_s, outbox.c.id).limit(_BATCH)
        with self._store.read() as connection:
            return list(connection.execute(query).scalars())

    def _take(self, waiting: str) -> tuple[Row[Any], Subscription] | None:
        """What waits, as it was, and due again later, should this process die; None where another has it, or nobody any more."""
        now_s = self._store.now_s()
        due = (outbox.c.id == waiting) & (outbox.c.due_s <= now_s)
        with self._store.write(_SENDING, shared=True) as connection:
            row = connection.execute(select(outbox).where(due).with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            wanted = connection.execute(select(subscriptions).where(subscriptions.c.id == row.subscription)).first()
            if wanted is None:
                return None
            # Taken: what changes from now on is told in a notification of its own.
            taken = {"attempts": row.attempts + 1, "due_s": now_s + TAKEN_S}
            connection.execute(update(outbox).where(outbox.c.id == waiting).values(**taken))
        return row, _read(wanted)

    def _send(self, client: httpx.Client, subscription: Subscription, topic: str) -> str | None:
        """What went wrong; None where it arrived."""
        render = self.renderers.get(subscription.protocol)
        if render is None:
            return f"nothing renders {subscription.protocol}"
        try:
            found = _looked_up(subscription.url, self._config)
            if isinstance(found, str):
                return found
            made = render(subscription, topic)
            headers = {"content-type": made.content_type, **made.headers, "host": found.host}
            options: dict[str, Any] = {"timeout": TIMEOUT_S, "extensions": {"sni_hostname": found.name}}
            # The answer's body is nobody's concern, and may never end.
            with client.stream("POST", found.url, content=made.body, headers=headers, follow_redirects=False, **options) as answer:
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, LookupError, ValueError, GridnetError) as error:
            return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class _Address:
    """Where to connect: an address that was checked, so that no second look-up can lead elsewhere."""

    url: httpx.URL
    host: str
    """As the Host header says it."""
    name: str
    """As the certificate must say it."""


def _looked_up(url: str, config: Config) -> _Address | str:
    """The checked address, or what is wrong with the target."""
    problem = target_problem(url, config)
    if problem is not None:
        return problem
    asked = httpx.URL(url)
    address = next(_addresses(asked.host, asked.port))
    if not (config.webhook_private or _is_public(address)):
        return "a host with public addresses"
    return _Address(asked.copy_with(host=str(address)), asked.netloc.decode("ascii"), asked.host)


def target_problem(url: str, config: Config) -> str | None:
    """Why nothing may be sent to `url`; None where it may."""
    try:
        parts = urlsplit(url)
        # Names beyond ASCII are read as they will be when something is sent.
        host, port = httpx.URL(url).host if parts.hostname else None, parts.port
    except (ValueError, httpx.InvalidURL):
        return "a URL"
    if parts.scheme != "https" and not (parts.scheme == "http" and config.webhook_plain_http):
        return "an https URL"
    if not host or parts.username or parts.password:
        return "a URL with a host and without credentials"
    if config.webhook_hosts and host not in config.webhook_hosts:
        return f"a host on the allow-list: {', '.join(config.webhook_hosts)}"
    if not config.webhook_private and not all(_is_public(address) for address in _addresses(host, port)):
        return "a host with public addresses"
    return None


def _addresses(host: str, port: int | None) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Where a name leads; a name that leads nowhere gives an address that is not public."""
    try:
        found = socket.getaddrinfo(host, port or 443, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        found = []
    if not found:
        yield ipaddress.IPv4Address("0.0.0.0")
    for *_, address in found:
        yield ipaddress.ip_address(str(address[0]).partition("%")[0])


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is one of the internet's, and no other one in the dress of one."""
    inside: list[ipaddress.IPv4Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(address in network for network in _EMBEDDING):
            inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(each.is_global and not each.is_multicast for each in (address, *inside) if each is not None)


def _watching(connection: Connection, device: str) -> set[str]:
    """Ids of the principals that a device is for: its owner, whoever has its certificate, and operators."""
    row = connection.execute(queries.DEVICE, {"device": device}).first()
    which = principals.c.role == "operator"
    known: set[str] = set()
    if row is not None:
        known = {row.owner, f"lfdi:{row.lfdi}"}
        which |= (principals.c.lfdi == row.lfdi) & principals.c.lfdi.is_not(None)
    return known | set(connection.execute(select(principals.c.id).where(which)).scalars())


def _read(row: Row[Any]) -> Subscription:
    return Subscription(row.id, row.owner, row.protocol, row.topic, row.device, row.url, json.loads(row.body))
