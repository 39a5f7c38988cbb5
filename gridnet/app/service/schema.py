"""The service's tables, beside the ledger's in one database. `migrations/` makes them; a test holds both together.

Times are whole seconds since 1970 in UTC (`.._s`), `body` is JSON of what is never searched for. All names begin with `service_`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, LargeBinary, MetaData, Table, Text

METADATA = MetaData()


def _table(name: str, *columns: Column) -> Table:  # type: ignore[type-arg]
    return Table(f"service_{name}", METADATA, *columns)


def _key(name: str, kind: type[Text] | type[BigInteger] = Text) -> Column:  # type: ignore[type-arg]
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


principals = _table(
    "principals",
    _key("id"),
    Column("role", Text, nullable=False),
    Column("lfdi", Text, unique=True),
    Column("party", Text),
    Column("secret", Text),
    Column("revoked_s", BigInteger),
)
"""Who is known. `secret` is a salted hash."""

tokens = _table("tokens", _key("hash"), Column("principal", Text, nullable=False), Column("expires_s", BigInteger, nullable=False))
"""Bearer tokens, by their hash."""

devices = _table(
    "devices",
    _key("id"),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("owner", Text, nullable=False, index=True),
    Column("lfdi", Text, unique=True),
    Column("meter", Text, unique=True),
    Column("body", Text, nullable=False),
)
"""`number` grows with each registration."""

programs = _table("programs", _key("id"), Column("device", Text, index=True), Column("body", Text, nullable=False))

controls = _table(
    "controls",
    _key("id"),
    Column("program", Text, nullable=False),
    Column("device", Text, index=True),
    Column("start_s", BigInteger, nullable=False),
    Column("end_s", BigInteger, nullable=False, index=True),
    Column("cancelled_s", BigInteger),
    Column("superseded_s", BigInteger),
    Column("key", Text, unique=True),
    Column("body", Text, nullable=False),
)
"""What was dispatched by hand. `key` is the caller's, against doing it twice."""

setpoints = _table(
    "setpoints",
    _key("meter"),
    _key("start_s", BigInteger),
    Column("end_s", BigInteger, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("decided_s", BigInteger, nullable=False),
    Column("p_kw", Float, nullable=False),
    Column("q_kvar", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""What a policy decided: one for each meter of the feeder and interval, never another (the primary key says so)."""

plans = _table("plans", *(Column(each.name, each.type, primary_key=each.primary_key, nullable=False) for each in setpoints.columns))
"""What is published ahead, until it is decided."""

acks = _table(
    "acks",
    _key("control"),
    _key("device"),
    _key("status"),
    Column("at_s", BigInteger, nullable=False),
    Column("code", BigInteger),
)

messages = _table(
    "messages",
    _key("meter"),
    _key("sequence", BigInteger),
    _key("digest"),
    Column("raw", LargeBinary, nullable=False),
    Column("received_s", BigInteger, nullable=False),
    Column("quarter", BigInteger, nullable=False, index=True),
)
"""Signed readings of the first feeder, as versions before 0003 keep them."""

readings = _table(
    "readings",
    _key("quarter", BigInteger),
    Column("feeder", Text, primary_key=True, nullable=False, index=True),
    _key("meter"),
    _key("sequence", BigInteger),
    Column("digest", LargeBinary, primary_key=True, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("received_s", BigInteger, nullable=False),
)
"""Signed readings as they came. `quarter` (since 1970) is the step in whose course they count as arrived, `meter` the name within
the feeder. PostgreSQL parts them by week: see `partitions`."""

measurements = _table(
    "measurements",
    _key("device"),
    _key("channel"),
    _key("start_s", BigInteger),
    Column("duration_s", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
)

overrides = _table(
    "overrides", _key("device"), Column("until_s", BigInteger, nullable=False), Column("reason", Text, nullable=False)
)

subscriptions = _table(
    "subscriptions",
    _key("id"),
    Column("owner", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("topic", Text, nullable=False, index=True),
    Column("device", Text),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
)

outbox = _table(
    "outbox",
    _key("id"),
    Column("subscription", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("due_s", BigInteger, nullable=False, index=True),
    Column("attempts", BigInteger, nullable=False),
    Column("problem", Text),
)
"""Notifications on their way; a row goes when it was delivered or given up."""

documents = _table(
    "documents",
    _key("kind"),
    _key("id"),
    Column("owner", Text, nullable=False),
    Column("device", Text, index=True),
    Column("number", BigInteger, nullable=False),
    Column("updated_s", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

operations = _table(
    "operations",
    _key("number", BigInteger),
    Column("at_s", BigInteger, nullable=False),
    Column("principal", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
"""What operators did."""

frames = _table(
    "frames",
    _key("quarter", BigInteger),
    Column("feeder", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("outlook", LargeBinary),
)
"""What the live feeder did in each quarter-hour (its number since 1970), and what was forecast then: compressed JSON."""

meta = _table("meta", _key("key"), Column("value", Text, nullable=False))
"""Where the live feeder stands."""
