"""Who asks: principals, their secrets (salted and hashed), tokens and certificates. A revocation acts on the next request."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, delete, insert, select, update

from gridnet.app.service import queries
from gridnet.app.service.errors import Conflict, Forbidden, NotAuthenticated, NotFound
from gridnet.app.service.model import ROLES, Principal, is_lfdi
from gridnet.app.service.operations import Operations, operator_only
from gridnet.app.service.schema import principals, tokens
from gridnet.app.service.store import Store
from gridnet.errors import Fault, InputError

TOKEN_S = 900
"""How long a token lives."""
MOST_TOKENS = 10
"""That one principal holds at a time; an eleventh ends the oldest."""
_LEAST_SECRET = 16
_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,64}")
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}
_REFUSED = "unknown client, or a wrong secret"
_NOBODY = ":".join(("00" * 16, "00" * 64))


@dataclass(frozen=True)
class Known:
    """A principal as the operator sees it."""

    principal: Principal
    revoked: bool


class People:
    """Everybody that may ask for something."""

    def __init__(self, store: Store, operations: Operations) -> None:
        self._store = store
        self._operations = operations

    def by_certificate(self, lfdi: str) -> Principal:
        """Whoever holds a certificate of our authority with this LFDI: a known principal, or a device that is not registered yet.
        Raises `NotAuthenticated` where it was revoked."""
        with self._store.read() as connection:
            row = connection.execute(queries.BY_CERTIFICATE, {"lfdi": lfdi}).first()
        if row is None:
            return Principal(f"lfdi:{lfdi}", "device", lfdi)
        return _in_force(row)

    def by_secret(self, client_id: str, secret: str) -> Principal:
        """Raises `NotAuthenticated`, for an unknown client as slowly as for a wrong secret."""
        with self._store.read() as connection:
            row = connection.execute(select(principals).where(principals.c.id == client_id)).first()
        stored = _NOBODY if row is None or row.secret is None else row.secret
        if not _is_secret(secret, stored) or row is None:
            raise NotAuthenticated(_REFUSED)
        return _in_force(row)

    def issue_token(self, client_id: str, secret: str) -> tuple[str, int]:
        """A bearer token and the seconds that it lives. Raises `NotAuthenticated`."""
        principal, token, now_s = self.by_secret(client_id, secret), secrets.token_urlsafe(32), self._store.now_s()
        with self._store.write() as connection:
            connection.execute(delete(tokens).where(tokens.c.expires_s <= now_s))
            own = tokens.c.principal == principal.id
            newest = select(tokens.c.hash).where(own).order_by(tokens.c.expires_s.desc()).limit(MOST_TOKENS - 1)
            kept = list(connection.execute(newest).scalars())
            connection.execute(delete(tokens).where(own, tokens.c.hash.not_in(kept)))
            row = {"hash": _hash(token), "principal": principal.id, "expires_s": now_s + TOKEN_S}
            connection.execute(insert(tokens), [row])
        return token, TOKEN_S

    def by_token(self, token: str) -> Principal:
        """Raises `NotAuthenticated` where it is unknown, expired, or its principal revoked."""
        asked = {"hash": _hash(token), "since_s": self._store.now_s()}
        with self._store.read() as connection:
            row = connection.execute(queries.BY_TOKEN, asked).first()
        if row is None:
            raise NotAuthenticated("the token is unknown or has expired: ask for a new one")
        return _in_force(row)

    def prolong(self, token: str) -> None:
        """A token in use lives on: one in the second half of its life begins it anew."""
        now_s = self._store.now_s()
        with self._store.read() as connection:
            expires_s = connection.execute(select(tokens.c.expires_s).where(tokens.c.hash == _hash(token))).scalar()
        if expires_s is not None and now_s < expires_s <= now_s + TOKEN_S // 2:
            with self._store.write() as connection:
                # Only one that is still there: it may have been ended meanwhile.
                connection.execute(update(tokens).where(tokens.c.hash == _hash(token)).values(expires_s=now_s + TOKEN_S))

    def end_token(self, token: str) -> None:
        """Nobody comes with it again."""
        with self._store.write() as connection:
            connection.execute(delete(tokens).where(tokens.c.hash == _hash(token)))

    def add(self, by: Principal, principal: Principal, secret: str | None = None) -> Principal:
        """Makes a principal known, with a secret of at least 16 characters where it shall have one. Raises `Forbidden`,
        `InputError`, `Conflict`."""
        operator_only(by, "making principals")
        with self._store.write() as connection:
            self._operations.note(connection, by, "add principal", principal.id, principal.role)
            return self.enter(connection, principal, secret)

    def enter(self, connection: Connection, principal: Principal, secret: str | None) -> Principal:
        """The same within a transaction, without asking who wants it."""
        lfdi = None if principal.lfdi is None else principal.lfdi.lower()
        faults = [] if principal.role in ROLES else [Fault("role", repr(principal.role), " or ".join(ROLES))]
        if not _ID.fullmatch(principal.id) or (principal.id.startswith("lfdi:") and principal.id != f"lfdi:{lfdi}"):
            expected = "1 to 64 letters, digits and - _ . :, not beginning with lfdi: of another's"
            faults.append(Fault("id", repr(principal.id[:80]), expected))
        if lfdi is not None and not is_lfdi(lfdi):
            faults.append(Fault("lfdi", repr(lfdi[:80]), "40 hexadecimal digits"))
        if secret is not None and len(secret) < _LEAST_SECRET:
            faults.append(Fault("secret", f"{len(secret)} characters", f"{_LEAST_SECRET} or more"))
        if faults:
            raise InputError("this principal can't be:", faults)
        same = principals.c.id == principal.id
        if lfdi is not None:
            same |= principals.c.lfdi == lfdi
        if connection.execute(select(principals.c.id).where(same)).first() is not None:
            raise Conflict(f"{principal.id}: its id or certificate is known already")
        hashed = None if secret is None else _hashed(secret)
        row = {"id": principal.id, "role": principal.role, "lfdi": lfdi, "party": principal.party, "secret": hashed}
        connection.execute(insert(principals), [{**row, "revoked_s": None}])
        return replace(principal, lfdi=lfdi)

    def ensure(self, principal: Principal, secret: str) -> None:
        """Has a principal with this secret, whatever was there before: for whoever runs the service, at its start. Raises
        `InputError`."""
        with self._store.write() as connection:
            row = connection.execute(select(principals).where(principals.c.id == principal.id)).first()
            if row is None:
                self.enter(connection, principal, secret)
            elif not _is_secret(secret, row.secret or _NOBODY):
                connection.execute(update(principals).where(principals.c.id == principal.id).values(secret=_hashed(secret)))

    def get(self, by: Principal, principal: str) -> Known:
        """Oneself, or anybody for an operator. Raises `Forbidden`, `NotFound`."""
        if not by.operates and by.id != principal:
            raise Forbidden("a principal sees itself alone")
        with self._store.read() as connection:
            row = connection.execute(select(principals).where(principals.c.id == principal)).first()
        if row is None:
            raise NotFound(f"no principal {principal}")
        return Known(_principal(row), row.revoked_s is not None)

    def revoke(self, by: Principal, id_or_lfdi: str) -> None:
        """Whoever it is, its next request fails: its tokens and its certificate are good for nothing. A certificate nobody came
        with yet can be revoked too. Raises `Forbidden`."""
        self._set_revoked(by, id_or_lfdi, self._store.now_s())

    def restore(self, by: Principal, id_or_lfdi: str) -> None:
        """Undoes a revocation. Raises `Forbidden`."""
        self._set_revoked(by, id_or_lfdi, None)

    def _set_revoked(self, by: Principal, name: str, revoked_s: int | None) -> None:
        operator_only(by, "revoking and restoring")
        lfdi = name.removeprefix("lfdi:").lower()
        with self._store.write() as connection:
            self._operations.note(connection, by, "restore" if revoked_s is None else "revoke", name)
            same = (principals.c.id == name) | (principals.c.lfdi == lfdi)
            changed = connection.execute(update(principals).where(same).values(revoked_s=revoked_s)).rowcount
            if not changed:
                if len(lfdi) != 40:
                    raise NotFound(f"no principal {name}")
                self.enter(connection, Principal(f"lfdi:{lfdi}", "device", lfdi), None)
                connection.execute(update(principals).where(principals.c.lfdi == lfdi).values(revoked_s=revoked_s))


def _principal(row: Row[tuple[object, ...]]) -> Principal:
    return Principal(row.id, row.role, row.lfdi, row.party)


def _in_force(row: Row[tuple[object, ...]]) -> Principal:
    if row.revoked_s is not None:
        raise NotAuthenticated(f"{row.id} was revoked")
    return _principal(row)


def _hash(token: str) -> str:
    # A token is 256 random bits: nobody guesses it from a fast hash.
    return hashlib.sha256(token.encode()).hexdigest()


def _hashed(secret: str) -> str:
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT).hex()}"


def _is_secret(secret: str, stored: str) -> bool:
    salt, expected = (bytes.fromhex(part) for part in stored.split(":"))
    return hmac.compare_digest(hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT), expected)
